/** Fallback: combines two engines into one. What the first cannot run goes to the second, which is opened lazily. */

import type { Program } from '../../language/ir.ts'
import type { Precision } from '../../tensor.ts'
import {
  type Batch,
  type BatchResult,
  type Engine,
  type EngineDetails,
  type EngineStats,
  UnsupportedByEngine,
} from '../contract.ts'

/** Names of engines, for a precision. */
type Behind = (precision: Precision) => readonly string[]

/**
 * @param behind the engines that the second one tries, in order
 * @example
 * const engine = withFallback(compiled, () => openThread({ engine: 'wasm', log }), () => ['wasm', 'interpreter'])
 */
export function withFallback(first: Engine, openSecond: () => Promise<Engine>, behind: Behind): Engine {
  return new LayeredEngine(first, openSecond, behind)
}

class LayeredEngine implements Engine {
  readonly #first: Engine
  readonly #openSecond: () => Promise<Engine>
  readonly #behind: Behind
  #second: Promise<Engine> | undefined

  constructor(first: Engine, openSecond: () => Promise<Engine>, behind: Behind) {
    this.#behind = behind
    this.#first = first
    this.#openSecond = openSecond
  }

  get info() {
    return this.#first.info
  }

  get isReady() {
    return this.#first.isReady
  }

  get width(): number {
    return this.#first.width ?? 1
  }

  /** The second engine is a detail of the first: it is opened for programs, not for batches. */
  get members(): readonly Engine[] {
    return [this.#first]
  }

  runNow(batch: Batch): BatchResult | undefined {
    return this.#first.runNow?.(batch)
  }

  async run(batch: Batch): Promise<BatchResult> {
    try {
      return await this.#first.run(batch)
    } catch (error) {
      if (!(error instanceof UnsupportedByEngine)) throw error
      return (await this.#opened()).run(batch)
    }
  }

  /** The second engine is not asked: it may not be open, and it runs whatever the first cannot. */
  serving(program: Program, precision: Precision): readonly string[] {
    const own = this.#first.serving(program, precision)
    return own.length > 0 ? own : this.#behind(precision)
  }

  async stats(): Promise<EngineStats> {
    const all = await Promise.all([this.#first.stats(), this.#second?.then((second) => second.stats())])
    const sum = (read: (stats: EngineStats) => number) =>
      all.reduce((total, stats) => total + (stats === undefined ? 0 : read(stats)), 0)
    return { tensors: sum(({ tensors }) => tensors), bytes: sum(({ bytes }) => bytes) }
  }

  async describe(): Promise<EngineDetails> {
    return (await this.#first.describe?.()) ?? {}
  }

  async close(): Promise<void> {
    await Promise.all([this.#first.close(), this.#second?.then((second) => second.close())])
  }

  /** If it cannot be opened, the next batch that needs it tries again. */
  #opened(): Promise<Engine> {
    this.#second ??= this.#openSecond().catch((error: unknown) => {
      this.#second = undefined
      throw error
    })
    return this.#second
  }
}
