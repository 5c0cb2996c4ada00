/**
 * Merges the batches of several processes that share an engine: what waits for the device and runs the same program on rows of the
 * same shape becomes one launch. Each process batches its own requests; without this, a device would compute one small batch of each
 * process after the other.
 */
import { elementsOf, valueAxes } from '../../language/ir.ts'
import { type Batch, type BatchResult, concatChunks, type Engine, repeated } from '../contract.ts'
import { rowAxisOf } from '../routing/halve-batch.ts'

interface Waiting {
  readonly batch: Batch
  /** Batches with equal keys may share a launch; undefined for one that must run alone. */
  readonly key: string | undefined
  readonly elements: number
  readonly resolve: (result: BatchResult) => void
  readonly reject: (error: unknown) => void
}

/**
 * @param engine of which `run` may be called concurrently
 * @param maxElements of the inputs of one launch
 * @example
 * const shared = mergeBatches(await openWithoutFallback({ engine: 'webgpu', reason: 'a GPU' }), 2 ** 22)
 */
export function mergeBatches(engine: Engine, maxElements: number): Engine {
  const merging = new Merging(engine, maxElements)
  return {
    get info() {
      return { ...engine.info, isShared: true }
    },
    get isReady() {
      return engine.isReady
    },
    ...(engine.width === undefined ? {} : { width: engine.width }),
    run: (batch) => merging.run(batch),
    serving: (program, precision) => engine.serving(program, precision),
    stats: () => engine.stats(),
    describe: async () => (await engine.describe?.()) ?? {},
    close: () => engine.close(),
  }
}

class Merging {
  readonly #engine: Engine
  readonly #maxElements: number
  #waiting: Waiting[] = []
  #running = 0
  #isScheduled = false

  constructor(engine: Engine, maxElements: number) {
    this.#engine = engine
    this.#maxElements = maxElements
  }

  run(batch: Batch): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      const elements = Object.values(batch.inputs).flat()
      this.#waiting.push({
        batch,
        key: keyOf(batch),
        elements: elements.reduce((sum, { length }) => sum + length, 0),
        resolve,
        reject,
      })
      this.#schedule()
    })
  }

  /** Not immediately, so that what arrives in the same event loop iteration shares a launch. */
  #schedule() {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      this.#pump()
    })
  }

  #pump() {
    while (this.#running < (this.#engine.width ?? 1) && this.#waiting.length > 0) {
      this.#running++
      void this.#launch(this.#take()).then(() => {
        this.#running--
        this.#pump()
      })
    }
  }

  /** The oldest, and those that can share its launch. */
  #take(): Waiting[] {
    const [first, ...others] = this.#waiting
    const taken = [first]
    let { elements } = first
    const fits = (one: Waiting) => {
      if (first.key === undefined || one.key !== first.key) return false
      if (elements + one.elements > this.#maxElements) return false
      elements += one.elements
      return true
    }
    this.#waiting = others.filter((one) => {
      if (!fits(one)) return true
      taken.push(one)
      return false
    })
    return taken
  }

  /** A failing batch never harms the others: if a shared launch fails, each of its batches is launched alone. */
  async #launch(taken: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.#compute(taken.map(({ batch }) => batch))
      for (const [place, { resolve }] of taken.entries()) resolve(results[place])
    } catch (error) {
      if (taken.length === 1) return taken[0].reject(error)
      for (const one of taken) await this.#launch([one])
    }
  }

  async #compute(batches: readonly Batch[]): Promise<readonly BatchResult[]> {
    if (batches.length === 1) return [await this.#engine.run(batches[0])]
    return splitResult(await this.#engine.run(joinRows(batches)), batches)
  }
}

/** What must be equal for batches to be joined: everything but the number of rows and the numbers in them. */
function keyOf({ program, programKey, precision, sizes, scalars }: Batch): string | undefined {
  const axis = rowAxisOf(program)
  if (axis === undefined) return undefined
  const { [axis]: _, ...shape } = sizes
  return JSON.stringify([programKey, precision, shape, scalars])
}

/** The rows of all batches, in order. */
function joinRows(batches: readonly Batch[]): Batch {
  const [first] = batches
  const axis = rowAxisOf(first.program)!
  const names = Object.keys(first.inputs)
  return {
    ...first,
    sizes: { ...first.sizes, [axis]: batches.reduce((sum, { sizes }) => sum + sizes[axis], 0) },
    inputs: Object.fromEntries(names.map((name) => [name, batches.flatMap(({ inputs }) => inputs[name])])),
    cotangent: batches.map(cotangentOf),
  }
}

/** One number for each value. */
function cotangentOf({ cotangent, program, sizes }: Batch): Float32Array | Float64Array {
  const numbers = concatChunks<Float32Array | Float64Array>(cotangent)
  const values = elementsOf(valueAxes(program), sizes)
  return numbers.length === values ? numbers : repeated(numbers, values)
}

/** The part of each batch, as views. Their memory is released when all of them are. */
function splitResult(result: BatchResult, batches: readonly Batch[]): readonly BatchResult[] {
  const { values, denominators, gradients, release } = result
  const axis = rowAxisOf(batches[0].program)!
  const rows = batches.map(({ sizes }) => sizes[axis])
  const total = rows.reduce((sum, count) => sum + count, 0)
  let left = batches.length
  const leave = () => {
    if (--left === 0) release?.()
  }
  let end = 0
  return rows.map((count) => {
    const begin = end
    end += count
    const part = <T extends Float32Array | Float64Array>(whole: T) => {
      const width = whole.length / total
      return whole.subarray(begin * width, end * width) as T
    }
    return {
      ...result,
      values: part(values),
      ...(denominators === undefined ? {} : { denominators: part(denominators) }),
      gradients: Object.fromEntries(Object.entries(gradients).map(([name, data]) => [name, part(data)])),
      ...(release === undefined ? {} : { release: leave }),
    }
  })
}
