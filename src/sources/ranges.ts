/**
 * Interval analysis of a program without axes: between which numbers each value lies, whatever finite numbers the inputs
 * are. Rounding is monotone, so bounds that are computed like the values themselves hold for them. Writers leave out what
 * guards against a case that cannot occur.
 */
import type { Node, Op } from '../language/ir.ts'
import { evaluateScalar } from '../language/scalar.ts'

export interface Range {
  readonly low: number
  readonly high: number
  /** Whether it may be NaN. */
  readonly nan: boolean
  /** Whether it is a whole number, infinite or NaN: so if it is not 0, it is no fraction. */
  readonly whole?: boolean
  /** Whether it is finite or NaN also if inputs are infinite. */
  readonly bounded?: boolean
}

const MOST = Number.MAX_VALUE
const EVERYTHING: Range = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY, nan: true }
const FINITE: Range = { low: -MOST, high: MOST, nan: false }
const TRUTH: Range = { low: 0, high: 1, nan: false }

/** The range of each node; arguments come first. */
export function rangesOf(nodes: readonly Node[]): Range[] {
  const wild = rangesFrom(nodes, EVERYTHING)
  return rangesFrom(nodes, FINITE).map((range, id) => ({ ...range, bounded: !isInfinite(wild[id]) }))
}

/** @param input the range of every input */
function rangesFrom(nodes: readonly Node[], input: Range): Range[] {
  const ranges: Range[] = []
  for (const node of nodes) {
    const own = node.args.map((arg) => ranges[arg])
    const bounds = node.op === 'input' ? input : boundsOf(node, own)
    ranges.push({ ...bounds, whole: isWhole(node, own) })
  }
  return ranges
}

/** Sums and products of whole numbers are rounded to whole numbers. */
function isWhole({ op, value, type }: Node, ranges: readonly Range[]): boolean {
  if (op === 'constant') return Number.isInteger(value)
  if (op === 'sign' || op === 'floor' || op === 'round' || type === 'bool') return true
  const args = op === 'select' ? ranges.slice(1) : ranges
  return KEEPS_WHOLE.has(op) && args.every(({ whole }) => whole)
}

const KEEPS_WHOLE: ReadonlySet<Op> = new Set([
  'neg',
  'abs',
  'add',
  'sub',
  'mul',
  'mul_no_nan',
  'max',
  'min',
  'select',
  'stop_gradient',
] satisfies Op[])

function boundsOf({ op, args, value, type }: Node, ranges: readonly Range[]): Range {
  if (op === 'constant') return { low: value!, high: value!, nan: Number.isNaN(value) }
  if (type === 'bool') return TRUTH
  if (op === 'select') return union(ranges[1], ranges[2])
  const [a, b = a] = ranges
  const rule = RULES[op]
  if (rule === undefined) return EVERYTHING
  const isSquare = (op === 'mul' || op === 'mul_no_nan') && args[0] === args[1]
  const range = isSquare ? square(a) : rule(a, b)
  return Number.isNaN(range.low) || Number.isNaN(range.high) ? EVERYTHING : range
}

type Rule = (a: Range, b: Range) => Range

/** Functions that rise everywhere. */
const rising =
  (op: Op): Rule =>
  (a) => ({ low: evaluateScalar(op, [a.low]), high: evaluateScalar(op, [a.high]), nan: a.nan })

const RULES: { readonly [O in Op]?: Rule } = {
  neg: (a) => ({ low: -a.high, high: -a.low, nan: a.nan }),
  abs: (a) => {
    const [x, y] = [Math.abs(a.low), Math.abs(a.high)]
    return { low: contains(a, 0) ? 0 : Math.min(x, y), high: Math.max(x, y), nan: a.nan }
  },
  exp: rising('exp'),
  expm1: rising('expm1'),
  sigmoid: rising('sigmoid'),
  tanh: rising('tanh'),
  softplus: rising('softplus'),
  floor: rising('floor'),
  round: rising('round'),
  atan: rising('atan'),
  erf: rising('erf'),
  stop_gradient: (a) => a,
  log: (a) => logarithm(a, Math.log, 0),
  log2: (a) => logarithm(a, Math.log2, 0),
  log10: (a) => logarithm(a, Math.log10, 0),
  log1p: (a) => logarithm(a, Math.log1p, -1),
  sqrt: (a) => root(a),
  safe_sqrt: (a) => root(a),
  sign: (a) => ({ low: Math.sign(a.low), high: Math.sign(a.high), nan: a.nan }),
  sin: (a) => ({ low: -1, high: 1, nan: a.nan || isInfinite(a) }),
  cos: (a) => ({ low: -1, high: 1, nan: a.nan || isInfinite(a) }),
  add: (a, b) => ({
    low: a.low + b.low,
    high: a.high + b.high,
    nan:
      a.nan ||
      b.nan ||
      (a.high === Infinity && b.low === -Infinity) ||
      (a.low === -Infinity && b.high === Infinity),
  }),
  sub: (a, b) => ({
    low: a.low - b.high,
    high: a.high - b.low,
    nan:
      a.nan ||
      b.nan ||
      (a.high === Infinity && b.high === Infinity) ||
      (a.low === -Infinity && b.low === -Infinity),
  }),
  mul: product,
  mul_no_nan: (a, b) => {
    const range = product(a, b)
    return {
      ...hull([range, { low: 0, high: 0, nan: false }]),
      nan: a.nan || b.nan || (isInfinite(a) && contains(b, 0)),
    }
  },
  div: (a, b) => {
    if (contains(b, 0)) return EVERYTHING
    const ends = [a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high]
    return { ...endsOf(ends), nan: a.nan || b.nan || (isInfinite(a) && isInfinite(b)) }
  },
  pow: (a, b) => {
    if (a.low < 0) return EVERYTHING
    const ends = [a.low ** b.low, a.low ** b.high, a.high ** b.low, a.high ** b.high]
    return { ...endsOf(ends), nan: a.nan || b.nan || isInfinite(b) }
  },
  max: (a, b) => ({ low: Math.max(a.low, b.low), high: Math.max(a.high, b.high), nan: a.nan || b.nan }),
  min: (a, b) => ({ low: Math.min(a.low, b.low), high: Math.min(a.high, b.high), nan: a.nan || b.nan }),
}

function square({ low, high, nan }: Range): Range {
  const [x, y] = [low * low, high * high]
  return { low: low <= 0 && high >= 0 ? 0 : Math.min(x, y), high: Math.max(x, y), nan }
}

function product(a: Range, b: Range): Range {
  const ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high].map((end) =>
    Number.isNaN(end) ? 0 : end,
  )
  const nan = a.nan || b.nan || (isInfinite(a) && contains(b, 0)) || (isInfinite(b) && contains(a, 0))
  return { ...endsOf(ends), nan }
}

function logarithm(a: Range, log: (x: number) => number, pole: number): Range {
  return { low: log(Math.max(a.low, pole)), high: log(Math.max(a.high, pole)), nan: a.nan || a.low < pole }
}

function root(a: Range): Range {
  return { low: Math.sqrt(Math.max(a.low, 0)), high: Math.sqrt(Math.max(a.high, 0)), nan: a.nan || a.low < 0 }
}

function endsOf(ends: readonly number[]): Pick<Range, 'low' | 'high'> {
  return { low: Math.min(...ends), high: Math.max(...ends) }
}

function hull(ranges: readonly Range[]): Range {
  return ranges.reduce(union)
}

function union(a: Range, b: Range): Range {
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high), nan: a.nan || b.nan }
}

/** Whether a number may be the value. */
export function contains({ low, high }: Range, value: number): boolean {
  return low <= value && value <= high
}

/** Whether an infinity may be the value. */
export function isInfinite({ low, high }: Range): boolean {
  return low === -Infinity || high === Infinity
}
