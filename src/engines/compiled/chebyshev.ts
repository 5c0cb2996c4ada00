/**
 * Chebyshev interpolation: polynomial approximations of smooth functions, computed when the process starts, so that
 * no table of coefficients has to be trusted.
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
  const angles = Array.from({ length: count }, (_, i) => (Math.PI * (i + 0.5)) / count)
  const samples = angles.map((angle) => f(middle + half * Math.cos(angle)))
  const chebyshev = Array.from({ length: count }, (_, k) => {
    const sum = samples.reduce((total, sample, i) => total + sample * Math.cos(k * angles[i]), 0)
    return (sum * (k === 0 ? 1 : 2)) / count
  })
  return fromChebyshev(chebyshev)
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
