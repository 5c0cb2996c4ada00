/** The kernel cache (LRU): programs -> compiled kernels. */

import type { Program } from '../../language/ir.ts'
import type { Specialization } from '../../loops/legalize.ts'
import {
  evaluateStaticPredicates,
  NO_STATIC_PREDICATES,
  type StaticPredicates,
} from '../../loops/static-predicates.ts'
import type { Precision } from '../../tensor.ts'
import { type Batch, type ChunkedArray, type CompileCache, UnsupportedByEngine } from '../contract.ts'
import type { ElementTypes } from './element-types.ts'
import { compile, type Kernel, planOf, surelyCompiles } from './kernel.ts'
import { lanesOf } from './lane-type.ts'
import {
  type LaneAxes,
  laneAxesOf,
  sameVectorAxis,
  stridedVectorAxes,
  vectorizationThreshold,
} from './lanes.ts'
import { constF32x4, encodeModule, FunctionBuilder, get, op, V128 } from './wasm-encoder.ts'
import type { TargetFeatures } from './wide.ts'

/**
 * Maximum number of programs with cached kernels, and of the bytes of their modules. A module takes about ten times
 * as much memory, for its plan, its machine code, and its instances on each thread.
 */
const CACHED = { programs: 192, bytes: 2 * 1024 * 1024 } as const

/** A kernel and its module. */
export interface Compiled extends Kernel {
  readonly id: number
  /** The module for memories that threads share, compiled on first use. */
  readonly module: WebAssembly.Module
  /** Measured nanoseconds per iteration of all loops. */
  nsPerTurn: number
}

/** Whether this runtime supports relaxed SIMD. */
export function detectTarget(): TargetFeatures {
  const f = new FunctionBuilder([V128], [V128])
  f.add(op('f32x4.relaxed_madd', get(0), get(0), constF32x4(1)))
  const bytes = encodeModule({ imports: [], functions: [f], exports: {}, maxPages: 1 })
  return { relaxed: WebAssembly.validate(bytes) }
}

/** The parts of a batch that select its kernel. */
type Wanted = Pick<Batch, 'program' | 'precision' | 'sizes' | 'inputs' | 'scalars' | 'cotangent'>

interface Recent {
  readonly program: Program
  readonly precision: Batch['precision']
  readonly narrow: ReadonlySet<string>
  readonly uniform: boolean
  readonly axes: LaneAxes | undefined
  readonly sizes: Batch['sizes']
  readonly kept: Kept
  readonly variant: string
}

/** The cache entry of a program. All references to its kernels go through it, so that they can be evicted. */
interface Kept {
  readonly axes: LaneAxes | undefined
  /** Empty after the program is evicted. */
  readonly variants: Map<string, Compiled | UnsupportedByEngine>
  /** The time of the last use, as a counter. */
  used: number
  /** Maximum length of the fastest axis for which another axis is vectorized. */
  readonly limits: Map<string, number>
}

/**
 * Besides the program, the key contains the element types, whether the cotangent is a single number, the values of conditions that depend
 * only on parameters (constant specialization: code that a parameter disables costs nothing), and the vectorized axis.
 * Sizes matter only because lanes.ts uses them to choose that axis.
 */
export class KernelCache {
  readonly #target: TargetFeatures
  readonly #maxNodes: number
  readonly #onEvict: (kernel: Compiled) => void
  /** By program: equal programs are one object, because their source keeps them. */
  readonly #kept = new Map<Program, Kept>()
  /** Fast path keyed by the parameters object, which requests of one structure share. */
  readonly #recent = new WeakMap<object, Recent>()
  #nextId = 1
  #bytes = 0
  #uses = 0
  #hits = 0
  #misses = 0

  /**
   * @param maxNodes maximum number of operations of a program that is compiled; each takes up to a millisecond
   * @param onEvict is called for every kernel that is no longer cached
   */
  constructor(
    target: TargetFeatures,
    maxNodes = Number.POSITIVE_INFINITY,
    onEvict: (kernel: Compiled) => void = () => {},
  ) {
    this.#target = target
    this.#maxNodes = maxNodes
    this.#onEvict = onEvict
  }

  /** Number of programs with cached kernels. */
  get size(): number {
    return this.#kept.size
  }

  /** Total size of the cached modules. */
  get bytes(): number {
    return this.#bytes
  }

  /** Cache statistics. A launch like the last one does not count as a lookup. */
  get state(): CompileCache {
    return { entries: this.#kept.size, capacity: CACHED.programs, hits: this.#hits, misses: this.#misses }
  }

  /** @throws UnsupportedByEngine if the program's kernel would be too large */
  kernelFor(batch: Wanted): Compiled {
    const recent = this.recent(batch)
    if (recent !== undefined) return recent
    const { program, precision, sizes, scalars } = batch
    const uniform = isUniform(batch)
    const narrow = narrowInputsOf(batch)
    this.#checkSize(program)
    const kept = this.#keptOf(program)
    const variant = this.#find(kept, batch, uniform, { lane: lanesOf(precision), narrow })
    const kernel = kept.variants.get(variant)!
    if (kernel instanceof UnsupportedByEngine) throw kernel
    this.#recent.set(scalars, { program, precision, narrow, uniform, axes: kept.axes, sizes, kept, variant })
    return kernel
  }

  /** The kernel of the last such launch; undefined if there was none, or if it was evicted. */
  recent(batch: Wanted): Compiled | undefined {
    const recent = this.#recent.get(batch.scalars)
    if (recent === undefined || !isAnswer(recent, batch)) return undefined
    recent.kept.used = ++this.#uses
    const kernel = recent.kept.variants.get(recent.variant)
    return kernel instanceof UnsupportedByEngine ? undefined : kernel
  }

  #checkSize({ nodes: { length } }: Program) {
    if (length <= this.#maxNodes) return
    throw new UnsupportedByEngine(
      `it has ${length} operations, this thread compiles at most ${this.#maxNodes}`,
    )
  }

  /** @returns the key of the variant, which is cached */
  #find(kept: Kept, { program, sizes, scalars }: Wanted, uniform: boolean, types: ElementTypes): string {
    const staticPredicates = evaluateStaticPredicates(program, scalars)
    const lanes = this.#lanesFor(kept, program, staticPredicates, sizes)
    const key = this.#variant(kept, program, types, { uniform, staticPredicates, lanes })
    // A kernel with the rows in the lanes may be too large.
    const isTooLarge = lanes !== undefined && kept.variants.get(key) instanceof UnsupportedByEngine
    return isTooLarge ? this.#variant(kept, program, types, { uniform, staticPredicates }) : key
  }

  #variant(kept: Kept, program: Program, types: ElementTypes, variant: Specialization): string {
    const { uniform, staticPredicates, lanes } = variant
    const { lane, narrow } = types
    const key = `${lane.precision} ${[...narrow]} ${uniform} ${[...staticPredicates.values()]} ${lanes ?? ''}`
    if (kept.variants.has(key)) {
      this.#hits++
      return key
    }
    this.#misses++
    const made = this.#compile(program, types, variant)
    this.#makeRoom(kept, bytesOf(made))
    kept.variants.set(key, made)
    this.#bytes += bytesOf(made)
    return key
  }

  /** Evicts the least recently used programs, and if that is not enough, other kernels of the same program. */
  #makeRoom(kept: Kept, bytes: number) {
    while (this.#kept.size > 1 && this.#isOver(bytes)) this.#evictOldest(kept)
    if (this.#isOver(bytes)) this.#empty(kept)
  }

  #isOver(bytes: number): boolean {
    return this.#kept.size > CACHED.programs || this.#bytes + bytes > CACHED.bytes
  }

  #evictOldest(current: Kept) {
    let oldest: [Program, Kept] | undefined
    for (const entry of this.#kept) {
      if (entry[1] !== current && (oldest === undefined || entry[1].used < oldest[1].used)) oldest = entry
    }
    if (oldest === undefined) return
    this.#kept.delete(oldest[0])
    this.#empty(oldest[1])
  }

  #empty({ variants, limits }: Kept) {
    for (const made of variants.values()) {
      this.#bytes -= bytesOf(made)
      if (!(made instanceof UnsupportedByEngine)) this.#onEvict(made)
    }
    variants.clear()
    limits.clear()
  }

  /** The axis to vectorize; undefined for the fastest one. */
  #lanesFor(
    { axes, limits }: Kept,
    program: Program,
    staticPredicates: StaticPredicates,
    sizes: Batch['sizes'],
  ): string | undefined {
    if (axes === undefined) return undefined
    return stridedVectorAxes(axes, sizes).find((axis) => {
      const key = `${[...staticPredicates.values()]} ${axis}`
      const limit = limits.get(key) ?? limitOf(program, staticPredicates, axis)
      limits.set(key, limit)
      return sizes[axes.fastest] <= limit
    })
  }

  /** Like `kernelFor`, but undefined if the program cannot be compiled. */
  find(batch: Wanted): Compiled | undefined {
    try {
      return this.kernelFor(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return undefined
      throw error
    }
  }

  /**
   * Whether a program has a kernel. A large program is compiled to find out, and cached, because the caller is likely to
   * use it.
   */
  canCompile(program: Program, precision: Precision): boolean {
    if (program.nodes.length > this.#maxNodes) return false
    if (surelyCompiles(program)) return true
    const kept = this.#keptOf(program)
    const types = { lane: lanesOf(precision), narrow: new Set<string>() }
    const variant = this.#variant(kept, program, types, {
      uniform: true,
      staticPredicates: NO_STATIC_PREDICATES,
    })
    return !(kept.variants.get(variant) instanceof UnsupportedByEngine)
  }

  #keptOf(program: Program): Kept {
    const kept = this.#kept.get(program) ?? {
      axes: laneAxesOf(program),
      variants: new Map(),
      limits: new Map(),
      used: 0,
    }
    kept.used = ++this.#uses
    this.#kept.set(program, kept)
    return kept
  }

  /** Programs that cannot be compiled are cached, too. */
  #compile(program: Program, types: ElementTypes, variant: Specialization): Compiled | UnsupportedByEngine {
    try {
      const kernel = compile(program, variant, this.#target, types)
      return compiled(kernel, this.#nextId++)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return error
      throw error
    }
  }
}

function isAnswer(recent: Recent, batch: Wanted): boolean {
  if (recent.program !== batch.program || recent.precision !== batch.precision) return false
  if (recent.uniform !== isUniform(batch) || !isAsNarrow(recent, batch)) return false
  return recent.axes === undefined || sameVectorAxis(recent.axes, recent.sizes, batch.sizes)
}

const NONE: ReadonlySet<string> = new Set()

/** The float32 inputs of a float64 batch. A column with numbers of both precisions is float64. */
function narrowInputsOf({ precision, inputs }: Wanted): ReadonlySet<string> {
  if (precision === 'float32') return NONE
  return new Set(Object.keys(inputs).filter((name) => isFloat32(inputs[name])))
}

function isAsNarrow({ narrow }: Recent, { precision, inputs }: Wanted): boolean {
  if (precision === 'float32') return true
  for (const name in inputs) if (isFloat32(inputs[name]) !== narrow.has(name)) return false
  return true
}

function isFloat32(column: ChunkedArray): boolean {
  return column.every((part) => part instanceof Float32Array)
}

/** Whether the cotangent is one number for all values. */
function isUniform({ cotangent }: Wanted): boolean {
  return cotangent.length === 1 && cotangent[0].length === 1
}

function bytesOf(made: Compiled | UnsupportedByEngine): number {
  return made instanceof UnsupportedByEngine ? 0 : made.bytes.length
}

/**
 * The maximum length of the fastest axis for which another one is vectorized. The same for every cotangent, so that a
 * job uses the same lanes alone and in a batch.
 */
export function limitOf(program: Program, staticPredicates: StaticPredicates, lanes: string): number {
  try {
    return vectorizationThreshold(planOf(program, { uniform: true, staticPredicates, lanes }), lanes)
  } catch (error) {
    if (error instanceof UnsupportedByEngine) return 0
    throw error
  }
}

/** Estimated nanoseconds per iteration and unit of the planner's weight, before anything is measured. */
const GUESSED_NS = 0.15

function compiled(kernel: Kernel, id: number): Compiled {
  let module: WebAssembly.Module | undefined
  return {
    ...kernel,
    id,
    nsPerTurn: kernel.weight * GUESSED_NS,
    get module() {
      module ??= new WebAssembly.Module(kernel.bytes)
      return module
    },
  }
}
