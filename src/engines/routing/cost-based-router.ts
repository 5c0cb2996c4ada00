/**
 * Cost-based routing between a device (GPU) and the CPU: each batch runs where it is expected to finish first,
 * according to the cost model of its program on both sides and to what is already running there.
 */

import type { Program } from '../../language/ir.ts'
import { LruCache } from '../../lru.ts'
import type { Precision } from '../../tensor.ts'
import {
  type Batch,
  type BatchResult,
  type CostEstimate,
  copyBatch,
  type Engine,
  type EngineInfo,
  type EngineStats,
  leafEngines,
} from '../contract.ts'
import { type AffineCost, CostModel } from './affine-cost.ts'
import { withStandby } from './standby.ts'

type Log = (message: string, details?: object) => void

/** Estimates before anything is measured: a device has a high latency and a high throughput. */
const PRIORS = {
  device: { launch: 1, element: 1e-6 },
  processor: { launch: 0.05, element: 1e-5 },
} as const satisfies Record<string, AffineCost>

/** Maximum number of cost models per engine (LRU). */
const MAX_MODELS = 1024
/** Maximum number of recorded sizes that the device has compiled; more than it caches. */
const MAX_WARM = 8192
/**
 * Exploration: how often the slower side is used, in order to measure it again, unless it is slower by more than a
 * factor.
 */
const REVIEW = { every: 64, within: 4 } as const

/**
 * A program that the device has not compiled yet runs on the CPU, while a copy of the batch, whose result is discarded,
 * warms up the device.
 *
 * @example
 * const engine = costBasedRouter(await openProcess(options), processor, console.log)
 */
export function costBasedRouter(device: Engine, processor: Engine, log: Log): Engine {
  return new ChoosingEngine(device, processor, log)
}

class ChoosingEngine implements Engine {
  readonly #device: Side
  readonly #processor: Side
  readonly #deviceAlone: Engine
  readonly #log: Log
  /** Programs and sizes that the device has already computed once, or is about to compute. */
  readonly #warm = new Set<string>()
  /** How many programs the device is compiling. It may be unable to compute anything else in the meantime. */
  #warming = 0
  #batches = 0

  constructor(device: Engine, processor: Engine, log: Log) {
    this.#deviceAlone = device
    this.#device = new Side(withStandby(device, processor, log), device.info.name, PRIORS.device)
    this.#processor = new Side(processor, processor.info.name, PRIORS.processor)
    this.#log = log
  }

  get info(): EngineInfo {
    return this.#device.engine.info
  }

  get isReady(): boolean {
    return this.#device.engine.isReady
  }

  get width(): number {
    return (this.#device.engine.width ?? 2) + (this.#processor.engine.width ?? 2)
  }

  get members(): readonly Engine[] {
    return leafEngines(this.#device.engine)
  }

  /** A batch that is almost free here would take longer just to be sent to the device. */
  runNow(batch: Batch): BatchResult | undefined {
    return this.#processor.engine.runNow?.(batch)
  }

  run(batch: Batch): Promise<BatchResult> {
    const elements = elementsOf(batch)
    if (!this.#deviceAlone.isReady || batch.precision === 'float64')
      return this.#processor.run(batch, elements)
    if (this.#isCold(batch)) {
      void this.#warmUp(batch)
      return this.#processor.run(batch, elements)
    }
    if (this.#warming > 0) return this.#processor.run(batch, elements)
    return this.#sideFor(batch, elements).run(batch, elements)
  }

  serving(program: Program, precision: Precision): readonly string[] {
    return this.#device.engine.serving(program, precision)
  }

  stats(): Promise<EngineStats> {
    return this.#device.engine.stats()
  }

  learned(): readonly CostEstimate[] {
    return [this.#device, this.#processor].flatMap((side) => side.learned())
  }

  close(): Promise<void> {
    return this.#device.engine.close()
  }

  #sideFor(batch: Batch, elements: number): Side {
    const [device, processor] = [this.#device, this.#processor]
    const [there, here] = [device.answersIn(batch, elements), processor.answersIn(batch, elements)]
    const [sooner, later] = there < here ? [device, processor] : [processor, device]
    return this.#isReviewed(Math.max(there, here) / Math.min(there, here)) ? later : sooner
  }

  /** A side that is never used would never be found to have become faster. */
  #isReviewed(slower: number): boolean {
    return ++this.#batches % REVIEW.every === 0 && slower < REVIEW.within
  }

  #isCold(batch: Batch): boolean {
    return !this.#warm.has(warmKey(batch))
  }

  async #warmUp(batch: Batch): Promise<void> {
    if (this.#warm.size >= MAX_WARM) this.#warm.clear()
    this.#warm.add(warmKey(batch))
    this.#warming++
    try {
      // The caller may reuse its arrays as soon as the CPU has finished.
      const { release } = await this.#deviceAlone.run(copyBatch(batch))
      release?.()
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#log('the device failed to warm up for a program', { program: batch.programKey, why })
    } finally {
      this.#warming--
    }
  }
}

/** One of the two sides: an engine, its cost models, and its backlog. */
class Side {
  readonly engine: Engine
  readonly #name: string
  readonly #models = new LruCache<string, CostModel>({ entries: MAX_MODELS })
  /** The model over all programs: the prior of a program that was not measured yet. */
  readonly #overall: CostModel
  /** Estimated milliseconds of what is running. */
  #backlogMs = 0
  /** When the last launch finished. */
  #lastEnd = 0

  constructor(engine: Engine, name: string, prior: AffineCost) {
    this.engine = engine
    this.#name = name
    this.#overall = new CostModel(prior)
  }

  /** Estimated milliseconds until a batch that is sent now would finish. */
  answersIn(batch: Batch, elements: number): number {
    return this.#backlogMs + this.#modelOf(batch).predict(elements)
  }

  async run(batch: Batch, elements: number): Promise<BatchResult> {
    const model = this.#modelOf(batch)
    const [started, predicted] = [performance.now(), model.predict(elements)]
    this.#backlogMs += predicted
    try {
      const result = await this.engine.run(batch)
      this.#learn(model, result, elements, started)
      return result
    } finally {
      this.#backlogMs -= predicted
      this.#lastEnd = performance.now()
    }
  }

  learned(): CostEstimate[] {
    return [...this.#models.entries()].map(([programKey, { line, observations }]) => {
      return { engine: this.#name, programKey, observations, ...line }
    })
  }

  /**
   * A launch that waited for others occupied the engine only since the last of them finished. Compile time is not
   * counted, because it is not needed again.
   */
  #learn(model: CostModel, { engine, compileMs = 0 }: BatchResult, elements: number, started: number) {
    if (engine !== this.#name) return
    const ms = performance.now() - Math.max(started, this.#lastEnd) - compileMs
    model.observe(elements, ms)
    this.#overall.observe(elements, ms)
  }

  #modelOf({ programKey }: Batch): CostModel {
    return this.#models.get(programKey) ?? this.#models.set(programKey, new CostModel(this.#overall.line))
  }
}

/** Number of elements of all inputs. */
function elementsOf({ inputs }: Batch): number {
  let elements = 0
  for (const column of Object.values(inputs)) for (const part of column) elements += part.length
  return elements
}

/** Devices compile for size classes; here sizes are rounded up to powers of two. */
function warmKey({ programKey, sizes }: Batch): string {
  const rounded = Object.values(sizes).map((size) => Math.ceil(Math.log2(Math.max(size, 1))))
  return `${programKey} ${rounded}`
}
