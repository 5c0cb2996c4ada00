/** Two engines as one: what the first cannot do goes to the second, which is opened when it is first needed. */
import { type Batch, type BatchResult, type Engine, type EngineStats, UnsupportedByEngine } from './define.ts'

/**
 * @example
 * const engine = layered(compiled, () => openThread({ engine: 'wasm', log }))
 */
export function layered(first: Engine, openSecond: () => Promise<Engine>): Engine {
  return new LayeredEngine(first, openSecond)
}

class LayeredEngine implements Engine {
  readonly #first: Engine
  readonly #openSecond: () => Promise<Engine>
  #second: Promise<Engine> | undefined

  constructor(first: Engine, openSecond: () => Promise<Engine>) {
    this.#first = first
    this.#openSecond = openSecond
  }

  get info() {
    return this.#first.info
  }

  get isReady() {
    return this.#first.isReady
  }

  get width() {
    return this.#first.width ?? 2
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

  async stats(): Promise<EngineStats> {
    const all = await Promise.all([this.#first.stats(), this.#second?.then((second) => second.stats())])
    const sum = (read: (stats: EngineStats) => number) =>
      all.reduce((total, stats) => total + (stats === undefined ? 0 : read(stats)), 0)
    return { tensors: sum(({ tensors }) => tensors), bytes: sum(({ bytes }) => bytes) }
  }

  async close(): Promise<void> {
    await Promise.all([this.#first.close(), this.#second?.then((second) => second.close())])
  }

  /** One that cannot be opened is tried again by the next batch that needs it. */
  #opened(): Promise<Engine> {
    this.#second ??= this.#openSecond().catch((error: unknown) => {
      this.#second = undefined
      throw error
    })
    return this.#second
  }
}
