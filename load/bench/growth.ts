/** How the cost grows with elements, with pairs of rows and with connections, each with its ratio to the row above. */
import { bodyOf } from '../bodies.ts'
import { failed, perSecond, post } from '../client.ts'
import { type Server, withService } from '../processes.ts'
import { inTurn } from '../rounds.ts'
import { SIZES } from '../scenarios.ts'
import type { Cell, Table } from '../table.ts'
import type { Part, PartContext } from './part.ts'
import { leadOf, openEngines, type Side } from './sides.ts'

const ELEMENTS = [1e2, 1e3, 1e4, 1e5, 1e6, 1e7]
const CLASSES = 10
const PAIRED_ROWS = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]
const DIM = 32
const CONNECTIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
const [SMALL] = SIZES

const growth: Part = async (context) => {
  const engines = await openEngines()
  try {
    const lead = leadOf(engines)
    return [
      await inElements(lead, context),
      await inPairs(lead, context),
      await withService({}, (service) => inConnections(service, context)),
    ]
  } finally {
    for (const engine of engines) engine.close()
  }
}

export default growth

async function inElements(lead: Side, context: PartContext): Promise<Table> {
  const steps = someOf(ELEMENTS, context).map((elements) => {
    return { rows: elements / CLASSES, columns: CLASSES, units: elements }
  })
  const huber = await perUnit(lead, 'huber', steps, context)
  const crossEntropy = await perUnit(lead, 'cross_entropy', steps, context)
  return {
    title: 'Growth with elements',
    about: `Nanoseconds per element of the predictions, value and gradient, ${lead.name} in process. cross_entropy has ${CLASSES} classes. A ratio of 1 means linear growth.`,
    head: ['elements', 'huber', 'ratio', 'cross_entropy', 'ratio'],
    rows: steps.map(({ units }, i) => [units, ...withRatio(huber, i), ...withRatio(crossEntropy, i)]),
  }
}

async function inPairs(lead: Side, context: PartContext): Promise<Table> {
  const steps = someOf(PAIRED_ROWS, context).map((rows) => ({ rows, columns: DIM, units: rows ** 2 }))
  const times = await perUnit(lead, 'nt_xent', steps, context)
  return {
    title: 'Growth with pairs of rows',
    about: `Nanoseconds per pair of rows of nt_xent (dim ${DIM}), value and gradient, ${lead.name} in process. A ratio of 1 means quadratic growth in the rows. The service's limits do not apply here, so the largest size may run out of memory (-).`,
    head: ['rows', 'a pair', 'ratio'],
    rows: steps.map(({ rows }, i) => [rows, ...withRatio(times, i)]),
  }
}

async function inConnections(service: Server, { quick, say }: PartContext): Promise<Table> {
  const effort = quick ? { rounds: 1, duration: 1 } : { rounds: 3, duration: 3 }
  const steps = quick ? CONNECTIONS.slice(0, 2) : CONNECTIONS
  say('growth: connections')
  const body = bodyOf({ ...SMALL, loss: 'sigmoid_focal', format: 'safetensors' })
  const load = (connections: number, duration: number) =>
    post(`${service.url}/v1/losses/sigmoid_focal`, body, connections, { duration })
  await load(SMALL.connections, effort.duration)
  const found = await inTurn(
    steps,
    effort.rounds,
    (connections) => load(connections, effort.duration),
    perSecond,
  )
  const rates = found.map(perSecond)
  return {
    title: 'Growth with connections',
    about: `sigmoid_focal ${SMALL.rows}x${SMALL.columns} safetensors over HTTP, median of ${effort.rounds} rounds of ${effort.duration} s.`,
    head: ['connections', 'requests/s', 'ratio', 'p50 ms', 'p99 ms', 'failed'],
    rows: steps.map((connections, i) => {
      const { latency } = found[i]
      return [connections, ...withRatio(rates, i), latency.p50, latency.p99, failed(found[i])]
    }),
  }
}

function someOf(steps: readonly number[], { quick }: PartContext): readonly number[] {
  return quick ? steps.slice(0, 3) : steps
}

interface Step {
  readonly rows: number
  readonly columns: number
  /** What the time of the step is divided by. */
  readonly units: number
}

/** Nanoseconds per unit, for each step. */
async function perUnit(
  lead: Side,
  loss: string,
  steps: readonly Step[],
  { quick, say }: PartContext,
): Promise<(number | undefined)[]> {
  const [rounds, seconds] = quick ? [1, 0.05] : [3, 0.3]
  say(`growth: ${loss}`)
  const found = await inTurn(
    steps,
    rounds,
    ({ rows, columns }) => lead.measure({ loss, rows, columns, seconds }),
    (measured) => measured?.nanoseconds ?? 0,
  )
  return found.map((measured, i) => measured && measured.nanoseconds / steps[i].units)
}

function withRatio(numbers: readonly (number | undefined)[], place: number): Cell[] {
  const [here, above] = [numbers[place], numbers[place - 1]]
  return [here, here && above && here / above]
}
