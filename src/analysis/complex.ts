/**
 * Complex numbers for the complex step: the imaginary part of f(x + ih) / h is the derivative to the last digit, because
 * nothing is subtracted (Squire, Trapp, SIAM Review 40, 1998). Kinks and conditions look at the real part.
 */
import { SCALAR_SEMANTICS } from '../language/scalar.ts'
import type { Tape, TapeNode } from './tape.ts'

export interface Complex {
  readonly re: number
  readonly im: number
}

const real = (re: number): Complex => ({ re, im: 0 })
const times = (a: Complex, b: Complex): Complex => ({
  re: a.re * b.re - a.im * b.im,
  im: a.re * b.im + a.im * b.re,
})
const plus = (a: Complex, b: Complex): Complex => ({ re: a.re + b.re, im: a.im + b.im })
const scaled = (a: Complex, factor: number): Complex => ({ re: a.re * factor, im: a.im * factor })

/** A step so small that its square is nothing beside any number: each function is f(re) + i im f'(re). */
const along =
  (f: (x: number) => number, slope: (x: number, y: number) => number) =>
  ({ re, im }: Complex): Complex => {
    const y = f(re)
    return { re: y, im: im === 0 ? 0 : im * slope(re, y) }
  }

const sigmoid = SCALAR_SEMANTICS.sigmoid as (x: number) => number
const softplus = SCALAR_SEMANTICS.softplus as (x: number) => number

/**
 * Complex exponentials and logarithms, by their definitions; the functions that the definitions would cancel in are
 * continued along the real axis.
 */
const FUNCTIONS: { readonly [O in TapeNode['op']]?: (x: Complex) => Complex } = {
  neg: (x) => scaled(x, -1),
  stop_gradient: (x) => x,
  square: (x) => times(x, x),
  abs: (x) => (x.re < 0 ? scaled(x, -1) : x.re > 0 ? x : real(0)),
  exp: ({ re, im }) => ({ re: Math.exp(re) * Math.cos(im), im: Math.exp(re) * Math.sin(im) }),
  expm1: ({ re, im }) => ({ re: Math.expm1(re), im: Math.exp(re) * Math.sin(im) }),
  log: ({ re, im }) => ({ re: Math.log(Math.hypot(re, im)), im: Math.atan2(im, re) }),
  log1p: ({ re, im }) => ({ re: Math.log1p(re), im: Math.atan2(im, 1 + re) }),
  log2: ({ re, im }) => ({ re: Math.log2(re), im: Math.atan2(im, re) * Math.LOG2E }),
  log10: ({ re, im }) => ({ re: Math.log10(re), im: Math.atan2(im, re) * Math.LOG10E }),
  sqrt: along(Math.sqrt, (_, y) => 0.5 / y),
  safe_sqrt: along(Math.sqrt, (_, y) => (y === 0 ? 0 : 0.5 / y)),
  sigmoid: along(sigmoid, (x) => sigmoid(x) * sigmoid(-x)),
  softplus: along(softplus, (x) => sigmoid(x)),
  tanh: along(Math.tanh, (x) => 1 / Math.cosh(x) ** 2),
  sin: ({ re, im }) => ({ re: Math.sin(re), im: Math.cos(re) * Math.sinh(im) }),
  cos: ({ re, im }) => ({ re: Math.cos(re), im: -Math.sin(re) * Math.sinh(im) }),
  atan: along(Math.atan, (x) => 1 / (1 + x * x)),
  asin: along(Math.asin, (x) => 1 / Math.sqrt((1 - x) * (1 + x))),
  acos: along(Math.acos, (x) => -1 / Math.sqrt((1 - x) * (1 + x))),
}

function quotient(a: Complex, b: Complex): Complex {
  const re = a.re / b.re
  return { re, im: (a.im - re * b.im) / b.re }
}

function power(a: Complex, b: Complex): Complex {
  const re = a.re ** b.re
  const byBase = a.im === 0 || b.re === 0 ? 0 : b.re * a.re ** (b.re - 1) * a.im
  const byExponent = b.im === 0 || a.re === 0 ? 0 : re * Math.log(a.re) * b.im
  return { re, im: byBase + byExponent }
}

/** The root of a tape; undefined if it has an op without a continuation. */
export function complexValue(tape: Tape, at: (name: string) => Complex): Complex | undefined {
  const values: Complex[] = []
  for (const node of tape.nodes) {
    const args = node.args.map((arg) => values[arg])
    const value = complexOf(node, args, at)
    if (value === undefined) return undefined
    values.push(value)
  }
  return values[tape.roots[0]]
}

function complexOf(
  node: TapeNode,
  args: readonly Complex[],
  at: (name: string) => Complex,
): Complex | undefined {
  const [a, b] = args
  switch (node.op) {
    case 'variable':
      return at(node.name!)
    case 'constant':
      return real(node.value!)
    case 'linear':
      return args.reduce(
        (sum, arg, place) => plus(sum, scaled(arg, node.factorNumbers[place])),
        real(node.value!),
      )
    case 'add':
      return plus(a, b)
    case 'sub':
      return plus(a, scaled(b, -1))
    case 'mul':
      return times(a, b)
    case 'mul_no_nan':
      return a.re === 0 ? real(0) : times(a, b)
    case 'div':
      return quotient(a, b)
    case 'pow':
      return power(a, b)
    case 'max':
      return a.re > b.re ? a : b.re > a.re ? b : scaled(plus(a, b), 0.5)
    case 'min':
      return a.re < b.re ? a : b.re < a.re ? b : scaled(plus(a, b), 0.5)
    case 'select':
      return a.re !== 0 ? b : args[2]
    case 'sign':
    case 'floor':
    case 'round':
      return real((SCALAR_SEMANTICS[node.op] as (x: number) => number)(a.re))
    case 'lt':
    case 'le':
    case 'eq':
    case 'and':
    case 'or':
    case 'not':
    case 'is_finite':
      return real(SCALAR_SEMANTICS[node.op](a.re, b?.re ?? 0))
    default:
      return FUNCTIONS[node.op]?.(a)
  }
}
