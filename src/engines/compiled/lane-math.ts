/** What the functions of both lane types are made from: polynomials, signs, and the special cases of logarithms. */
import type { LaneType } from './lane-type.ts'
import { type Code, type FunctionBuilder, op } from './wasm-encoder.ts'
import { bitselect, type TargetFeatures } from './wide.ts'

/** Emits the code of a function into `f`. */
export type Writer = (f: FunctionBuilder, target: TargetFeatures, ...args: Code[]) => Code

/** The functions that each lane type has its own algorithms for. */
export interface LaneSpecificMath {
  readonly expm1: Writer
  /** exp of arguments <= 0, flushing denormals to 0. */
  readonly expUpToZero: Writer
  readonly log: Writer
  /** The logarithm to another base, whose powers have whole logarithms. */
  readonly log2: Writer
  readonly log10: Writer
  /** log(1 + x) for 0 <= x <= 1. */
  readonly log1pUnitInterval: Writer
  /** |a|^b, given |a|. */
  readonly powOfMagnitude: Writer
  readonly erf: Writer
  readonly atan: Writer
  readonly asin: Writer
  readonly acos: Writer
  /** Sine and cosine of arguments up to a limit; beyond, the result may be anything. */
  readonly sin: Writer
  readonly cos: Writer
  readonly largestAngle: number
}

/** a * b + c. */
export function madd(lane: LaneType, { relaxed }: TargetFeatures, a: Code, b: Code, c: Code): Code {
  return relaxed ? lane.fused(a, b, c) : lane.op('add', lane.op('mul', a, b), c)
}

/** Horner's rule, coefficients from the highest power down. */
export function horner(
  lane: LaneType,
  target: TargetFeatures,
  x: Code,
  coefficients: readonly number[],
): Code {
  const [highest, ...rest] = coefficients
  return rest.reduce<Code>(
    (sum, coefficient) => madd(lane, target, sum, x, lane.constant(coefficient)),
    lane.constant(highest),
  )
}

/** A number that is not negative, with the sign of another one. */
export function withSignOf(lane: LaneType, magnitude: Code, signed: Code): Code {
  return op('v128.or', magnitude, op('v128.and', signed, lane.constant(-0)))
}

/**
 * log 0 = -infinity, log infinity = infinity, and NaN for negative numbers and NaN. sqrt gives all of these except
 * the first.
 */
export function withLogEdges(lane: LaneType, f: FunctionBuilder, x: Code, result: Code): Code {
  const isZero = lane.op('eq', x, lane.constant(0))
  const infinite = op('v128.and', isZero, lane.constant(Number.NEGATIVE_INFINITY))
  const edge = lane.op('add', lane.op('sqrt', x), infinite)
  return bitselect(isPositive(lane, x), f.let(result), f.let(edge))
}

/** Whether a number is positive and finite. */
export function isPositive(lane: LaneType, x: Code): Code {
  return op(
    'v128.and',
    lane.op('gt', x, lane.constant(0)),
    lane.op('lt', x, lane.constant(Number.POSITIVE_INFINITY)),
  )
}
