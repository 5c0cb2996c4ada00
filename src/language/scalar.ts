/**
 * The semantics of every element-wise op on float64 numbers, one line per op. The interpreter runs these, constant
 * folding uses them, and every other engine is compared with them.
 */
import { digamma, lgamma, polygamma } from './gamma.ts'
import type { BinaryOp, FormulaOp, LogicOp, UnaryOp } from './ir.ts'

type Meaning = (a: number, b: number) => number
type ElementwiseOp = UnaryOp | BinaryOp | LogicOp

const flag = (truth: boolean) => (truth ? 1 : 0)

/** Op -> its function; booleans are 1 and 0. */
export const SCALAR_SEMANTICS: Readonly<Record<ElementwiseOp, Meaning>> = {
  neg: (a) => -a,
  abs: Math.abs,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  log2: Math.log2,
  log10: Math.log10,
  sqrt: Math.sqrt,
  safe_sqrt: Math.sqrt,
  sigmoid,
  tanh: Math.tanh,
  softplus,
  sign: (a) => (a > 0 ? 1 : a < 0 ? -1 : Number.isNaN(a) ? a : 0),
  floor: Math.floor,
  round,
  sin: Math.sin,
  cos: Math.cos,
  atan: Math.atan,
  asin: Math.asin,
  acos: Math.acos,
  erf,
  lgamma,
  digamma,
  stop_gradient: (a) => a,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow: (a, b) => a ** b,
  max: (a, b) => Math.max(a, b),
  min: (a, b) => Math.min(a, b),
  polygamma,
  mul_no_nan: (g, d) => (g === 0 ? 0 : g * d),
  lt: (a, b) => flag(a < b),
  le: (a, b) => flag(a <= b),
  eq: (a, b) => flag(a === b),
  and: (a, b) => flag(a !== 0 && b !== 0),
  or: (a, b) => flag(a !== 0 || b !== 0),
  not: (a) => flag(a === 0),
  is_finite: (a) => flag(Number.isFinite(a)),
}

/** Whether the op works element by element. */
export function isElementwise(op: FormulaOp): op is ElementwiseOp {
  return Object.hasOwn(SCALAR_SEMANTICS, op)
}

/** @throws TypeError if the op is not element-wise */
export function evaluateScalar(op: FormulaOp, args: readonly number[]): number {
  if (!isElementwise(op)) throw new TypeError(`${op} is not an element-wise op`)
  return SCALAR_SEMANTICS[op](args[0], args[1])
}

/** 1 / (1 + e^-x), without overflow on either side. */
function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x))
  const e = Math.exp(x)
  return e / (1 + e)
}

/** ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|): never overflows, and keeps small values on the left. */
function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))
}

/** Rounds half to even; JavaScript's own function rounds half up. */
function round(x: number): number {
  const up = Math.round(x)
  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up
}

/**
 * The error function to float64 precision: its Maclaurin series below 2, and above it 1 - erfc by Lentz's continued
 * fraction (Numerical Recipes 3rd ed., section 6.2). Both converge there in fewer than 80 terms.
 */
function erf(x: number): number {
  const magnitude = Math.abs(x)
  if (Number.isNaN(x)) return x
  if (magnitude > 6) return Math.sign(x)
  return magnitude < 2 ? erfSeries(x) : Math.sign(x) * (1 - erfcFraction(magnitude))
}

function erfSeries(x: number): number {
  let term = x
  let sum = x
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

function erfcFraction(x: number): number {
  let fraction = 0
  for (let k = 60; k > 0; k--) fraction = k / 2 / (x + fraction)
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction))
}
