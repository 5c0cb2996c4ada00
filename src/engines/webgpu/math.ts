/**
 * The math library in WGSL: the language's functions on one float32. exp, log and atan follow Cephes' single precision
 * (Moshier, https://www.netlib.org/cephes/); erf is N. Juffa's fit (https://stackoverflow.com/a/35148199).
 */
import { interpolate } from '../compiled/chebyshev.ts'
import { digamma, lgamma, NEEDS, polygamma } from './gamma.ts'
import { literal } from './literal.ts'

/** A function of the module, and the functions that it calls. */
interface Part {
  readonly needs: readonly string[]
  readonly source: string
}

/** Horner's rule, coefficients from the highest power down. */
function horner(x: string, coefficients: readonly number[]): string {
  const [highest, ...rest] = coefficients
  return rest.reduce((sum, coefficient) => `fma(${sum}, ${x}, ${literal(coefficient)})`, literal(highest))
}

/** e^r - 1 - r over r^2 on [-ln 2 / 2, ln 2 / 2]; Cephes expf. */
const EXP = [
  1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1,
]
/** log(1 + z) - z + z^2 / 2 over z^3 on [sqrt(1/2) - 1, sqrt(2) - 1]; Cephes logf. */
const LOG = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
]
const LN2_HIGH = 0.693359375
const LN2_LOW = -2.12194440054e-4

/** (atanh s - s) / s^3 in s^2 on [0, 1/9], its series where the difference would cancel. */
const ATANH = interpolate((square) => atanhTail(Math.sqrt(square)), 0, 1 / 9, 5)

function atanhTail(s: number): number {
  return s < 0.05 ? 1 / 3 + s ** 2 / 5 + s ** 4 / 7 + s ** 6 / 9 + s ** 8 / 11 : (Math.atanh(s) - s) / s ** 3
}

/** (log2(1 + z) - z log2 e) / z^2 over the range of the mantissa. */
const MANTISSA = [Math.SQRT1_2 - 1, Math.SQRT2 - 1] as const
const LOG2_TAIL = interpolate(log2Tail, ...MANTISSA, 9)

function log2Tail(z: number): number {
  if (Math.abs(z) < 1e-3) return Math.LOG2E * (-1 / 2 + z / 3 - z ** 2 / 4 + z ** 3 / 5)
  return (Math.log1p(z) - z) / (z * z * Math.LN2)
}

/** log10 e and log10 2, each in two parts. The first parts have 8 and 12 bits; Cephes log10f. */
const LOG10E_HIGH = 0.43359375
const LOG10E_LOW = Math.LOG10E - LOG10E_HIGH
const LOG10_2_HIGH = 0.30078125
const LOG10_2_LOW = Math.log10(2) - LOG10_2_HIGH
/** log2 e in two parts. */
const LOG2E_HIGH = 1.4426950216293335
const LOG2E_LOW = 1.9259629911e-8

/** (asin s - s) / s^3 in s^2 on [0, 1/4]; Cephes asinf. */
const ASIN = [4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1]
/** pi / 2 minus its float32. */
const HALF_PI_LOW = Math.PI / 2 - Math.fround(Math.PI / 2)

/** t on [-1, 1] for z in the range of the mantissa. */
const MANTISSA_MIDDLE = (MANTISSA[0] + MANTISSA[1]) / 2
const MANTISSA_HALF = (MANTISSA[1] - MANTISSA[0]) / 2

/** 2^r on [-1/2, 1/2]. */
const EXP2 = interpolate((r) => 2 ** r, -1 / 2, 1 / 2, 7)

/** sin r / r - 1 over r^2, and cos r - 1 + r^2 / 2 over r^4, in r^2 on [0, (pi/4)^2]; Cephes sinf and cosf. */
const SINE = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]
const COSINE = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]

/** 2 / pi in binary, 32 bits per word, after the point: enough for the largest float32 (Payne and Hanek 1983). */
const TWO_OVER_PI = [
  0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab,
] as const

const PARTS: Readonly<Record<string, Part>> = {
  is_nan: {
    needs: [],
    source: `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }`,
  },
  is_finite: {
    needs: [],
    source: `
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }`,
  },
  max2: {
    needs: ['is_nan'],
    source: `
fn max2(a: f32, b: f32) -> f32 { return select(max(a, b), words.nan, is_nan(a) || is_nan(b)); }`,
  },
  min2: {
    needs: ['is_nan'],
    source: `
fn min2(a: f32, b: f32) -> f32 { return select(min(a, b), words.nan, is_nan(a) || is_nan(b)); }`,
  },
  sign1: {
    needs: ['is_nan'],
    source: `
fn sign1(x: f32) -> f32 { return select(select(select(0.0, -1.0, x < 0.0), 1.0, x > 0.0), x, is_nan(x)); }`,
  },
  mul_no_nan: {
    needs: [],
    source: `
fn mul_no_nan(g: f32, d: f32) -> f32 { return select(g * d, 0.0, g == 0.0); }`,
  },
  root: {
    needs: [],
    // A square root may be computed from an inverse square root, which fails at 0 and at infinity.
    source: `
fn root(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let is_fixed = (bits & 0x7fffffffu) == 0u || bits == 0x7f800000u;
  return select(select(sqrt(x), words.nan, bits > 0x7f800000u), x, is_fixed);
}`,
  },
  quotient: {
    needs: [],
    // A division may be computed from a reciprocal, whose denormals are flushed to 0.
    source: `
fn quotient(a: f32, b: f32) -> f32 {
  let is_large = abs(b) > 1e37;
  let scale = select(1.0, ${literal(2 ** -24)}, is_large);
  return (a * scale) / (b * scale);
}`,
  },
  power_of_two: {
    needs: [],
    source: `
fn power_of_two(k: i32) -> f32 { return bitcast<f32>((k + 127) << 23u); }`,
  },
  scaled: {
    needs: ['power_of_two'],
    // In two steps, so that neither power overflows.
    source: `
fn scaled(x: f32, k: i32) -> f32 {
  let half = k >> 1u;
  return x * power_of_two(half) * power_of_two(k - half);
}`,
  },
  exp1: {
    needs: ['is_nan', 'scaled'],
    source: `
fn exp1(x: f32) -> f32 {
  let within = clamp(x, -105.0, 89.0);
  let n = round(within * ${literal(Math.LOG2E)});
  let r = fma(n, ${literal(-LN2_LOW)}, fma(n, ${literal(-LN2_HIGH)}, within));
  let power = fma(r * r, ${horner('r', EXP)}, r) + 1.0;
  return select(scaled(power, i32(n)), x, is_nan(x));
}`,
  },
  expm1: {
    needs: ['is_nan', 'power_of_two'],
    // With s = 2^(n-1): e^x - 1 = 2 (s (e^r - 1) + (s - 1/2)), which neither cancels nor overflows early.
    source: `
fn expm1(x: f32) -> f32 {
  let within = clamp(x, -30.0, 89.0);
  let n = round(within * ${literal(Math.LOG2E)});
  let r = fma(n, ${literal(-LN2_LOW)}, fma(n, ${literal(-LN2_HIGH)}, within));
  let small = fma(r * r, ${horner('r', EXP)}, r);
  let s = power_of_two(i32(n) - 1);
  let half = fma(s, small, s - 0.5);
  return select(select(half + half, small, n == 0.0), x, is_nan(x) || x == 0.0);
}`,
  },
  tanh1: {
    needs: ['expm1', 'is_nan'],
    source: `
fn tanh1(x: f32) -> f32 {
  let grown = expm1(2.0 * min(abs(x), 10.0));
  let ratio = grown / (grown + 2.0);
  return select(select(ratio, -ratio, x < 0.0), x, is_nan(x));
}`,
  },
  split: {
    needs: [],
    // m 2^e with m in [sqrt(1/2), sqrt(2)), from the bits alone: a subnormal number is its bits times 2^-149, even
    // if arithmetic flushes it to 0.
    source: `
struct Split { z: f32, e: f32 }
fn split(x: f32) -> Split {
  let raw = bitcast<i32>(x);
  let is_tiny = raw > 0 && raw < 0x00800000;
  let bits = select(raw, bitcast<i32>(f32(raw)), is_tiny);
  let e = (bits - 0x3f3504f3) >> 23u;
  return Split(bitcast<f32>(bits - (e << 23u)) - 1.0, f32(e - select(0, 149, is_tiny)));
}`,
  },
  log1: {
    needs: ['split', 'log_edges'],
    source: `
fn log1(x: f32) -> f32 {
  let found = split(x);
  let z = found.z;
  let square = z * z;
  let low = fma(found.e, ${literal(LN2_LOW)}, ${horner('z', LOG)} * z * square);
  return log_edges(x, fma(found.e, ${literal(LN2_HIGH)}, z + fma(square, -0.5, low)));
}`,
  },
  log_edges: {
    needs: [],
    source: `
fn log_edges(x: f32, plain: f32) -> f32 {
  let raw = bitcast<i32>(x);
  let above = select(plain, words.infinity, raw == 0x7f800000);
  let edge = select(above, words.nan, raw < 0 || raw > 0x7f800000);
  return select(edge, -words.infinity, (raw & 0x7fffffff) == 0);
}`,
  },
  log2_1: {
    needs: ['split', 'log2_of_mantissa', 'log_edges'],
    source: `
fn log2_1(x: f32) -> f32 {
  let found = split(x);
  return log_edges(x, found.e + log2_of_mantissa(found.z));
}`,
  },
  log2_of_mantissa: {
    needs: [],
    source: `
fn log2_of_mantissa(z: f32) -> f32 {
  let t = (z - ${literal(MANTISSA_MIDDLE)}) * ${literal(1 / MANTISSA_HALF)};
  let tail = ${horner('t', [...LOG2_TAIL].reverse())};
  return fma(z, ${literal(LOG2E_HIGH)}, fma(z, ${literal(LOG2E_LOW)}, tail * z * z));
}`,
  },
  log10_1: {
    needs: ['split', 'log_edges'],
    source: `
fn log10_1(x: f32) -> f32 {
  let found = split(x);
  let z = found.z;
  let square = z * z;
  let tail = fma(square, -0.5, ${horner('z', LOG)} * z * square);
  let small = fma(tail, ${literal(LOG10E_HIGH)}, fma(z + tail, ${literal(LOG10E_LOW)}, found.e * ${literal(LOG10_2_LOW)}));
  return log_edges(x, fma(found.e, ${literal(LOG10_2_HIGH)}, fma(z, ${literal(LOG10E_HIGH)}, small)));
}`,
  },
  log1p: {
    needs: ['log1'],
    // Within 1/2 of 0 it is 2 atanh(x / (2 + x)). Beyond, the rounding error of 1 + x is far smaller than the
    // logarithm.
    source: `
fn log1p(x: f32) -> f32 {
  let s = x / (x + 2.0);
  let square = s * s;
  let t = fma(square, 18.0, -1.0);
  let near = fma((s + s) * square, ${horner('t', [...ATANH].reverse())}, s + s);
  return select(select(log1(1.0 + x), near, abs(x) < 0.5), x, abs(x) < 1e-8);
}`,
  },
  atan1: {
    needs: ['is_nan'],
    source: `
fn atan1(x: f32) -> f32 {
  let a = min(abs(x), 1e30);
  let is_far = a > 2.414213562373095;
  let is_middle = a > 0.4142135623730950 && !is_far;
  let start = select(select(0.0, ${literal(Math.PI / 4)}, is_middle), ${literal(Math.PI / 2)}, is_far);
  let top = select(select(a, a - 1.0, is_middle), -1.0, is_far);
  let bottom = select(select(1.0, a + 1.0, is_middle), a, is_far);
  let y = top / bottom;
  let z = y * y;
  let tail = ${horner('z', [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1])};
  let angle = start + fma(tail * z, y, y);
  return select(select(angle, -angle, x < 0.0), x, is_nan(x));
}`,
  },
  arc: {
    needs: ['root'],
    // Above 1/2: from the sine of half of the angle that is missing to a right angle.
    source: `
struct Arc { is_far: bool, angle: f32 }
fn arc(a: f32) -> Arc {
  let is_far = a > 0.5;
  let square = select(a * a, 0.5 * (1.0 - a), is_far);
  let s = select(a, root(square), is_far);
  return Arc(is_far, fma(${horner('square', ASIN)} * square, s, s));
}`,
  },
  asin1: {
    needs: ['arc', 'is_nan'],
    source: `
fn asin1(x: f32) -> f32 {
  let found = arc(abs(x));
  let far = fma(-2.0, found.angle, ${literal(Math.PI / 2)}) + ${literal(HALF_PI_LOW)};
  let magnitude = select(found.angle, far, found.is_far);
  return select(select(magnitude, -magnitude, x < 0.0), x, is_nan(x));
}`,
  },
  acos1: {
    needs: ['arc', 'is_nan'],
    source: `
fn acos1(x: f32) -> f32 {
  let found = arc(abs(x));
  let twice = 2.0 * found.angle;
  let far = select(twice, (${literal(Math.PI)} - twice) + ${literal(2 * HALF_PI_LOW)}, x < 0.0);
  let near = (${literal(Math.PI / 2)} - select(found.angle, -found.angle, x < 0.0)) + ${literal(HALF_PI_LOW)};
  return select(select(near, far, found.is_far), x, is_nan(x));
}`,
  },
  erf1: {
    needs: ['exp1', 'is_nan'],
    source: `
fn erf1(x: f32) -> f32 {
  let t = min(abs(x), 5.0);
  let s = t * t;
  let far_high = fma(${literal(-1.7285347e-5)}, t, ${literal(3.83197126e-4)});
  let far_low = fma(${literal(-3.88396438e-3)}, t, ${literal(2.42546219e-2)});
  let far_tail = ${horner('t', [-1.06777877e-1, -6.34846687e-1, -1.28717512e-1]).replace(literal(-1.06777877e-1), `fma(fma(far_high, s, far_low), t, ${literal(-1.06777877e-1)})`)};
  let far = 1.0 - exp1(fma(far_tail, t, -t));
  let near_tail = ${horner('s', [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1])};
  let magnitude = select(fma(near_tail, t, t), far, t > 0.927734375);
  return select(select(magnitude, -magnitude, x < 0.0), x, is_nan(x));
}`,
  },
  lgamma1: { needs: NEEDS, source: lgamma() },
  digamma1: { needs: NEEDS, source: digamma() },
  pow2: {
    needs: ['is_nan', 'scaled', 'split', 'log2_of_mantissa'],
    // 2^(b log2 |a|): the exponent and the logarithm of the mantissa separately, and b in two parts, where the
    // first times an integer exponent is exact.
    source: `
fn pow_of_magnitude(a: f32, b: f32) -> f32 {
  let parts = split(a);
  let fraction = log2_of_mantissa(parts.z);
  let power = clamp(b, -1e9, 1e9);
  let high = bitcast<f32>(bitcast<u32>(power) & 0xfffff000u);
  let whole = high * parts.e;
  let rest = fma(power, fraction, (power - high) * parts.e);
  let n = clamp(round(whole + rest), -300.0, 300.0);
  let r = clamp((whole - n) + rest, -0.5, 0.5);
  let r2 = 2.0 * r;
  return scaled(${horner('r2', [...EXP2].reverse())}, clamp(i32(n), -250, 250));
}
fn pow2(a: f32, b: f32) -> f32 {
  let m = abs(a);
  let is_up = (m > 1.0) == (b > 0.0);
  let edge = select(0.0, words.infinity, is_up);
  let is_edge = bitcast<u32>(m) == 0u || (bitcast<u32>(m) == 0x7f800000u) || (bitcast<u32>(abs(b)) == 0x7f800000u);
  let far = select(select(pow_of_magnitude(m, b), edge, is_edge), 1.0, m == 1.0);
  let half = b * 0.5;
  let is_whole = trunc(b) == b;
  let is_odd = is_whole && trunc(half) != half;
  let signed = select(far, -far, is_odd && (bitcast<u32>(a) >> 31u) == 1u);
  let is_real = a >= 0.0 || is_whole || bitcast<u32>(m) == 0x7f800000u;
  let is_broken = !is_real || is_nan(a) || is_nan(b) || (m == 1.0 && bitcast<u32>(abs(b)) == 0x7f800000u);
  return select(select(signed, words.nan, is_broken), 1.0, b == 0.0);
}`,
  },
  turn: {
    needs: [],
    // |x| = (k + f) pi / 2 with k in two bits: the mantissa times the 96 bits of 2 / pi that matter for its
    // exponent.
    source: `
struct Turn { k: u32, angle: f32 }
fn high_product(a: u32, b: u32) -> u32 {
  let p = (a & 0xffffu) * (b & 0xffffu);
  let q = (a >> 16u) * (b & 0xffffu);
  let r = (a & 0xffffu) * (b >> 16u);
  let middle = (p >> 16u) + (q & 0xffffu) + (r & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (q >> 16u) + (r >> 16u) + (middle >> 16u);
}
fn digits(place: u32) -> u32 {
  var table = array<u32, 8>(0u, ${TWO_OVER_PI.map((word) => `${word}u`).join(', ')});
  return table[min(place, 7u)];
}
fn window(start: u32) -> u32 {
  let place = start >> 5u;
  let shift = start & 31u;
  return select(digits(place), (digits(place) << shift) | (digits(place + 1u) >> (32u - shift)), shift > 0u);
}
fn turn_far(x: f32) -> Turn {
  let bits = bitcast<u32>(x);
  let exponent = (bits >> 23u) & 255u;
  let mantissa = (bits & 0x7fffffu) | 0x800000u;
  let start = exponent - 120u;
  let high = window(start);
  let middle = window(start + 32u);
  let low = window(start + 64u);
  let carried = middle * mantissa;
  let below = high_product(low, mantissa);
  let second = carried + below;
  let first = high * mantissa + high_product(middle, mantissa) + select(0u, 1u, second < carried);
  let nearest = (first + 0x20000000u) >> 30u;
  let top = bitcast<i32>((first << 2u) | (second >> 30u));
  let fraction = f32(top) * ${literal(2 ** -32)} + f32((second << 2u) >> 8u) * ${literal(2 ** -56)};
  return Turn(nearest & 3u, fraction * ${literal(Math.PI / 2)});
}
fn turn_near(x: f32) -> Turn {
  let n = round(x * ${literal(2 / Math.PI)});
  let r = fma(n, -7.54978995489188216e-8, fma(n, -4.837512969970703125e-4, fma(n, -1.5703125, x)));
  return Turn(u32(n) & 3u, r);
}
fn turn(x: f32) -> Turn {
  if (x > 200.0) { return turn_far(x); }
  return turn_near(x);
}`,
  },
  circular: {
    needs: ['turn', 'is_finite'],
    source: `
fn circular(x: f32, shift: u32, is_negative: bool) -> f32 {
  let found = turn(select(0.0, abs(x), is_finite(x)));
  let r = found.angle;
  let z = r * r;
  let sine = fma(${horner('z', SINE)} * z, r, r);
  let cosine = fma(z * z, ${horner('z', COSINE)}, fma(z, -0.5, 1.0));
  let k = found.k + shift;
  let value = select(sine, cosine, (k & 1u) == 1u);
  let is_down = ((k & 2u) == 2u) != is_negative;
  return select(words.nan, select(value, -value, is_down), is_finite(x));
}`,
  },
  sin1: {
    needs: ['circular'],
    source: `
fn sin1(x: f32) -> f32 { return circular(x, 0u, x < 0.0); }`,
  },
  cos1: {
    needs: ['circular'],
    source: `
fn cos1(x: f32) -> f32 { return circular(x, 1u, false); }`,
  },
}

/**
 * The source of some functions and of all functions that they call, each once and before its use. The built-in
 * functions of WGSL are not accurate enough (log only to 2^-21, and pow and tanh inherit that), and they may assume
 * that NaN and infinities do not occur. So NaN and infinities are detected by their bits and come from `words`, never
 * from literals. test/engines/webgpu/math.test.ts sweeps all functions.
 *
 * @example
 * mathSource(['tanh1']) // fn is_nan ... fn power_of_two ... fn expm1 ... fn tanh1 ...
 */
export function mathSource(names: Iterable<string>): string {
  const found = new Set<string>()
  const visit = (name: string) => {
    for (const needed of partOf(name).needs) visit(needed)
    found.add(name)
  }
  for (const name of names) visit(name)
  return [...found].map((name) => partOf(name).source.trim()).join('\n')
}

/** Of the derivatives of digamma there is one for each order. */
function partOf(name: string): Part {
  const order = /^polygamma_(\d+)$/.exec(name)?.[1]
  return order === undefined ? PARTS[name] : { needs: NEEDS, source: polygamma(Number(order)) }
}
