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
  const known = KNOWN.get(build) ?? new Map<Ref, boolean>()
  KNOWN.set(build, known)
  const found = known.get(ref) ?? isWholeNode(build, ref)
  known.set(ref, found)
  return found
}

/** Every node is asked about once, however many ways lead to it. */
const KNOWN = new WeakMap<Builder, Map<Ref, boolean>>()

function isWholeNode(build: Builder, ref: Ref): boolean {
  const { op, args, type } = build.nodes[ref]
  if (type === 'index' || op === 'size') return true
  if (op === 'constant') return Number.isInteger(build.constantOf(ref))
  if (op === 'select') return isWhole(build, args[1]) && isWhole(build, args[2])
  if (op === 'floor' || op === 'round') return isFiniteNumber(build, args[0])
  return KEEPS_WHOLE.has(op) && args.every((arg) => isWhole(build, arg))
}

/** Made of whole numbers and constants alone, and divided by nothing that may be 0. */
function isFiniteNumber(build: Builder, ref: Ref): boolean {
  const { op, args } = build.nodes[ref]
  if (isWhole(build, ref)) return true
  if (op === 'constant') return Number.isFinite(build.constantOf(ref))
  if (op === 'div')
    return isFiniteNumber(build, args[0]) && isFiniteNumber(build, args[1]) && isNonZero(build, args[1])
  return KEEPS_FINITE.has(op) && args.every((arg) => isFiniteNumber(build, arg))
}

function isNonZero(build: Builder, ref: Ref): boolean {
  const value = build.constantOf(ref)
  return value !== undefined && value !== 0
}
