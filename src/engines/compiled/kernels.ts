/**
 * Programs -> kernels, compiled once and kept: by program, by what the cotangent looks like, and by the truth of the
 * conditions that only depend on parameters, so that what a parameter switches off costs nothing. Never by sizes.
 */
import type { Node, Program } from '../../language/ir.ts'
import { evaluateScalar, isElementwise } from '../../language/scalar.ts'
import { type Batch, UnsupportedByEngine } from '../define.ts'
import type { Variant } from './expand.ts'
import { compile, type Kernel } from './kernel.ts'
import type { Target } from './math.ts'
import { constF32x4, encodeModule, FunctionBuilder, get, op, V128 } from './wasm.ts'

/** Programs whose kernels are kept; past it, the one unused for longest goes. */
const MAX_KEPT = 512

/** A kernel and its module. */
export interface Compiled extends Kernel {
  readonly id: number
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

interface Recent {
  readonly program: Program
  readonly uniform: boolean
  readonly kernel: Compiled
}

type Variants = Map<string, Compiled | UnsupportedByEngine>

export class KernelCache {
  readonly #target: Target
  /** By program: equal programs are one object, because their source keeps them. */
  readonly #kept = new Map<Program, Variants>()
  readonly #switches = new WeakMap<Program, readonly number[]>()
  /** By the parameters' object, which requests of one structure share: the kernel is found at once. */
  readonly #recent = new WeakMap<object, Recent>()
  #nextId = 1

  constructor(target: Target) {
    this.#target = target
  }

  /** Programs whose kernels are kept. */
  get size(): number {
    return this.#kept.size
  }

  /**
   * @throws UnsupportedByEngine when the program's kernel would be too large
   */
  kernelFor(batch: Pick<Batch, 'program' | 'scalars' | 'cotangent'>): Compiled {
    const { program, scalars, cotangent } = batch
    const uniform = cotangent.length === 1 && cotangent[0].length === 1
    const recent = this.#recent.get(scalars)
    if (recent?.program === program && recent.uniform === uniform) return recent.kernel
    const kernel = this.#find(batch, uniform)
    this.#recent.set(scalars, { program, uniform, kernel })
    return kernel
  }

  #find({ program, scalars }: Pick<Batch, 'program' | 'scalars'>, uniform: boolean): Compiled {
    const variants = this.#variantsOf(program)
    const truths = this.#truthsOf(program, scalars)
    const key = `${uniform}${truths.size === 0 ? '' : [...truths.values()]}`
    const made = variants.get(key) ?? this.#compile(program, { uniform, truths })
    variants.set(key, made)
    if (made instanceof UnsupportedByEngine) throw made
    return made
  }

  /** As `kernelFor`, but undefined where the program cannot be compiled. */
  find(batch: Pick<Batch, 'program' | 'scalars' | 'cotangent'>): Compiled | undefined {
    try {
      return this.kernelFor(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return undefined
      throw error
    }
  }

  /** Whether a program has a kernel; compiles it to find out, but does not keep it. */
  canCompile(program: Program): boolean {
    return !(this.#compile(program, { uniform: true, truths: NO_TRUTHS }) instanceof UnsupportedByEngine)
  }

  #variantsOf(program: Program): Variants {
    const variants: Variants = this.#kept.get(program) ?? new Map()
    this.#kept.delete(program)
    this.#kept.set(program, variants)
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!)
    return variants
  }

  /** What cannot be compiled is remembered, too. */
  #compile(program: Program, variant: Variant): Compiled | UnsupportedByEngine {
    try {
      const kernel = compile(program, variant, this.#target)
      const module = new WebAssembly.Module(kernel.bytes)
      return { ...kernel, module, id: this.#nextId++, nsPerTurn: kernel.weight * GUESSED_NS }
    } catch (error) {
      if (error instanceof UnsupportedByEngine) return error
      throw error
    }
  }

  #truthsOf(program: Program, scalars: Batch['scalars']): ReadonlyMap<number, boolean> {
    const known = this.#switches.get(program) ?? switchesOf(program)
    this.#switches.set(program, known)
    if (known.length === 0) return NO_TRUTHS
    const value = (id: number): number => scalarOf(program.nodes[id], scalars, value)
    return new Map(known.map((id) => [id, value(id) !== 0]))
  }
}

const NO_TRUTHS: ReadonlyMap<number, boolean> = new Map()

/** A turn of all loops costs about so much for each unit of the planner's weight, before it has been measured. */
const GUESSED_NS = 0.15

/** Conditions that depend on parameters alone. */
function switchesOf({ nodes }: Program): number[] {
  const dependsOnParams = (node: Node): boolean =>
    node.op === 'scalar' ||
    node.op === 'constant' ||
    (isElementwise(node.op) &&
      node.axes.length === 0 &&
      node.args.every((arg) => dependsOnParams(nodes[arg])))
  return nodes.flatMap((node, id) =>
    node.type === 'bool' && node.op !== 'constant' && dependsOnParams(node) ? [id] : [],
  )
}

function scalarOf(
  { op: name, args, value, name: own }: Node,
  scalars: Batch['scalars'],
  inner: (id: number) => number,
): number {
  if (name === 'constant') return value!
  return name === 'scalar' ? scalars[own!] : evaluateScalar(name, args.map(inner))
}
