/**
 * Integer inference: which expressions are whole numbers by construction, so that they may be places of an axis:
 * `gather(x, index(time) - 1, time)`, `pick(sorted, size(rows) - k, rows)`. It errs on one side.
 */
import type { Builder, Ref } from './builder.ts'
import type { FormulaOp } from './ir.ts'

/** Of whole numbers they make whole numbers. */
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

/** Of finite numbers they make finite numbers (but for overflow, which no size of an axis comes near). */
const KEEPS_FINITE: ReadonlySet<FormulaOp> = new Set([...KEEPS_WHOLE, 'floor', 'round'] satisfies FormulaOp[])

/**
 * @example
 * isWhole(build, build.sub(build.index('time'), build.constant(1))) // true
 */
export function isWhole(build: Builder, ref: Ref): boolean {
  return new Inference(build).isWhole(ref)
}

/** Asks about each node once, however often it is used. */
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

  /** Made of whole numbers and constants alone, and divided by nothing that may be 0. */
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
