/** Whole requests over HTTP: more clients, more elements, with and without micro-batching. */
import type { Result } from 'autocannon'
import type { Part, PartContext } from '../bench/part.ts'
import { bodyOf, type Workload } from '../bodies.ts'
import { failed, perSecond, post, type RoundLength } from '../client.ts'
import { inTurn } from '../rounds.ts'
import type { Cell, Table } from '../table.ts'
import { type Absent, type Running, withModes } from './modes.ts'
import { BENCH_SETTINGS, shapeOf, WORK } from './work.ts'

const CLIENTS = [1, 4, 16, 64, 256]
/** Elements per request. Larger bodies take seconds to transfer, and then only the transfer is measured. */
const ELEMENTS = [1e3, 1e4, 1e5, 1e6, 1e7]
const CONNECTIONS = 4

const requests: Part = (context) =>
  withModes(async (running, absent) => [
    await inClients(running, absent, context),
    await inElements(running, context),
  ])

export default requests

async function inClients(
  running: readonly Running[],
  absent: readonly Absent[],
  context: PartContext,
): Promise<Table> {
  const work = { loss: 'sigmoid_focal', format: 'safetensors', rows: 1024, columns: 10 } as const
  const rows: Cell[][] = []
  for (const clients of context.quick ? CLIENTS.slice(0, 2) : CLIENTS) {
    context.say(`requests: ${clients} clients`)
    const rates = await ratesOf(running, work, clients, context)
    rows.push([clients, ...rates, ...gainsOf(running, rates)])
  }
  const missing = absent.map(({ name, why }) => `${name} (${why})`)
  const about = [
    'Requests per second for sigmoid_focal 1024x10, loss and gradient, safetensors. "Alone" is one request per launch. The gain is the ratio of micro-batching to that.',
    `${running.map(({ name, about }) => `${name} is ${about}`).join('; ')}.`,
    ...(missing.length === 0 ? [] : [`Not available here: ${missing.join('; ')}.`]),
  ]
  return {
    title: 'Requests, by clients',
    about: about.join(' '),
    head: ['clients', ...running.map(({ name }) => name), ...pairsOf(running).map(({ head }) => head)],
    rows,
  }
}

async function inElements(running: readonly Running[], context: PartContext): Promise<Table> {
  const shared = running.filter(({ name }) => !name.endsWith(ALONE))
  const rows: Cell[][] = []
  for (const loss of WORK) {
    for (const elements of ELEMENTS.filter(
      (one) => one <= (context.quick ? 1e3 : BENCH_SETTINGS.mostElements),
    )) {
      context.say(`requests: ${loss.name} ${elements}`)
      const work = { loss: loss.name, format: 'safetensors', ...shapeOf(loss, elements) } as const
      const megabytes = bodyOf(work).bytes.length / 1e6
      rows.push([loss.name, elements, megabytes, ...(await ratesOf(shared, work, CONNECTIONS, context))])
    }
  }
  return {
    title: 'Requests, by elements',
    about: `Requests per second over ${CONNECTIONS} connections. Elements are counted as in the table of kernels.`,
    head: ['loss', 'elements', 'body MB', ...shared.map(({ name }) => name)],
    rows,
  }
}

async function ratesOf(
  running: readonly Running[],
  work: Workload,
  connections: number,
  { quick }: PartContext,
): Promise<(number | undefined)[]> {
  const body = bodyOf(work)
  const load = ({ server }: Running, span: RoundLength) =>
    post(`${server.url}/v1/losses/${work.loss}`, body, connections, span)
  const [warmUp, round]: RoundLength[] = quick
    ? [{ amount: connections }, { amount: connections }]
    : [{ duration: BENCH_SETTINGS.warmUpSeconds }, { duration: BENCH_SETTINGS.roundSeconds }]
  for (const mode of running) await load(mode, warmUp)
  const found = await inTurn(
    running,
    quick ? 1 : BENCH_SETTINGS.rounds,
    (mode) => load(mode, round),
    perSecond,
  )
  return found.map(rateOf)
}

/** If requests failed, there is no rate. */
function rateOf(result: Result): number | undefined {
  return failed(result) > 0 ? undefined : perSecond(result)
}

const ALONE = ', alone'

/** Indices of the modes that batch, and of the same modes without batching. */
function pairsOf(running: readonly Running[]) {
  return running.flatMap(({ name }, place) => {
    const alone = running.findIndex((other) => other.name === `${name}${ALONE}`)
    return alone < 0 ? [] : [{ head: `gain, ${name}`, place, alone }]
  })
}

function gainsOf(running: readonly Running[], rates: readonly (number | undefined)[]): Cell[] {
  return pairsOf(running).map(({ place, alone }) => {
    const [batched, single] = [rates[place], rates[alone]]
    return batched && single && batched / single
  })
}
