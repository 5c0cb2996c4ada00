/**
 * lgamma, digamma and polygamma for all engines: one algorithm (polynomial approximation, Stirling's series, reflection),
 * generic in the engine's arithmetic: float64 in SIMD lanes, float32 in WGSL, tensors. It is branch-free: all cases are
 * computed, and one is selected. language/gamma.ts is the reference.
 */
import {
  cotDerivativePolynomial,
  DIGAMMA_ZERO,
  digammaTail,
  digamma as exactDigamma,
  lgamma as exactLgamma,
  factorial,
  hurwitzTail,
  stirlingTail,
} from '../language/gamma.ts'
import type { Precision } from '../tensor.ts'
import { interpolate } from './compiled/chebyshev.ts'

/** The arithmetic of an engine. Truth values have the same type as numbers. */
export interface Arithmetic<T> {
  /** A constant, which may be infinite or NaN. */
  number(value: number): T
  add(a: T, b: T): T
  sub(a: T, b: T): T
  mul(a: T, b: T): T
  div(a: T, b: T): T
  /** a * b + c. */
  madd(a: T, b: T, c: T): T
  less(a: T, b: T): T
  select(test: T, yes: T, no: T): T
  /** Stores a value that is read more than once. */
  keep(x: T): T
}

/** A number and parts of it, all of which are exact even in an engine that rounds every step. */
export interface ReducedArgument<T> {
  readonly x: T
  /** |x| */
  readonly size: T
  /** x minus the nearest integer, and the absolute value of that. */
  readonly rest: T
  readonly distance: T
}

/** Natural logarithms. That of 0 is -infinity; that of a number that is not finite may be anything. */
export interface ArgumentLogs<T> {
  readonly ofSize: T
  readonly ofDistance: T
}

/** From here on, Stirling's series is used. */
const END = 3
/** ln(2 pi) / 2 - 1/2 */
const STIRLING = (Math.log(2 * Math.PI) - 1) / 2

/** The polynomials for results of one precision. */
interface Polynomials {
  /** ln gamma(y) / ((y - 1) (y - 2)) in y - 2 on [-1, 1]. The zeros are factors, so that no digits are lost near them. */
  readonly lgamma: readonly number[]
  /** digamma(y) / (y - zero) in y - 2 on [-1, 1]. */
  readonly digamma: readonly number[]
  /** ln gamma(y) minus the first terms of Stirling's series, times y, in 1 / y^2 on [0, 1/9]. */
  readonly lgammaTail: readonly number[]
  /** ln y - 1 / 2y minus digamma(y), times y^2, in the same variable. */
  readonly digammaTail: readonly number[]
  /** ln(sin(pi r) / (pi r)), and pi r cot(pi r) / (1 - 4 r^2), in r^2 on [0, 1/4]. */
  readonly logSine: readonly number[]
  readonly cotangent: readonly number[]
  /** For polygamma: number of terms that are added up directly, and of the Euler-Maclaurin series for the rest. */
  readonly terms: number
  readonly series: number
}

/**
 * @param degrees of lgamma and digamma (odd, so that the interpolation points are in pairs around 2 and none is at 2, where
 * the quotient is 0 / 0), of the tails, and of the functions of a turn
 */
function polynomialsOf([near, far, turn]: readonly [number, number, number]): Omit<
  Polynomials,
  'terms' | 'series'
> {
  return {
    lgamma: interpolate((t) => lgammaOverZeros(t + 2), -1, 1, near),
    digamma: interpolate((t) => exactDigamma(t + 2) / fromZero(t + 2), -1, 1, near),
    lgammaTail: interpolate((w) => stirlingRest(1 / Math.sqrt(w)), 0, 1 / END ** 2, far),
    digammaTail: interpolate((w) => digammaRest(1 / Math.sqrt(w)), 0, 1 / END ** 2, far),
    logSine: interpolate((w) => logSine(Math.PI * Math.sqrt(w)), 0, 1 / 4, turn),
    cotangent: interpolate((w) => cotangent(Math.PI * Math.sqrt(w)) / (1 - 4 * w), 0, 1 / 4, turn),
  }
}

const POLYNOMIALS: Readonly<Record<Precision, Polynomials>> = {
  float32: { ...polynomialsOf([17, 6, 10]), terms: 8, series: 6 },
  float64: { ...polynomialsOf([31, 20, 20]), terms: 14, series: 12 },
}

/** The distances to the zeros are taken from y as it is rounded. */
function lgammaOverZeros(y: number): number {
  return exactLgamma(y) / ((y - 1) * (y - 2))
}

function fromZero(y: number): number {
  return y - DIGAMMA_ZERO.high - DIGAMMA_ZERO.low
}

/** What Stirling's series leaves of ln gamma(y), times y. With u = 1 / (2y + 1), it decreases by the sum of u^2k / (2k + 1). */
function stirlingRest(y: number): number {
  return y * summed(y, stirlingTail, (u, k) => u ** (2 * k) / (2 * k + 1))
}

/** The same for digamma, times y^2. It decreases by the sum of 4k u^(2k + 1) / (2k + 1). */
function digammaRest(y: number): number {
  return y * y * summed(y, digammaTail, (u, k) => (4 * k * u ** (2 * k + 1)) / (2 * k + 1))
}

/** A function that is known from 10 on, from what it decreases by between y and y + 1. All terms are positive. */
function summed(y: number, far: (y: number) => number, term: (u: number, k: number) => number): number {
  if (y >= 10) return far(y)
  let decrease = 0
  for (let k = 30; k > 0; k--) decrease += term(1 / (2 * y + 1), k)
  return decrease + summed(y + 1, far, term)
}

function logSine(angle: number): number {
  return Math.log(Math.sin(angle) / angle)
}

function cotangent(angle: number): number {
  return angle / Math.tan(angle)
}

/** Coefficients from the lowest power up. */
function horner<T>(on: Arithmetic<T>, t: T, coefficients: readonly number[]): T {
  const [highest, ...rest] = [...coefficients].reverse()
  return rest.reduce((sum, c) => on.madd(sum, t, on.number(c)), on.number(highest))
}

/** A polynomial in 1 / y^2 on [0, 1/9], mapped to [-1, 1]. */
function tail<T>(on: Arithmetic<T>, square: T, coefficients: readonly number[]): T {
  return horner(on, on.keep(on.madd(square, on.number(2 * END ** 2), on.number(-1))), coefficients)
}

/** A polynomial in r^2 on [0, 1/4], mapped to [-1, 1]. */
function ofTurn<T>(on: Arithmetic<T>, rest: T, coefficients: readonly number[]): T {
  const square = on.mul(rest, rest)
  return horner(on, on.keep(on.madd(square, on.number(8), on.number(-1))), coefficients)
}

/** The cases for |x|. Below 1, the polynomial is evaluated at |x| + 1. */
function formOf<T>(on: Arithmetic<T>, size: T) {
  const isSmall = on.keep(on.less(size, on.number(1)))
  const isNear = on.keep(on.less(size, on.number(END)))
  const near = on.keep(on.select(isNear, size, on.number(1)))
  const far = on.keep(on.select(isNear, on.number(END), size))
  /** y - 1 and y - 2. */
  const lessOne = on.keep(on.select(isSmall, near, on.sub(near, on.number(1))))
  const lessTwo = on.keep(on.sub(near, on.select(isSmall, on.number(1), on.number(2))))
  return { isSmall, isNear, near, far, lessOne, lessTwo }
}

/** Whether x is negative, and whether it is not an integer (there is a pole at each negative integer). */
function sidesOf<T>(on: Arithmetic<T>, { x, distance }: ReducedArgument<T>) {
  const zero = on.number(0)
  // For an infinity the distance is NaN, so that this is false, too.
  return { isLeft: on.keep(on.less(x, zero)), isBeside: on.keep(on.less(zero, distance)) }
}

/** ln |gamma(x)|. */
export function lgamma<T>(
  on: Arithmetic<T>,
  argument: ReducedArgument<T>,
  logarithms: ArgumentLogs<T>,
  precision: Precision = 'float32',
): T {
  const { size, rest } = argument
  const polynomials = POLYNOMIALS[precision]
  const { isSmall, isNear, far, lessOne, lessTwo } = formOf(on, size)
  const product = on.mul(on.mul(lessOne, lessTwo), horner(on, lessTwo, polynomials.lgamma))
  const small = on.select(isSmall, logarithms.ofSize, on.number(0))
  const reciprocal = on.keep(on.div(on.number(1), far))
  const correction = on.mul(tail(on, on.mul(reciprocal, reciprocal), polynomials.lgammaTail), reciprocal)
  const stirling = on.madd(
    on.sub(far, on.number(1 / 2)),
    on.sub(logarithms.ofSize, on.number(1)),
    on.add(on.number(STIRLING), correction),
  )
  const right = on.keep(on.select(isNear, on.sub(product, small), stirling))
  const { isLeft, isBeside } = sidesOf(on, argument)
  const sine = on.add(logarithms.ofDistance, ofTurn(on, rest, polynomials.logSine))
  const left = on.sub(on.number(0), on.add(on.add(logarithms.ofSize, sine), right))
  return on.select(isLeft, on.select(isBeside, left, on.number(Number.POSITIVE_INFINITY)), right)
}

/** The derivative of lgamma. */
export function digamma<T>(
  on: Arithmetic<T>,
  argument: ReducedArgument<T>,
  logarithms: ArgumentLogs<T>,
  precision: Precision = 'float32',
): T {
  const polynomials = POLYNOMIALS[precision]
  const { x, size } = argument
  const { isSmall, isNear, near, far, lessTwo } = formOf(on, size)
  const y = on.add(near, on.select(isSmall, on.number(1), on.number(0)))
  const product = timesFromZero(on, precision, y, on.keep(horner(on, lessTwo, polynomials.digamma)))
  const reciprocal = on.keep(on.div(on.number(1), far))
  const square = on.keep(on.mul(reciprocal, reciprocal))
  const correction = on.madd(
    on.mul(tail(on, square, polynomials.digammaTail), square),
    on.number(-1),
    logarithms.ofSize,
  )
  const stirling = on.sub(correction, on.mul(on.number(1 / 2), reciprocal))
  const beyond = on.select(on.less(size, on.number(Number.POSITIVE_INFINITY)), stirling, size)
  /** digamma of y: for a small x that is digamma(x) + 1 / x. */
  const base = on.keep(on.select(isNear, product, beyond))
  const inverse = on.keep(on.div(on.number(1), x))
  const right = on.select(isSmall, on.sub(base, inverse), base)
  const { isLeft, isBeside } = sidesOf(on, argument)
  const left = on.sub(on.select(isSmall, base, on.sub(base, inverse)), cotangentOf(on, argument, precision))
  return on.select(isLeft, on.select(isBeside, left, on.number(Number.NaN)), right)
}

/** pi cot(pi x); exactly 0 halfway between two integers. */
function cotangentOf<T>(on: Arithmetic<T>, { rest, distance }: ReducedArgument<T>, precision: Precision): T {
  const [one, twice] = [on.number(1), on.keep(on.add(distance, distance))]
  const left = on.mul(on.sub(one, twice), on.add(one, twice))
  return on.div(on.mul(left, ofTurn(on, rest, POLYNOMIALS[precision].cotangent)), rest)
}

/**
 * (y - zero) slope, with the zero in two parts, the first of which is in the precision of y. A compiler that added the two parts would
 * lose the second, so it is computed as (y - high) slope - low slope.
 */
function timesFromZero<T>(on: Arithmetic<T>, precision: Precision, y: T, slope: T): T {
  const high = precision === 'float64' ? DIGAMMA_ZERO.high : Math.fround(DIGAMMA_ZERO.high)
  const low = DIGAMMA_ZERO.high - high + DIGAMMA_ZERO.low
  return on.madd(on.sub(y, on.number(high)), slope, on.mul(on.number(-low), slope))
}

/** The nth derivative of digamma, n > 0. */
export function polygamma<T>(
  on: Arithmetic<T>,
  n: number,
  argument: ReducedArgument<T>,
  precision: Precision = 'float32',
): T {
  const { x, size } = argument
  const { isLeft, isBeside } = sidesOf(on, argument)
  const sign = n % 2 === 0 ? -1 : 1
  const y = on.keep(on.select(isLeft, on.sub(on.number(1), x), size))
  const sum = derivative(on, n, y, POLYNOMIALS[precision])
  const right = on.keep(sign < 0 ? on.sub(on.number(0), sum) : sum)
  const c = on.keep(on.mul(cotangentOf(on, argument, precision), on.number(1 / Math.PI)))
  const turned = on.mul(on.number(-(Math.PI ** (n + 1))), slopeOf(on, n, c))
  const left = sign < 0 ? on.add(turned, right) : on.sub(turned, right)
  return on.select(isLeft, on.select(isBeside, left, on.number(sign * Number.POSITIVE_INFINITY)), right)
}

/**
 * n! (1 / y^s + 1 / (y + 1)^s + ...) with s = n + 1, for y > 0. The factor n! is multiplied into the terms, so that no
 * intermediate result is smaller than the result.
 */
function derivative<T>(on: Arithmetic<T>, n: number, y: T, { terms, series }: Polynomials): T {
  const [s, factor] = [n + 1, factorial(n)]
  const reciprocals = Array.from({ length: terms }, (_, k) => {
    return on.keep(on.div(on.number(1), k === 0 ? y : on.add(y, on.number(k))))
  })
  const inverse = on.keep(on.div(on.number(1), on.add(y, on.number(terms))))
  const square = on.keep(on.mul(inverse, inverse))
  const rest = hurwitzTail(s, series).map((c) => c * factor)
  const correction = on.madd(horner(on, square, rest), inverse, on.number(factor / 2))
  const last = on.mul(power(on, inverse, n), on.madd(correction, inverse, on.number(factor / n)))
  // The smallest first. For a large y, the remainder is by far the largest term.
  const all = reciprocals.map((one) => power(on, one, s)).reverse()
  const sum = all.reduce((so, one) => on.add(so, one))
  return on.madd(on.keep(sum), on.number(factor), last)
}

function power<T>(on: Arithmetic<T>, x: T, exponent: number): T {
  if (exponent === 1) return x
  const half = on.keep(power(on, x, Math.floor(exponent / 2)))
  const square = on.mul(half, half)
  return exponent % 2 === 0 ? square : on.mul(square, x)
}

/** The nth derivative of cot u as a function of c = cot u: a polynomial in c^2, times c if n is even. */
function slopeOf<T>(on: Arithmetic<T>, n: number, c: T): T {
  const all = cotDerivativePolynomial(n)
  const start = n % 2 === 0 ? 1 : 0
  const own = all.filter((_, power) => power % 2 === start)
  const value = horner(on, on.keep(on.mul(c, c)), own)
  return start === 0 ? value : on.mul(value, c)
}
