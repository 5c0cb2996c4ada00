/**
 * The logarithm of the gamma function and its derivatives, in float64: each by what keeps its digits where it is used.
 * Near its zeros at 1 and 2 (lgamma) and at 1.4616 (digamma) a series about the zero, far out Stirling's, on the left of
 * 0 Euler's reflection. The numbers of the series are sums of powers, as Hurwitz' zeta function adds them up.
 *
 * @see https://dlmf.nist.gov/5 (5.5 reflection, 5.7 series, 5.11 asymptotic expansions, 5.15 polygamma), https://dlmf.nist.gov/25.11
 */

/** B_2, B_4, ... B_24. */
export const BERNOULLI = [
  1 / 6,
  -1 / 30,
  1 / 42,
  -1 / 30,
  5 / 66,
  -691 / 2730,
  7 / 6,
  -3617 / 510,
  43867 / 798,
  -174611 / 330,
  854513 / 138,
  -236364091 / 2730,
]

const HALF_LN_TAU = Math.log(2 * Math.PI) / 2
/** 1 - Euler's constant. */
const ONE_LESS_EULER = 0.42278433509846713
/** Where digamma is 0, in two parts. */
export const DIGAMMA_ZERO = { high: 1.4616321449683622, low: 9.549995429965697e-17 } as const

/** From here on Stirling's series is exact in its first terms. */
const FAR = 10
/** Below this size gamma(x) is 1 / x; the sine of a turn would round a subnormal x. */
export const TINY = 2 ** -60
/** Terms of a Taylor series with a radius of at most a third of its convergence. */
const TAYLOR_TERMS = 40

/**
 * ln |gamma(x)|; infinite at 0 and at negative whole numbers.
 *
 * @example
 * lgamma(5) // 3.1780538303479458 = ln 24
 */
export function lgamma(x: number): number {
  if (!Number.isFinite(x)) return x * x
  if (x <= 0 && Number.isInteger(x)) return Number.POSITIVE_INFINITY
  if (Math.abs(x) < TINY) return -Math.log(Math.abs(x))
  if (x < 0) return Math.log(Math.PI) - Math.log(Math.abs(sineOfTurn(x))) - lgamma(1 - x)
  if (x < 1 / 2) return lgammaNearTwo(x) - Math.log1p(x) - Math.log(x)
  if (x < 3 / 2) return lgammaNearTwo(x - 1) - Math.log1p(x - 1)
  return x < FAR ? lgammaByFactors(x) : lgammaFar(x)
}

/** ln gamma(2 + z) for |z| <= 1/2. */
function lgammaNearTwo(z: number): number {
  return z * horner(LGAMMA_TAYLOR, z)
}

/** gamma(x) = (x - 1) (x - 2) ... gamma(y) with a y next to 2. */
function lgammaByFactors(x: number): number {
  let [product, y] = [1, x]
  while (y > 5 / 2) {
    y--
    product *= y
  }
  return Math.log(product) + lgammaNearTwo(y - 2)
}

function lgammaFar(x: number): number {
  return (x - 1 / 2) * (Math.log(x) - 1) + (HALF_LN_TAU - 1 / 2) + stirlingTail(x)
}

/** What Stirling's series adds to its first terms, for x >= 10: sum of B_2k / (2k (2k - 1) x^(2k - 1)). */
export function stirlingTail(x: number): number {
  const square = 1 / (x * x)
  return BERNOULLI.reduceRight((sum, b, i) => sum * square + b / ((2 * i + 2) * (2 * i + 1)), 0) / x
}

/**
 * The derivative of lgamma. -infinity at 0, infinity at -0, NaN at negative whole numbers, where its sides differ.
 *
 * @example
 * digamma(1) // -0.5772156649015329, less Euler's constant
 */
export function digamma(x: number): number {
  if (x === 0) return -1 / x
  if (x < 0) return Number.isInteger(x) || !Number.isFinite(x) ? Number.NaN : digammaReflected(x)
  const z = x - DIGAMMA_ZERO.high - DIGAMMA_ZERO.low
  if (Math.abs(z) < 0.4) return z * horner(DIGAMMA_TAYLOR, z)
  let [sum, y] = [0, x]
  while (y < FAR) {
    sum += 1 / y
    y++
  }
  return digammaFar(y) - sum
}

function digammaReflected(x: number): number {
  return digamma(1 - x) - Math.PI * cotangentOfTurn(x)
}

function digammaFar(x: number): number {
  return Math.log(x) - 1 / (2 * x) - digammaTail(x)
}

/** ln x - 1 / 2x - digamma(x) for x >= 10: sum of B_2k / (2k x^2k). */
export function digammaTail(x: number): number {
  const square = 1 / (x * x)
  return BERNOULLI.reduceRight((sum, b, i) => sum * square + b / (2 * i + 2), 0) * square
}

/**
 * The nth derivative of digamma. At 0 and at negative whole numbers infinite, with the sign that it has on their right.
 *
 * @param n a whole number; 0 is digamma itself
 * @example
 * polygamma(1, 1) // 1.6449340668482264 = pi^2 / 6
 */
export function polygamma(n: number, x: number): number {
  if (n === 0 || Number.isNaN(x)) return digamma(x)
  const sign = n % 2 === 0 ? -1 : 1
  if (x <= 0 && (Number.isInteger(x) || !Number.isFinite(x))) return sign * Number.POSITIVE_INFINITY
  if (x > 0) return sign * factorial(n) * hurwitz(n + 1, x)
  const turned = Math.PI ** (n + 1) * horner(cotDerivativePolynomial(n), cotangentOfTurn(x))
  return -turned - sign * polygamma(n, 1 - x)
}

/** 1 / x^s + 1 / (x + 1)^s + ... for x > 0: some terms, and the rest by Euler and Maclaurin. */
function hurwitz(s: number, x: number): number {
  const count = Math.max(0, Math.ceil(FAR + s - x))
  let sum = hurwitzFar(s, x + count)
  for (let k = count - 1; k >= 0; k--) sum += (x + k) ** -s
  return sum
}

function hurwitzFar(s: number, x: number): number {
  if (x === Number.POSITIVE_INFINITY) return 0
  const square = 1 / (x * x)
  const tail = hurwitzTail(s, BERNOULLI.length).reduceRight((sum, c) => sum * square + c, 0)
  return x ** (1 - s) * (1 / (s - 1) + (1 / 2 + tail / x) / x)
}

/**
 * The first numbers c of the sum of 1 / (x + k)^s = x^(1 - s) (1 / (s - 1) + 1 / 2x + c_0 / x^2 + c_1 / x^4 + ...).
 *
 * @example
 * hurwitzTail(2, 2) // [1/6, -1/30]
 */
export function hurwitzTail(s: number, count: number): number[] {
  let factor = s / 2
  return BERNOULLI.slice(0, count).map((b, i) => {
    const c = b * factor
    factor *= ((s + 2 * i + 1) * (s + 2 * i + 2)) / ((2 * i + 3) * (2 * i + 4))
    return c
  })
}

/**
 * The polynomial, lowest power first, that the nth derivative of cot u is in cot u itself.
 *
 * @example
 * cotDerivativePolynomial(1) // [-1, 0, -1]: -(1 + cot^2)
 */
export function cotDerivativePolynomial(n: number): number[] {
  if (n === 0) return [0, 1]
  const slope = cotDerivativePolynomial(n - 1).map((c, power) => c * power)
  const lowered = slope.slice(1)
  return Array.from({ length: lowered.length + 2 }, (_, power) => {
    return -((lowered[power] ?? 0) + (lowered[power - 2] ?? 0))
  })
}

/** Distance to the nearest whole number; exact. */
const restOf = (x: number) => x - Math.round(x)

/** sin(pi x), but for its sign. */
function sineOfTurn(x: number): number {
  return Math.sin(Math.PI * restOf(x))
}

/** cot(pi x); next to a quarter turn by what is left to it, which is exact. */
function cotangentOfTurn(x: number): number {
  const rest = restOf(x)
  const left = 1 / 2 - Math.abs(rest)
  return left < 1 / 4 ? Math.sign(rest) * Math.tan(Math.PI * left) : 1 / Math.tan(Math.PI * rest)
}

/** It begins with the highest coefficient, because 0 times an infinite x would be NaN. */
function horner(coefficients: readonly number[], x: number): number {
  return coefficients.reduceRight((sum, c) => sum * x + c)
}

export function factorial(n: number): number {
  return n <= 1 ? 1 : n * factorial(n - 1)
}

/** ln gamma(2 + z) / z = 1 - Euler's constant + sum of (zeta(k) - 1) (-1)^k z^(k - 1) / k. */
export const LGAMMA_TAYLOR: readonly number[] = [
  ONE_LESS_EULER,
  ...Array.from({ length: TAYLOR_TERMS }, (_, i) => ((-1) ** i * hurwitz(i + 2, 2)) / (i + 2)),
]

/** digamma(zero + z) / z; its kth derivative over k! is the sum of 1 / (zero + j)^(k + 1), with a sign. */
export const DIGAMMA_TAYLOR: readonly number[] = Array.from(
  { length: TAYLOR_TERMS },
  (_, i) => (-1) ** i * hurwitz(i + 2, DIGAMMA_ZERO.high),
)
