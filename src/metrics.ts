/**
 * Prometheus metrics, in a registry of their own. They listen to the events of the batcher and of the routes, which
 * do not count anything themselves.
 */
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { BatcherEvents } from './batching/events.ts'
import { FastCounter, FastHistogram } from './counters.ts'
import { type CostEstimate, type Engine, type EngineInfo, leafEngines } from './engines/contract.ts'
import type { Peers } from './peers.ts'

/** A loss request that got a response, successful or not. */
export interface RequestRecord {
  readonly loss: string
  readonly format: string
  readonly status: number
  /** Undefined if the request was rejected before its body was read. */
  readonly seconds?: number | undefined
  /** Undefined if no result was computed. */
  readonly finite?: boolean | undefined
}

export interface Metrics {
  readonly events: BatcherEvents
  answered(request: RequestRecord): void
  /**
   * Adds gauges for an engine: the tensors it holds, whether it is ready, and its cost model. They are read at
   * every scrape.
   */
  watch(engine: Engine, lossOf: (programKey: string) => string): void
  /** Adds a gauge for how loaded the service is: 0 normal, 1 busy, 2 overloaded. */
  watchLoad(level: () => number): void
  /**
   * The exposition text and its media type.
   *
   * @param shows whether the reader may know of a loss; by default, of every one
   */
  expose(shows?: (loss: string) => boolean): Promise<{ readonly text: string; readonly type: string }>
  close(): void
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const COMPUTE_SECONDS = [0.00001, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5]

/** @param peers the other processes whose metrics are shown together with this one's */
export function createMetrics(peers?: Peers): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const counters = makeCounters(registry)
  counters.processes.set(1)
  peers?.provide(TOPIC, () => registry.getMetricsAsJSON())
  return {
    events: batcherEvents(counters),
    answered: (request) => countAnswer(counters, request),
    watch: (engine, lossOf) => watch(registry, engine, lossOf),
    watchLoad: (level) => watchLoad(registry, level),
    expose: async (shows) => {
      const text = await (peers === undefined ? registry : await merged(peers)).metrics()
      return { text: shows === undefined ? text : linesFor(text, shows), type: registry.contentType }
    },
    close: () => registry.clear(),
  }
}

/** What processes give each other. */
const TOPIC = 'metrics'

/** The metrics of all processes: sums, unless a metric says otherwise (`aggregator`). */
async function merged(peers: Peers): Promise<Registry> {
  return AggregatorRegistry.aggregate([...(await peers.gather(TOPIC))] as object[])
}

type Counters = ReturnType<typeof makeCounters>

function makeCounters(register: Registry) {
  const registers = [register]
  const distribution = (name: string, help: string, bounds: number[], label?: string) =>
    new FastHistogram(register, name, help, bounds, label)
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge({ name, help, labelNames: [...labelNames], registers })
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name, help, labelNames: [...labelNames], registers })
  return {
    requests: new FastCounter(
      register,
      'lossd_requests_total',
      'Number of loss requests that got a response; loss is the name of the loss, inline, compose, or registered for all registered losses after the first 100',
    ),
    duration: distribution(
      'lossd_request_duration_seconds',
      'Time from the last byte of the request to the response',
      SECONDS,
      'loss',
    ),
    processes: gauge('lossd_processes', 'Number of processes that serve'),
    queueJobs: gauge('lossd_queue_jobs', 'Number of queued requests'),
    queueElements: gauge('lossd_queue_elements', 'Number of queued elements'),
    queueWait: distribution('lossd_queue_wait_seconds', 'Time in the queue', SECONDS),
    batchJobs: distribution('lossd_batch_jobs', 'Requests per launch', [1, 2, 4, 8, 16, 32, 64, 128, 256]),
    batchElements: distribution(
      'lossd_batch_elements',
      'Elements per launch',
      [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8],
    ),
    compute: distribution('lossd_compute_seconds', 'Compute time per launch', COMPUTE_SECONDS, 'engine'),
    shed: counter('lossd_shed_total', 'Number of requests that were rejected or abandoned', ['reason']),
    nonfinite: counter('lossd_nonfinite_total', 'Number of responses with NaN or infinities', ['loss']),
  }
}

function batcherEvents(counters: Counters): BatcherEvents {
  return {
    queued: ({ jobs, elements }) => {
      counters.queueJobs.set(jobs)
      counters.queueElements.set(elements)
    },
    ran: ({ engine, jobs, elements, computeMs, queueMs }) => {
      counters.batchJobs.observe(jobs)
      counters.batchElements.observe(elements)
      counters.compute.observe(computeMs / 1000, engine)
      for (const wait of queueMs) counters.queueWait.observe(wait / 1000)
    },
    shed: (reason) => counters.shed.inc({ reason }),
  }
}

function countAnswer(counters: Counters, { loss, format, status, seconds, finite }: RequestRecord) {
  counters.requests.add(`${loss} ${format} ${status}`, () => ({ loss, format, status: String(status) }))
  if (seconds !== undefined) counters.duration.observe(seconds, loss)
  if (finite === false) counters.nonfinite.inc({ loss })
}

/** Without the time series of losses that the reader may not know of. */
function linesFor(text: string, shows: (loss: string) => boolean): string {
  const isShown = (line: string) => {
    const loss = /[{,]loss="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]
    return loss === undefined || shows(loss)
  }
  return text.split('\n').filter(isShown).join('\n')
}

function watchLoad(register: Registry, level: () => number) {
  new Gauge({
    name: 'lossd_load_level',
    help: 'How loaded the service is: 0 normal, 1 busy (a queue stands), 2 overloaded (requests are refused); the highest of all processes',
    registers: [register],
    aggregator: 'max',
    collect() {
      this.set(level())
    },
  })
}

/** Gauges whose values are read at every scrape. */
function watch(register: Registry, engine: Engine, lossOf: (programKey: string) => string) {
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    read: Read<L>,
    aggregator: 'sum' | 'first' | 'min' | 'average' = 'sum',
  ) => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [register],
      aggregator,
      async collect() {
        this.reset()
        for (const { value, ...labels } of await read()) this.set(labels as never, value)
      },
    })
  }
  const members = () => leafEngines(engine)
  gauge(
    'lossd_engine_info',
    'The engines in use',
    ['engine', 'device'],
    () => members().map(({ info }) => ({ ...namesOf(info), value: 1 })),
    'first',
  )
  gauge(
    'lossd_engine_ready',
    'Whether the engine accepts a batch, in every process',
    ['engine'],
    () => members().map(({ info, isReady }) => ({ engine: info.name, value: Number(isReady) })),
    'min',
  )
  gauge(
    'lossd_engine_tensors',
    'Number of tensors that the engine holds; the same before and after every launch',
    [],
    async () => [{ value: (await engine.stats()).tensors }],
  )
  gauge(
    'lossd_engine_cost_seconds',
    'Estimated cost of a launch, and of one element of its inputs',
    ['engine', 'loss', 'term'],
    () =>
      mostMeasured(
        (engine.learned?.() ?? []).map((one) => ({ ...one, loss: lossOf(one.programKey) })),
      ).flatMap(termsOf),
    'average',
  )
}

type Read<L extends string> = () =>
  | readonly (Readonly<Record<L, string>> & { readonly value: number })[]
  | Promise<readonly (Readonly<Record<L, string>> & { readonly value: number })[]>

function namesOf({ name, device }: EngineInfo) {
  return { engine: name, device }
}

type OfLoss = CostEstimate & { readonly loss: string }

/** A loss has one program for each request structure. The one with the most measurements is reported. */
function mostMeasured(learned: readonly OfLoss[]): readonly OfLoss[] {
  const found = new Map<string, OfLoss>()
  for (const one of learned) {
    const key = `${one.engine} ${one.loss}`
    if (one.observations > (found.get(key)?.observations ?? 0)) found.set(key, one)
  }
  return [...found.values()]
}

function termsOf({ engine, loss, launch, element }: OfLoss) {
  return [
    { engine, loss, term: 'launch', value: launch / 1000 },
    { engine, loss, term: 'element', value: element / 1000 },
  ]
}
