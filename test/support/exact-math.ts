/**
 * Functions with hundreds of digits: reference values for float64, whose own functions round. Numbers are integers in units of
 * 2^-bits, so that sums are exact and everything is computed by series, without tables.
 */

/** A number times 2^bits. */
export type Exact = bigint

export type ExactMath = ReturnType<typeof exactMath>

const view = new DataView(new ArrayBuffer(8))
const magnitude = (x: Exact) => (x < 0n ? -x : x)
const lengthOf = (x: bigint) => BigInt(x.toString(2).length)

/** How often arguments of exp are halved, so that its series converges fast. */
const HALVINGS = 24n
/** From here on, Stirling's series is used. */
const FAR = 64n

/**
 * @param bits after the point; 1280 hold the smallest float64, 2^-1074, with 60 digits
 * @example
 * const math = exactMath(1280n)
 * math.toNumber(math.exp(math.exactly(1))) // 2.718281828459045
 */
export function exactMath(BITS: bigint) {
  const ONE = 1n << BITS

  /** A finite float64, exactly. */
  function exactly(x: number): Exact {
    view.setFloat64(0, x)
    const bits = view.getBigUint64(0)
    const biased = (bits >> 52n) & 0x7ffn
    const fraction = bits & ((1n << 52n) - 1n)
    const mantissa = biased === 0n ? fraction : fraction | (1n << 52n)
    const shift = (biased === 0n ? 1n : biased) - 1075n + BITS
    const size = shift >= 0n ? mantissa << shift : mantissa >> -shift
    return bits >> 63n === 1n ? -size : size
  }

  /** The nearest float64, up to one unit in the 60th bit. */
  function toNumber(x: Exact): number {
    const size = magnitude(x)
    const drop = lengthOf(size) > 64n ? lengthOf(size) - 64n : 0n
    // In two steps, because a power of two below 2^-1074 is 0.
    const exponent = Number(drop - BITS)
    const half = Math.trunc(exponent / 2)
    const value = Number(size >> drop) * 2 ** half * 2 ** (exponent - half)
    return x < 0n ? -value : value
  }

  /** |got - want| in units of 2^-53 |want|; half of the distance between float64 counts as one of them. */
  function roundingsOf(got: number, want: Exact): number {
    const error = magnitude(exactly(got) - want)
    const smallest = 1n << (BITS - 1022n)
    const size = magnitude(want) > smallest ? magnitude(want) : smallest
    return Number((error << 73n) / size) / 2 ** 20
  }

  const add = (a: Exact, b: Exact): Exact => a + b
  const mul = (a: Exact, b: Exact): Exact => (a * b) >> BITS
  const div = (a: Exact, b: Exact): Exact => (a << BITS) / b

  function sqrt(x: Exact): Exact {
    const target = x << BITS
    if (target === 0n) return 0n
    let root = 1n << (lengthOf(target) / 2n + 1n)
    for (;;) {
      const next = (root + target / root) >> 1n
      if (next >= root) return root
      root = next
    }
  }

  /** The sum of terms, each made from the one before, until they vanish. */
  function series(first: Exact, next: (term: Exact, k: bigint) => Exact): Exact {
    let [sum, term] = [0n, first]
    for (let k = 1n; term !== 0n && term !== -1n; k++) {
      sum += term
      term = next(term, k)
    }
    return sum
  }

  /** x + x^3 / 3 + x^5 / 5 + ..., or with alternating signs. */
  function oddSeries(x: Exact, sign: 1n | -1n): Exact {
    const square = mul(x, x)
    let [sum, power] = [0n, x]
    for (let k = 1n; power !== 0n && power !== -1n; k += 2n) {
      sum += power / k
      power = sign * mul(power, square)
    }
    return sum
  }

  const LN2: Exact = 2n * oddSeries(ONE / 3n, 1n)
  const PI: Exact = 16n * oddSeries(ONE / 5n, -1n) - 4n * oddSeries(ONE / 239n, -1n)

  function exp(x: Exact): Exact {
    const n = x / LN2
    const r = (x - n * LN2) >> HALVINGS
    let power = series(ONE, (term, k) => mul(term, r) / k)
    for (let i = 0n; i < HALVINGS; i++) power = mul(power, power)
    return n >= 0n ? power << n : power >> -n
  }

  /** For x > 0. */
  function log(x: Exact): Exact {
    const n = lengthOf(x) - BITS
    const m = n >= 0n ? x >> n : x << -n
    return n * LN2 + 2n * oddSeries(div(m - ONE, m + ONE), 1n)
  }

  const expm1 = (x: Exact): Exact => exp(x) - ONE
  const log1p = (x: Exact): Exact => log(ONE + x)
  const log2 = (x: Exact): Exact => div(log(x), LN2)
  const log10 = (x: Exact): Exact => div(log(x), log(10n * ONE))
  const pow = (a: Exact, b: Exact): Exact => exp(mul(b, log(a)))
  const sigmoid = (x: Exact): Exact => div(ONE, ONE + exp(-x))
  const softplus = (x: Exact): Exact => log1p(exp(x))

  function tanh(x: Exact): Exact {
    const grown = exp(2n * x)
    return div(grown - ONE, grown + ONE)
  }

  /** For |x| < 2^100. */
  function sin(x: Exact): Exact {
    const turn = 2n * PI
    const square = mul(x % turn, x % turn)
    return series(x % turn, (term, k) => -mul(term, square) / (2n * k * (2n * k + 1n)))
  }

  const cos = (x: Exact): Exact => sin(x + PI / 2n)

  function atan(x: Exact): Exact {
    let t = x
    for (let i = 0; i < 8; i++) t = div(t, ONE + sqrt(ONE + mul(t, t)))
    return oddSeries(t, -1n) << 8n
  }

  const asin = (x: Exact): Exact =>
    magnitude(x) === ONE ? (x < 0n ? -PI / 2n : PI / 2n) : atan(div(x, sqrt(ONE - mul(x, x))))
  const acos = (x: Exact): Exact => (x === -ONE ? PI : 2n * atan(sqrt(div(ONE - x, ONE + x))))

  function erf(x: Exact): Exact {
    const square = mul(x, x)
    let [sum, term] = [0n, x]
    for (let k = 0n; term !== 0n && term !== -1n; k++) {
      sum += term / (2n * k + 1n)
      term = -mul(term, square) / (k + 1n)
    }
    return div(2n * sum, sqrt(PI))
  }

  /** B_2, B_4, ... as fractions over ONE. */
  const BERNOULLI: readonly Exact[] = bernoulli(60)

  /** From the sums of binomials that vanish. */
  function bernoulli(count: number): Exact[] {
    const all: Exact[] = [ONE]
    for (let m = 1n; m <= BigInt(2 * count); m++) {
      let [sum, binomial] = [0n, 1n]
      for (let k = 0n; k < m; k++) {
        sum += binomial * all[Number(k)]!
        binomial = (binomial * (m + 1n - k)) / (k + 1n)
      }
      all.push(-sum / (m + 1n))
    }
    return all.filter((_, k) => k > 0 && k % 2 === 0)
  }

  /** For x > 0: by Stirling's series from 64 on. */
  function lgamma(x: Exact): Exact {
    let [y, product] = [x, ONE]
    while (y < FAR * ONE) {
      product = mul(product, y)
      y += ONE
    }
    const square = mul(y, y)
    let [tail, power] = [0n, y]
    BERNOULLI.forEach((b, i) => {
      const k = BigInt(2 * i + 2)
      tail += div(b, power) / (k * (k - 1n))
      power = mul(power, square)
    })
    return mul(y - ONE / 2n, log(y)) - y + log(2n * PI) / 2n + tail - log(product)
  }

  /** For x > 0. */
  function digamma(x: Exact): Exact {
    let [y, sum] = [x, 0n]
    while (y < FAR * ONE) {
      sum += div(ONE, y)
      y += ONE
    }
    const square = mul(y, y)
    let [tail, power] = [0n, square]
    BERNOULLI.forEach((b, i) => {
      tail += div(b, power) / BigInt(2 * i + 2)
      power = mul(power, square)
    })
    return log(y) - div(ONE, 2n * y) - tail - sum
  }

  return {
    ONE,
    exactly,
    toNumber,
    roundingsOf,
    add,
    mul,
    div,
    sqrt,
    LN2,
    PI,
    exp,
    log,
    expm1,
    log1p,
    log2,
    log10,
    pow,
    sigmoid,
    softplus,
    tanh,
    sin,
    cos,
    atan,
    asin,
    acos,
    erf,
    lgamma,
    digamma,
  }
}
