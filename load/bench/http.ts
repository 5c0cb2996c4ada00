/** The service over HTTP compared with a bare echo of the same bytes, and what it costs its process. */
import type { Result } from 'autocannon'
import { bodyOf, type Workload } from '../bodies.ts'
import { failed, perSecond, post, type RoundLength } from '../client.ts'
import { endpointUrls, type Server, withEcho, withService } from '../processes.ts'
import { inTurn } from '../rounds.ts'
import { FORMATS, SIZES } from '../scenarios.ts'
import type { Cell, Table } from '../table.ts'
import { eventLoop, memory } from './footprint.ts'
import type { Part, PartContext } from './part.ts'

/** The default limit is 8 MiB. The largest bodies here are twice 11 MB. */
const SETTINGS = { LOSSD_JSON_BODY_LIMIT: String(64 * 2 ** 20) }

const http: Part = async (context) => [
  await withService(SETTINGS, (service) => withEcho((echo) => throughput(service, echo, context))),
  await memory(context),
  await withService(SETTINGS, (service) => eventLoop(service, context)),
]

export default http

interface Case extends Workload {
  readonly connections: number
  readonly warmUp: RoundLength
  readonly round: RoundLength
}

const MANY = { warmUp: { duration: 1 }, round: { duration: 4 } }
/** With few responses per second, a round of fixed duration would count the ones that its end cuts off. */
const FEW = { warmUp: { amount: 8 }, round: { amount: 24 } }

const CASES: readonly Case[] = ['sigmoid_focal', 'cross_entropy', 'huber']
  .flatMap((loss) =>
    SIZES.flatMap(({ name, ...size }) =>
      FORMATS.map((format) => {
        const effort = name === 'large' && format === 'json' ? FEW : MANY
        return { loss, format, ...size, ...effort }
      }),
    ),
  )
  .flatMap((one) =>
    one.format === 'json' && one.warmUp === MANY.warmUp ? [one, { ...one, python: true }] : [one],
  )

interface Row {
  readonly one: Case
  readonly bytes: number
  readonly service: Result
  readonly echo: Result
}

async function throughput(service: Server, echo: Server, { quick, say }: PartContext): Promise<Table> {
  const rounds = quick ? 1 : 3
  const rows: Row[] = []
  for (const full of CASES) {
    const one = quick ? { ...full, warmUp: once(full), round: once(full) } : full
    say(`http: ${one.loss} ${one.rows}x${one.columns} ${formatOf(one)}`)
    rows.push(await measure(one, rounds, service, echo))
  }
  return tableOf(service, rows, rounds)
}

function once({ connections }: Case): RoundLength {
  return { amount: connections }
}

async function measure(one: Case, rounds: number, service: Server, echo: Server): Promise<Row> {
  const body = bodyOf(one)
  const urls = endpointUrls(service, echo, one)
  const sides = [urls.service, urls.echo]
  const load = (url: string, span: RoundLength) => post(url, body, one.connections, span)
  for (const url of sides) await load(url, one.warmUp)
  const [served, echoed] = await inTurn(sides, rounds, (url) => load(url, one.round), perSecond)
  return { one, bytes: body.bytes.length, service: served, echo: echoed }
}

function tableOf(service: Server, rows: readonly Row[], rounds: number): Table {
  const about = [
    `Loss and gradient of the predictions, from ${engineOf(service)}. The echo is a bare Fastify server that returns the bytes that it received; JSON is parsed and printed. It returns the targets too, so the ratio can exceed 1.`,
    `Median of ${rounds} rounds of ${MANY.round.duration} s (1024x1000 json: ${FEW.round.amount} requests). The service and the echo take turns; autocannon runs on the same machine.`,
    'JSON has eight digits per number. JSON "of Python" is `json.dumps(array.tolist())`: all 17 digits of a float32 widened to a double, and spaces.',
    'The JSON body limit is raised for the large bodies, and both processes have the environment variables of the Docker images.',
  ]
  const head = [
    'loss',
    'size',
    'format',
    'body kB',
    'connections',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'failed',
  ]
  return {
    title: 'HTTP',
    about: about.join(' '),
    head: [...head, 'echo requests/s', 'ratio'],
    rows: rows.map(cellsOf),
  }
}

function formatOf({ format, python }: Case): string {
  return python ? `${format} of Python` : format
}

function cellsOf({ one, bytes, service, echo }: Row): Cell[] {
  return [
    one.loss,
    `${one.rows}x${one.columns}`,
    formatOf(one),
    bytes / 1e3,
    one.connections,
    perSecond(service),
    service.latency.p50,
    service.latency.p99,
    failed(service),
    perSecond(echo),
    perSecond(service) / perSecond(echo),
  ]
}

/** Taken from the line that the service logs when it starts to listen. */
function engineOf({ line }: Server): string {
  const { engine, device } = JSON.parse(line)
  return `${engine} (${device})`
}
