/**
 * Polynomial approximations of smooth functions, computed when the process starts, so that no table of coefficients has to be
 * trusted: Chebyshev interpolation of any function, and economization of a power series.
 */

/**
 * Coefficients, lowest power first, of the polynomial in t = (x - middle) / half that interpolates a function at
 * the Chebyshev points of [low, high]. It is close to the best approximation (Trefethen, Approximation Theory and
 * Approximation Practice, ch. 3).
 *
 * @example
 * interpolate(Math.cos, -1, 1, 8).length // 9
 */
export function interpolate(f: (x: number) => number, low: number, high: number, degree: number): number[] {
  const count = degree + 1
  const [middle, half] = [(low + high) / 2, (high - low) / 2]
  const samples = Array.from({ length: count }, (_, i) => f(middle + half * cosine(2 * i + 1, count)))
  const chebyshev = Array.from({ length: count }, (_, k) => {
    const terms = samples.map((sample, i) => sample * cosine(k * (2 * i + 1), count))
    return (sumOf(terms) * (k === 0 ? 1 : 2)) / count
  })
  return fromChebyshev(chebyshev)
}

/** cos(pi step / 2 count). Turns are taken from the integer, where they cost no digits. */
function cosine(step: number, count: number): number {
  const rest = step % (4 * count)
  const place = rest > 2 * count ? 4 * count - rest : rest
  if (place > count) return -cosine(2 * count - place, count)
  const angle = (of: number) => (Math.PI * of) / (2 * count)
  return 2 * place > count ? Math.sin(angle(count - place)) : Math.cos(angle(place))
}

/** Compensated (Kahan): what each addition loses is subtracted from the next term. */
function sumOf(terms: readonly number[]): number {
  let [sum, lost] = [0, 0]
  for (const term of terms) {
    const corrected = term - lost
    const next = sum + corrected
    lost = next - sum - corrected
    sum = next
  }
  return sum
}

/** T0 = 1, T1 = t, T(k+1) = 2 t T(k) - T(k-1), multiplied by their coefficients and summed. */
function fromChebyshev(chebyshev: readonly number[]): number[] {
  const powers = new Array<number>(chebyshev.length).fill(0)
  let [before, current] = [[0], [1]]
  chebyshev.forEach((weight, k) => {
    current.forEach((coefficient, power) => {
      powers[power] += weight * coefficient
    })
    const factor = k === 0 ? 1 : 2
    const next = [0, ...current.map((coefficient) => factor * coefficient)]
    before.forEach((coefficient, power) => {
      if (k > 0) next[power] -= coefficient
    })
    ;[before, current] = [current, next]
  })
  return powers
}

/**
 * Economization (Lanczos): coefficients, lowest power first, of a polynomial that is nearly the best approximation of a power
 * series on [0, end] or, if it is `symmetric`, on [-end, end]. Chebyshev polynomials are subtracted from the series, from its
 * end down, which changes its first coefficients by less than their rounding. So they are as exact as those of the series.
 *
 * @param coefficient of each power
 * @example
 * economize((k) => 1 / factorial(k), 1, 4) // nearly [1, 1, 1/2, 1/6, 1/24]
 */
export function economize(
  coefficient: (power: number) => number,
  end: number,
  degree: number,
  { symmetric = false } = {},
): number[] {
  const last = degree + ECONOMIZED
  const scaled = Array.from({ length: last + 1 }, (_, power) => coefficient(power) * end ** power)
  const chebyshev = chebyshevPolynomials(last, symmetric ? [0, 1] : [-1, 2])
  for (let power = last; power > degree; power--) {
    const factor = scaled[power] / chebyshev[power][power]
    chebyshev[power].forEach((one, k) => {
      scaled[k] -= factor * one
    })
  }
  return scaled.slice(0, degree + 1).map((c, power) => c / end ** power)
}

/** So many terms beyond the last one that is kept are enough where a term is at most a quarter of the one before. */
const ECONOMIZED = 20

/** T_0, T_1, ... of a linear function of x. */
function chebyshevPolynomials(last: number, linear: readonly [number, number]): number[][] {
  const all: number[][] = [[1], [...linear]]
  for (let n = 2; n <= last; n++) {
    const [before, current] = [all[n - 2], all[n - 1]]
    const at = (polynomial: readonly number[], power: number) => polynomial[power] ?? 0
    const power = (k: number) =>
      2 * (linear[0] * at(current, k) + linear[1] * at(current, k - 1)) - at(before, k)
    all.push(Array.from({ length: n + 1 }, (_, k) => power(k)))
  }
  return all
}
