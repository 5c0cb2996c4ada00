/**
 * The kernel cache (LRU): programs -> compiled kernels. Besides the program, the key contains whether the cotangent
 * is a single number, the values of conditions that depend only on parameters (constant specialization: what a
 * parameter switches off costs nothing), and the vectorized axis. Sizes matter only because lanes.ts uses them to
 * choose that axis.
 */

import type { Program } from '../../language/ir.ts'
import type { Specialization } from '../../loops/legalize.ts'
import {
  evaluateStaticPredicates,
  NO_STATIC_PREDICATES,
  type StaticPredicates,
} from '../../loops/static-predicates.ts'
import { use } from '../../lru.ts'
import { type Batch, type CompileCache, UnsupportedByEngine } from '../contract.ts'
import { compile, type Kernel, planOf } from './kernel.ts'
import {
  type LaneAxes,
  laneAxesOf,
  sameVectorAxis,
  stridedVectorAxes,
  vectorizationThreshold,
} from './lanes.ts'
import { constF32x4, encodeModule, FunctionBuilder, get, op, V128 } from './wasm-encoder.ts'
import type { Target } from './wide.ts'

/** Maximum number of programs with cached kernels. */
const MAX_KEPT = 512

/** A kernel and its module. */
export interface Compiled extends Kernel {
  readonly id: number
  /** The module for memories that threads share, compiled on first use. */
  readonly module: WebAssembly.Module
  /** Measured nanoseconds per iteration of all loops. */
  nsPerTurn: number
}

/** Whether this runtime supports relaxed SIMD. */
export function detectTarget(): Target {
  const f = new FunctionBuilder([V128], [V128])
  f.add(op('f32x4.relaxed_madd', get(0), get(0), constF32x4(1)))
  const bytes = encodeModule({ imports: [], functions: [f], exports: {}, maxPages: 1 })
  return { relaxed: WebAssembly.validate(bytes) }
}

/** The parts of a batch that select its kernel. */
type Wanted = Pick<Batch, 'program' | 'sizes' | 'scalars' | 'cotangent'>

interface Recent {
  readonly program: Program
  readonly uniform: boolean
  readonly axes: LaneAxes | undefined
  readonly sizes: Batch['sizes']
  readonly kernel: Compiled
}

/** The cache entry of a program. */
interface Kept {
  readonly axes: LaneAxes | undefined
  readonly variants: Map<string, Compiled | UnsupportedByEngine>
  /** Maximum length of the fastest axis for which another axis is vectorized. */
  readonly limits: Map<string, number>
}

export class KernelCache {
  readonly #target: Target
  readonly #maxNodes: number
  /** By program: equal programs are one object, because their source keeps them. */
  readonly #kept = new Map<Program, Kept>()
  /** Fast path keyed by the parameters object, which requests of one structure share. */
  readonly #recent = new WeakMap<object, Recent>()
  #nextId = 1
  #hits = 0
  #misses = 0

  /** @param maxNodes operations of the largest program that is compiled: it takes up to a millisecond for each */
  constructor(target: Target, maxNodes = Number.POSITIVE_INFINITY) {
    this.#target = target
    this.#maxNodes = maxNodes
  }

  /** Number of programs with cached kernels. */
  get size(): number {
    return this.#kept.size
  }

  /** Cache statistics. A launch like the last one does not count as a lookup. */
  get state(): CompileCache {
    return { entries: this.#kept.size, capacity: MAX_KEPT, hits: this.#hits, misses: this.#misses }
  }

  /** @throws UnsupportedByEngine if the program's kernel would be too large */
  kernelFor(batch: Wanted): Compiled {
    const { program, sizes, scalars, cotangent } = batch
    const uniform = cotangent.length === 1 && cotangent[0].length === 1
    const recent = this.#recent.get(scalars)
    if (recent !== undefined && isAnswer(recent, program, uniform, sizes)) return recent.kernel
    this.#checkSize(program)
    const kept = this.#keptOf(program)
    const kernel = this.#find(kept, batch, uniform)
    this.#recent.set(scalars, { program, uniform, axes: kept.axes, sizes, kernel })
    return kernel
  }

  #checkSize({ nodes: { length } }: Program) {
    if (length <= this.#maxNodes) return
    throw new UnsupportedByEngine(
      `it has ${length} operations, this thread compiles at most ${this.#maxNodes}`,
    )
  }

  #find(kept: Kept, { program, sizes, scalars }: Wanted, uniform: boolean): Compiled {
    const staticPredicates = evaluateStaticPredicates(program, scalars)
    const lanes = this.#lanesFor(kept, program, staticPredicates, sizes)
    const made = this.#variant(kept, program, { uniform, staticPredicates, lanes })
    // A kernel with the rows in the lanes may be too large.
    const found =
      made instanceof UnsupportedByEngine && lanes !== undefined
        ? this.#variant(kept, program, { uniform, staticPredicates })
        : made
    if (found instanceof UnsupportedByEngine) throw found
    return found
  }

  #variant({ variants }: Kept, program: Program, variant: Specialization): Compiled | UnsupportedByEngine {
    const { uniform, staticPredicates, lanes } = variant
    const key = `${uniform} ${[...staticPredicates.values()]} ${lanes ?? ''}`
    const known = variants.get(key)
    if (known !== undefined) {
      this.#hits++
      return known
    }
    this.#misses++
    const made = this.#compile(program, variant)
    variants.set(key, made)
    return made
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

  /** Whether a program has a kernel. It is compiled to find out, but not cached. */
  canCompile(program: Program): boolean {
    if (program.nodes.length > this.#maxNodes) return false
    return !(
      this.#compile(program, { uniform: true, staticPredicates: NO_STATIC_PREDICATES }) instanceof
      UnsupportedByEngine
    )
  }

  #keptOf(program: Program): Kept {
    const kept = this.#kept.get(program) ?? {
      axes: laneAxesOf(program),
      variants: new Map(),
      limits: new Map(),
    }
    return use(this.#kept, program, kept, MAX_KEPT)
  }

  /** Programs that cannot be compiled are cached, too. */
  #compile(program: Program, variant: Specialization): Compiled | UnsupportedByEngine {
    try {
      const kernel = compile(program, variant, this.#target)
      return compiled(kernel, this.#nextId++)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return error
      throw error
    }
  }
}

function isAnswer(recent: Recent, program: Program, uniform: boolean, sizes: Batch['sizes']): boolean {
  if (recent.program !== program || recent.uniform !== uniform) return false
  return recent.axes === undefined || sameVectorAxis(recent.axes, recent.sizes, sizes)
}

/** The same for every cotangent, so that a job uses the same lanes alone and in a batch. */
function limitOf(program: Program, staticPredicates: StaticPredicates, lanes: string): number {
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
