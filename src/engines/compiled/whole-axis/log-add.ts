/** Sums of numbers that are given by their logarithms, two lanes at a time, in float64. */
import { FLOAT64 } from '../lane-type.ts'
import { mathOf } from '../math.ts'
import { type Code, constF64x2, type FunctionBuilder, op } from '../wasm-encoder.ts'
import type { TargetFeatures } from '../wide.ts'

/** No number: the logarithm of 0. */
export const NEVER = constF64x2(Number.NEGATIVE_INFINITY)
const LOWEST = constF64x2(-Number.MAX_VALUE)

const notNumber = (x: Code) => op('f64x2.ne', x, x)

/** ln(e^a + e^b + e^c) of values in locals, also where it is nearly 0. NaN is propagated. */
export function logAdd3(f: FunctionBuilder, target: TargetFeatures, a: Code, b: Code, c: Code): Code {
  const { ops, expUpToZero } = mathOf(FLOAT64)
  const [low, high] = [f.let(op('f64x2.pmin', a, b)), f.let(op('f64x2.pmax', a, b))]
  const middle = f.let(op('f64x2.pmin', high, c))
  // A difference of infinities is NaN, so the largest is finite if all are infinitely small.
  const largest = f.let(op('f64x2.pmax', op('f64x2.pmax', high, c), LOWEST))
  const power = (x: Code) => expUpToZero(f, target, f.let(op('f64x2.sub', x, largest)))
  // The power of the largest is 1.
  const rest = f.let(op('f64x2.add', f.let(power(low)), f.let(power(middle))))
  const isNever = op('f64x2.eq', largest, LOWEST)
  const found = f.let(op('f64x2.add', largest, ops.log1p.write(f, target, rest)))
  // The largest of infinite ones minus itself is NaN.
  const isInfinite = op('f64x2.eq', largest, constF64x2(Number.POSITIVE_INFINITY))
  const strange = op('v128.or', op('v128.or', notNumber(b), notNumber(c)), isInfinite)
  return op('v128.or', op('v128.bitselect', NEVER, found, isNever), strange)
}

/** e^x of logarithms of shares, which are not above 0 but for rounding. */
export function shareOf(f: FunctionBuilder, target: TargetFeatures, x: Code): Code {
  return mathOf(FLOAT64).expUpToZero(f, target, f.let(x))
}
