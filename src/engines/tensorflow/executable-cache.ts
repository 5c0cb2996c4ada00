/**
 * An LRU cache of XLA executables by program and shape. An executable is a TensorFlow session for one shape.
 * Evicting it closes the session, which frees all of its memory.
 */

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { type Program, sizesWithRenamedAxes } from '../../language/ir.ts'
import { type Batch, type CompileCache, DeviceLost, OutOfMemory, UnsupportedByEngine } from '../contract.ts'
import { classifyError } from './classify-error.ts'
import type { Value } from './graph.ts'
import { type Lowered, lower, type Result } from './lower.ts'
import type { OpArgument } from './lowering-context.ts'
import type { LoadedModel, Native } from './native.ts'
import { SIGNATURE, savedModel, TAG } from './saved-model.ts'
import { batchAxisOf, bucketSize, type PaddedDim } from './shape-buckets.ts'

/** Maximum number of executables. */
const CAPACITY = 256
/**
 * Maximum number of remembered shapes that were seen once and not compiled; more than usually occur between the
 * first and the second time of one of them.
 */
const MAX_SEEN = 4096

/** A program that is compiled for one shape. */
export interface CompiledExecutable {
  readonly program: Program
  /** The sizes of all axes; for the padded axis, the padded size. */
  readonly sizes: Readonly<Record<string, number>>
  /** Absent if the shape is exact. */
  readonly rows?: Pick<PaddedDim, 'axis' | 'room'>
  readonly arguments: readonly (OpArgument & { readonly shape: readonly number[] })[]
  readonly outputs: readonly Result[]
  readonly model: LoadedModel
}

export class ExecutableCache {
  readonly #native: Native
  readonly #kept = new Map<string, CompiledExecutable>()
  /** Pending compilations. Others that need the same executable wait for the same promise (request coalescing). */
  readonly #inWork = new Map<string, Promise<CompiledExecutable>>()
  readonly #programs = new Set<string>()
  readonly #seen = new Set<string>()
  #hits = 0
  #misses = 0

  constructor(native: Native) {
    this.#native = native
  }

  describe(): CompileCache {
    return { entries: this.#kept.size, capacity: CAPACITY, hits: this.#hits, misses: this.#misses }
  }

  /**
   * The executable of a batch; undefined if compiling is not worthwhile yet. The first shape of a program is
   * compiled at once, another one when it is seen for the second time: with shapes that never repeat, all the time
   * would be spent compiling.
   */
  async of(batch: Batch): Promise<CompiledExecutable | undefined> {
    const wanted = wantedBy(batch)
    const known = this.#kept.get(wanted.key)
    if (known !== undefined) {
      this.#hits++
      this.#keep(wanted.key, known)
      return known
    }
    const inWork = this.#inWork.get(wanted.key)
    if (inWork !== undefined) return inWork
    if (!this.#isWorthWhile(batch.programKey, wanted.key)) return undefined
    const made = this.#make(batch.program, wanted).finally(() => this.#inWork.delete(wanted.key))
    this.#inWork.set(wanted.key, made)
    return made
  }

  close() {
    for (const { model } of this.#kept.values()) model.dispose()
    this.#kept.clear()
  }

  async #make(program: Program, wanted: Wanted): Promise<CompiledExecutable> {
    this.#misses++
    const form = await compile(this.#native, program, wanted)
    this.#keep(wanted.key, form)
    return form
  }

  #isWorthWhile(program: string, key: string): boolean {
    if (this.#programs.size >= MAX_SEEN) this.#programs.clear()
    if (this.#seen.size >= MAX_SEEN) this.#seen.clear()
    const isFirst = !this.#programs.has(program)
    this.#programs.add(program)
    if (isFirst || this.#seen.delete(key)) return true
    this.#seen.add(key)
    return false
  }

  /** Adds an executable as the most recently used, and evicts the least recently used one if there are too many. */
  #keep(key: string, form: CompiledExecutable) {
    this.#kept.delete(key)
    this.#kept.set(key, form)
    if (this.#kept.size <= CAPACITY) return
    const [oldest, { model }] = this.#kept.entries().next().value!
    this.#kept.delete(oldest)
    model.dispose()
  }
}

/** What a batch requires of its executable. */
interface Wanted {
  readonly key: string
  readonly sizes: Readonly<Record<string, number>>
  readonly rows?: { readonly axis: string; readonly room: number }
  readonly isUniform: boolean
}

const ROWS = new WeakMap<Program, string | undefined>()

function rowsIn(program: Program): string | undefined {
  if (!ROWS.has(program)) ROWS.set(program, batchAxisOf(program))
  return ROWS.get(program)
}

function wantedBy({ program, programKey, sizes, cotangent }: Batch): Wanted {
  const isUniform = cotangent.length === 1 && cotangent[0].length === 1
  const axis = rowsIn(program)
  const room = axis === undefined ? 0 : bucketSize(sizes[axis])
  const all = sizesWithRenamedAxes(program, axis === undefined ? sizes : { ...sizes, [axis]: room })
  const lengths = program.axes.map((name) => all[name]).join()
  const key = `${programKey} ${lengths} ${isUniform}`
  return { key, sizes: all, isUniform, ...(axis === undefined ? {} : { rows: { axis, room } }) }
}

/** @throws UnsupportedByEngine if XLA rejects the program, for whatever reason; it then runs op by op */
async function compile(native: Native, program: Program, wanted: Wanted): Promise<CompiledExecutable> {
  try {
    return await compiled(native, program, wanted)
  } catch (error) {
    const meaning = classifyError(error)
    if (meaning instanceof OutOfMemory || meaning instanceof DeviceLost) throw meaning
    throw new UnsupportedByEngine(`XLA: ${error instanceof Error ? error.message : error}`)
  }
}

async function compiled(
  native: Native,
  program: Program,
  { sizes, rows, isUniform }: Wanted,
): Promise<CompiledExecutable> {
  const lowered = lower({ program, sizes, isUniform, ...(rows === undefined ? {} : { rows: rows.axis }) })
  const model = await load(native, lowered)
  const shapes = lowered.graph.arguments
  try {
    runOnNothing(model, shapes)
  } catch (error) {
    model.dispose()
    throw error
  }
  return {
    program,
    sizes,
    ...(rows === undefined ? {} : { rows }),
    arguments: lowered.arguments.map((argument, i) => ({ ...argument, shape: shapes[i].shape })),
    outputs: lowered.outputs,
    model,
  }
}

/** TensorFlow reads models only from folders. When the call returns, it has read everything. */
async function load(native: Native, { graph, results }: Lowered): Promise<LoadedModel> {
  const folder = await mkdtemp(join(tmpdir(), 'lossd-xla-'))
  try {
    const device = native.isUsingGpu ? '/device:GPU:0' : ''
    const bytes = savedModel(native.newWriter(), { graph, results, device })
    await writeFile(join(folder, 'saved_model.pb'), bytes)
    return await native.loadSavedModel(folder, [TAG], SIGNATURE)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** XLA compiles in the first run, which is this one. Later runs are only computation, and can be timed as such. */
function runOnNothing(model: LoadedModel, shapes: readonly Value[]) {
  tf.tidy(() => {
    model.predict(shapes.map(({ shape }) => tf.zeros([...shape], 'int32')))
  })
}
