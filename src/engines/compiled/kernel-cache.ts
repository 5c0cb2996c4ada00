/**
 * Programs -> kernels, compiled once and kept: by program, by what the cotangent looks like, by the truth of the
 * conditions that only depend on parameters, so that what a parameter switches off costs nothing, and by the axis that
 * goes through the lanes. By sizes only as far as lanes.ts chooses that axis.
 */
import type { Program } from '../../language/ir.ts'
import { type Batch, type CompileCache, UnsupportedByEngine } from '../contract.ts'
import { compile, type Kernel, planOf } from './kernel.ts'
import {
  type LaneAxes,
  laneAxesOf,
  sameVectorAxis,
  stridedVectorAxes,
  vectorizationThreshold,
} from './lanes.ts'
import type { Variant } from './legalize.ts'
import { evaluateStaticPredicates, NO_STATIC_PREDICATES, type StaticPredicates } from './static-predicates.ts'
import { constF32x4, encodeModule, FunctionBuilder, get, op, V128 } from './wasm-encoder.ts'
import type { Target } from './wide.ts'

/** Programs whose kernels are kept; past it, the one unused for longest goes. */
const MAX_KEPT = 512

/** A kernel and its module. */
export interface Compiled extends Kernel {
  readonly id: number
  /** For memories that threads share; made when it is first asked for. */
  readonly module: WebAssembly.Module
  /** Nanoseconds for each turn of all loops, learned from launches. */
  nsPerTurn: number
}

/** Whether this runtime has relaxed SIMD. */
export function detectTarget(): Target {
  const f = new FunctionBuilder([V128], [V128])
  f.add(op('f32x4.relaxed_madd', get(0), get(0), constF32x4(1)))
  const bytes = encodeModule({ imports: [], functions: [f], exports: {}, maxPages: 1 })
  return { relaxed: WebAssembly.validate(bytes) }
}

/** What a kernel is looked up for. */
type Wanted = Pick<Batch, 'program' | 'sizes' | 'scalars' | 'cotangent'>

interface Recent {
  readonly program: Program
  readonly uniform: boolean
  readonly axes: LaneAxes | undefined
  readonly sizes: Batch['sizes']
  readonly kernel: Compiled
}

/** What is kept of a program. */
interface Kept {
  readonly axes: LaneAxes | undefined
  readonly variants: Map<string, Compiled | UnsupportedByEngine>
  /** How long the fastest axis may be for another one to go through the lanes. */
  readonly limits: Map<string, number>
}

export class KernelCache {
  readonly #target: Target
  readonly #maxNodes: number
  /** By program: equal programs are one object, because their source keeps them. */
  readonly #kept = new Map<Program, Kept>()
  /** By the parameters' object, which requests of one structure share: the kernel is found at once. */
  readonly #recent = new WeakMap<object, Recent>()
  #nextId = 1
  #hits = 0
  #misses = 0

  /** @param maxNodes operations of the largest program that is compiled: it takes up to a millisecond for each */
  constructor(target: Target, maxNodes = Number.POSITIVE_INFINITY) {
    this.#target = target
    this.#maxNodes = maxNodes
  }

  /** Programs whose kernels are kept. */
  get size(): number {
    return this.#kept.size
  }

  /** Look-ups; a launch like the last one needs none. */
  get state(): CompileCache {
    return { entries: this.#kept.size, capacity: MAX_KEPT, hits: this.#hits, misses: this.#misses }
  }

  /**
   * @throws UnsupportedByEngine when the program's kernel would be too large
   */
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
    // With the rows in the lanes a kernel may be larger.
    const found =
      made instanceof UnsupportedByEngine && lanes !== undefined
        ? this.#variant(kept, program, { uniform, staticPredicates })
        : made
    if (found instanceof UnsupportedByEngine) throw found
    return found
  }

  #variant({ variants }: Kept, program: Program, variant: Variant): Compiled | UnsupportedByEngine {
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

  /** The axis to put into the lanes; undefined for the fastest. */
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

  /** As `kernelFor`, but undefined where the program cannot be compiled. */
  find(batch: Wanted): Compiled | undefined {
    try {
      return this.kernelFor(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return undefined
      throw error
    }
  }

  /** Whether a program has a kernel; compiles it to find out, but does not keep it. */
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
    this.#kept.delete(program)
    this.#kept.set(program, kept)
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    return kept
  }

  /** What cannot be compiled is remembered, too. */
  #compile(program: Program, variant: Variant): Compiled | UnsupportedByEngine {
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

/** The same for every cotangent, so that a job takes the same lanes alone and merged with others. */
function limitOf(program: Program, staticPredicates: StaticPredicates, lanes: string): number {
  try {
    return vectorizationThreshold(planOf(program, { uniform: true, staticPredicates, lanes }), lanes)
  } catch (error) {
    if (error instanceof UnsupportedByEngine) return 0
    throw error
  }
}

/** A turn of all loops costs about so much for each unit of the planner's weight, before it has been measured. */
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
