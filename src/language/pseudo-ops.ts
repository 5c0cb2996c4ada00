/**
 * Pseudo-ops: element-wise ops that exist only until a formula has been differentiated, because their derivatives
 * are shorter and keep more digits than those of their parts. They are then expanded into primitive ops, so that no
 * engine has to know them.
 */
import type { Builder, Ref } from './builder.ts'
import type { PseudoOp } from './ir.ts'

type Expansion = (build: Builder, ...args: Ref[]) => Ref

const EXPANSIONS: { readonly [O in PseudoOp]: Expansion } = {
  atan2: angle,
  lbeta: logBeta,
  polygamma_rise: polygammaRise,
}

/**
 * Expands a pseudo-op into primitive ops.
 *
 * @example
 * expandPseudoOp(build, 'atan2', [y, x]) // pi / 2 - atan(x / y) ...
 */
export function expandPseudoOp(build: Builder, op: PseudoOp, args: readonly Ref[]): Ref {
  return EXPANSIONS[op](build, ...args)
}

/**
 * The derivatives of atan2(y, x): x / (x^2 + y^2) and -y / (x^2 + y^2). Both coordinates are divided by the larger one, so that
 * no square overflows or underflows. At the origin, which has no direction, both derivatives are 0.
 */
export function atan2Derivatives(build: Builder, y: Ref, x: Ref): readonly [Ref, Ref] {
  const [size, zero] = [
    build.make('max', [build.make('abs', [y]), build.make('abs', [x])]),
    build.constant(0),
  ]
  // The quotient does not depend on the scale, so the scale is a constant for the second derivative.
  const scale = build.make('stop_gradient', [size])
  const [v, u] = [build.div(y, scale), build.div(x, scale)]
  const length = build.mul(build.add(build.mul(u, u), build.mul(v, v)), scale)
  const slope = (part: Ref) => build.select(build.eq(scale, zero), zero, build.div(part, length))
  return [slope(u), build.neg(slope(v))]
}

/** The angle between the vector and the nearest axis, then its octant by the signs, including those of zeros. */
function angle(build: Builder, y: Ref, x: Ref): Ref {
  const [height, width] = [build.make('abs', [y]), build.make('abs', [x])]
  const [large, small] = [build.make('max', [height, width]), build.make('min', [height, width])]
  const [zero, one] = [build.constant(0), build.constant(1)]
  const ratio = build.select(build.eq(small, large), one, build.div(small, large))
  const acute = build.make('atan', [build.select(build.lt(zero, small), ratio, small)])
  const steep = build.sub(build.constant(Math.PI / 2), acute)
  const right = build.select(build.lt(width, height), steep, acute)
  const upper = build.select(isBelowZero(build, x), build.sub(build.constant(Math.PI), right), right)
  return build.select(isBelowZero(build, y), build.neg(upper), upper)
}

/** True for -0, too. */
function isBelowZero(build: Builder, x: Ref): Ref {
  const [zero, one] = [build.constant(0), build.constant(1)]
  return build.make('or', [build.lt(x, zero), build.lt(build.div(one, x), zero)])
}

/** Smaller arguments use lgamma and the recurrence of polygamma, larger ones Stirling's series. */
const LARGE = 8

/** The Bernoulli numbers B_2k, starting with k = 1. */
const BERNOULLI = [1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798]

/**
 * ln B(a, b) for a, b > 0. For large numbers, lgamma(a) + lgamma(b) - lgamma(a + b) would cancel, so Stirling's
 * series is used instead (DiDonato and Morris 1992, algorithm 708).
 */
function logBeta(build: Builder, a: Ref, b: Ref): Ref {
  const [p, q] = [build.make('min', [a, b]), build.make('max', [a, b])]
  const [zero, half, large] = [build.constant(0), build.constant(0.5), build.constant(LARGE)]
  const sum = build.add(p, q)
  const lgamma = (x: Ref) => build.make('lgamma', [x])
  const growth = build.make('log1p', [build.div(p, q)])
  const tail = build.sub(stirlingTail(build, q), stirlingTail(build, sum))
  const plain = build.add(lgamma(p), build.sub(lgamma(q), lgamma(sum)))
  // lgamma(q) - lgamma(p + q) = p - p ln q - (p + q - 1/2) ln(1 + p / q) + tail(q) - tail(p + q)
  const fall = build.sub(
    build.sub(p, build.mul(build.sub(sum, half), growth)),
    build.mul(p, build.make('log', [q])),
  )
  const oneLarge = build.add(lgamma(p), build.add(fall, tail))
  // ln sqrt(2 pi / q) + (p - 1/2) ln(p / (p + q)) - q ln(1 + p / q) + tail(p) + tail(q) - tail(p + q)
  const share = build.mul(build.sub(p, half), build.make('log', [build.div(p, sum)]))
  const width = build.sub(build.constant(Math.log(2 * Math.PI) / 2), build.mul(half, build.make('log', [q])))
  const main = build.add(build.sub(share, build.mul(q, growth)), width)
  const bothLarge = build.add(main, build.add(stirlingTail(build, p), tail))
  const positive = build.select(
    build.lt(q, large),
    plain,
    build.select(build.lt(p, large), oneLarge, bothLarge),
  )
  return build.select(build.lt(p, zero), build.constant(Number.NaN), positive)
}

/** lgamma(x) - ((x - 1/2) ln x - x + ln sqrt(2 pi)), for large x. */
function stirlingTail(build: Builder, x: Ref): Ref {
  const reciprocal = build.div(build.constant(1), x)
  const coefficients = BERNOULLI.map((number, i) => number / ((2 * i + 2) * (2 * i + 1)))
  return build.mul(reciprocal, polynomial(build, coefficients, build.mul(reciprocal, reciprocal)))
}

/** Horner's scheme. */
function polynomial(build: Builder, coefficients: readonly number[], x: Ref): Ref {
  const [last, ...others] = coefficients.map((coefficient) => build.constant(coefficient)).reverse()
  return others.reduce((sum, coefficient) => build.add(build.mul(sum, x), coefficient), last)
}

/**
 * polygamma(n, x + d) - polygamma(n, x) for x, d >= 0, as a sum of terms with the same sign. The recurrence moves both arguments
 * to large numbers, where the difference of the asymptotic series is a sum of differences of powers of reciprocals.
 */
function polygammaRise(build: Builder, n: Ref, x: Ref, d: Ref): Ref {
  const order = build.constantOf(n)!
  const end = build.add(x, d)
  const at = (place: Ref, step: number) => build.add(place, build.constant(step))
  const steps = Array.from({ length: LARGE }, (_, step) => {
    const powers = new ReciprocalPowers(build, at(x, step), at(end, step), d)
    return powers.difference(order + 1)
  })
  const far = new ReciprocalPowers(build, at(x, LARGE), at(end, LARGE), d)
  const recurrence = scaled(build, factorial(order), total(build, steps))
  const rise = total(build, [recurrence, ...asymptoticRise(build, order, far)])
  const signed = order % 2 === 0 ? rise : build.neg(rise)
  const isOutside = build.make('or', [build.lt(x, build.constant(0)), build.lt(d, build.constant(0))])
  return build.select(isOutside, build.constant(Number.NaN), signed)
}

/** The terms of (-1)^n (polygamma(n, x + d) - polygamma(n, x)) for large x (Abramowitz and Stegun 6.4.11). */
function asymptoticRise(build: Builder, n: number, powers: ReciprocalPowers): Ref[] {
  const first = n === 0 ? powers.logarithm() : scaled(build, factorial(n - 1), powers.difference(n))
  const second = scaled(build, factorial(n) / 2, powers.difference(n + 1))
  const others = BERNOULLI.map((number, i) => {
    const k = 2 * i + 2
    return scaled(build, (number * factorial(k + n - 1)) / factorial(k), powers.difference(k + n))
  })
  return [first, second, ...others]
}

/** Differences of powers of 1/p and 1/q, where q = p + d, as sums of terms with the same sign. */
class ReciprocalPowers {
  readonly #build: Builder
  readonly #p: Ref
  readonly #d: Ref
  readonly #u: Ref
  readonly #v: Ref
  /** The sums of all u^i v^(m - i). */
  readonly #sums: Ref[]

  constructor(build: Builder, p: Ref, q: Ref, d: Ref) {
    this.#build = build
    this.#p = p
    this.#d = d
    this.#u = build.div(build.constant(1), p)
    this.#v = build.div(build.constant(1), q)
    this.#sums = [build.constant(1)]
  }

  /** ln q - ln p */
  logarithm(): Ref {
    return this.#build.make('log1p', [this.#build.div(this.#d, this.#p)])
  }

  /** u^m - v^m = (u - v) times the sum of all u^i v^(m - 1 - i), and u - v = d u v. */
  difference(m: number): Ref {
    const build = this.#build
    const apart = build.mul(build.mul(this.#d, this.#v), this.#u)
    return build.mul(apart, this.#sum(m - 1))
  }

  #sum(m: number): Ref {
    const build = this.#build
    for (let power = this.#sums.length; power <= m; power++) {
      const last = Array.from({ length: power }, () => this.#v).reduce((product, v) => build.mul(product, v))
      this.#sums.push(build.add(build.mul(this.#u, this.#sums[power - 1]), last))
    }
    return this.#sums[m]
  }
}

function scaled(build: Builder, factor: number, x: Ref): Ref {
  return build.mul(build.constant(factor), x)
}

function total(build: Builder, terms: readonly Ref[]): Ref {
  return terms.reduce((sum, term) => build.add(sum, term))
}

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1)
}
