/**
 * Integer inference: which expressions are integers by construction and may therefore be used as indices:
 * `gather(x, index(time) - 1, time)`, `pick(sorted, size(rows) - k, rows)`. Some integers are not recognized, but every
 * recognized expression is an integer.
 */
import type { Builder, Ref } from './builder.ts'
import type { FormulaOp } from './ir.ts'

/** Ops whose result is an integer if their arguments are. */
const KEEPS_WHOLE: ReadonlySet<FormulaOp> = new Set([
  'neg',
  'abs',
  'sign',
  'add',
  'sub',
  'mul',
  'max',
  'min',
  'stop_gradient',
] satisfies FormulaOp[])

/** Ops whose result is finite if their arguments are. Sizes of axes are too small to overflow. */
const KEEPS_FINITE: ReadonlySet<FormulaOp> = new Set([...KEEPS_WHOLE, 'floor', 'round'] satisfies FormulaOp[])

/**
 * @example
 * isWhole(build, build.sub(build.index('time'), build.constant(1))) // true
 */
export function isWhole(build: Builder, ref: Ref): boolean {
  const known = INFERENCES.get(build) ?? new Inference(build)
  INFERENCES.set(build, known)
  return known.isWhole(ref)
}

/** Nodes of a builder never change, so what is inferred of them may be kept. */
const INFERENCES = new WeakMap<Builder, Inference>()

/** Visits each node once, however often it is used. */
class Inference {
  readonly #build: Builder
  readonly #whole = new Map<Ref, boolean>()
  readonly #finite = new Map<Ref, boolean>()

  constructor(build: Builder) {
    this.#build = build
  }

  readonly isWhole = (ref: Ref): boolean => {
    const known = this.#whole.get(ref) ?? this.#inferWhole(ref)
    this.#whole.set(ref, known)
    return known
  }

  #inferWhole(ref: Ref): boolean {
    const { op, args, type } = this.#build.nodes[ref]
    if (type === 'index' || op === 'size') return true
    if (op === 'constant') return Number.isInteger(this.#build.constantOf(ref))
    if (op === 'select') return this.isWhole(args[1]) && this.isWhole(args[2])
    if (op === 'floor' || op === 'round') return this.#isFinite(args[0])
    return KEEPS_WHOLE.has(op) && args.every(this.isWhole)
  }

  /** Consists of integers and constants, and has no divisor that may be 0. */
  readonly #isFinite = (ref: Ref): boolean => {
    const known = this.#finite.get(ref) ?? this.#inferFinite(ref)
    this.#finite.set(ref, known)
    return known
  }

  #inferFinite(ref: Ref): boolean {
    const { op, args } = this.#build.nodes[ref]
    if (this.isWhole(ref)) return true
    if (op === 'constant') return Number.isFinite(this.#build.constantOf(ref))
    if (op === 'div') return args.every(this.#isFinite) && this.#isNonZero(args[1])
    return KEEPS_FINITE.has(op) && args.every(this.#isFinite)
  }

  #isNonZero(ref: Ref): boolean {
    const value = this.#build.constantOf(ref)
    return value !== undefined && value !== 0
  }
}
