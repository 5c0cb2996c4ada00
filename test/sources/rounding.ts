/**
 * How far a result may be from the exact one: a running error analysis (Wilkinson; Higham 2002, section 3.3). The program is
 * computed in float64 for inputs that the arithmetic holds exactly, and each number carries a bound on what the arithmetic
 * makes of it: what its operation makes of the errors of its arguments, and its own rounding. Nothing here is measured. Where a
 * comparison is within the errors of its sides, either branch is right.
 */
import { interpret } from '../../src/language/interpret.ts'
import { layoutOf, type Node, type Op, type Program, sizesWithRenamedAxes } from '../../src/language/ir.ts'
import { evaluateScalar, isElementwise } from '../../src/language/scalar.ts'
import { broadcastTo, offsetsOf, type Sizes, strideOf } from '../../src/language/strides.ts'
import { COTANGENT, legalize } from '../../src/loops/legalize.ts'
import type { NumericArray } from '../../src/tensor.ts'

/** How numbers are rounded. */
export interface Arithmetic {
  /** Half the distance from 1 to the next number. */
  readonly rounding: number
  /** What an underflow costs: the smallest number, or the smallest normal one where others are taken for 0. */
  readonly smallest: number
  readonly largest: number
  /** The error of a function of its library, in roundings. */
  readonly functions: number
  /** That of log1p, where it is larger. */
  readonly log1p?: number
}

/** 4 ulp, as NumPy promises. glibc, SLEEF and c-math.ts are below 2.5 ulp. */
const FUNCTIONS = 8
export const FLOAT32: Arithmetic = {
  rounding: 2 ** -24,
  smallest: 2 ** -149,
  largest: 3.4028234663852886e38,
  functions: FUNCTIONS,
}
export const FLOAT64: Arithmetic = {
  rounding: 2 ** -53,
  smallest: 2 ** -1074,
  largest: Number.MAX_VALUE,
  functions: FUNCTIONS,
}

/** Bounds on absolute errors, in the layouts of the results. `Infinity` where the arithmetic overflows on the way. */
export interface RoundingBounds {
  readonly values: Float64Array
  readonly gradients: Readonly<Record<string, Float64Array>>
}

interface Arguments {
  readonly sizes: Sizes
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
}

/** The program that loops are written from, with a cotangent of 1. */
export function asLoops(program: Program): Program {
  const { nodes, roots, axes, renamed, inputs } = legalize(program, {
    uniform: true,
    mayCount: true,
    staticPredicates: new Map(),
  })
  const root = (role: string) => roots.filter((found) => found.role === role)
  return {
    nodes,
    axes,
    renamed,
    inputs,
    scalars: [...program.scalars, COTANGENT],
    value: root('values')[0]!.node,
    gradients: Object.fromEntries(root('gradient').map(({ name, node }) => [name, node])),
  }
}

export function roundingBounds(program: Program, args: Arguments, arithmetic: Arithmetic): RoundingBounds {
  const scalars = { ...args.scalars, [COTANGENT]: 1 }
  const run = new ErrorAnalysis(program, { ...args, scalars }, arithmetic)
  const errors = program.nodes.map((node, id) => run.errorsOf(node, id))
  const sizes = sizesWithRenamedAxes(program, args.sizes)
  const gradients = Object.entries(program.gradients).map(([name, id]) => {
    const offsets = offsetsOf(sizes, layoutOf(program, name), program.nodes[id]!.axes)
    return [name, Float64Array.from(offsets, (offset) => errors[id]![offset]!)] as const
  })
  return { values: errors[program.value]!, gradients: Object.fromEntries(gradients) }
}

/** Recursions along axes: of these nothing is derived. functions.ts holds them to tolerances. */
const RECURSIVE: ReadonlySet<Op> = new Set([
  'recurrence',
  'reverse_recurrence',
  'solve_lower',
  'solve_upper',
  'ctc',
  'ctc_slope',
  'soft_dtw',
  'soft_dtw_slope',
] satisfies Op[])

/** A number and the bound on its error. */
interface Inexact {
  readonly x: number
  readonly e: number
}

class ErrorAnalysis {
  readonly #program: Program
  readonly #sizes: Sizes
  readonly #arithmetic: Arithmetic
  readonly #values: readonly Float64Array[]
  readonly #errors: Float64Array[] = []

  constructor(program: Program, args: Arguments, arithmetic: Arithmetic) {
    this.#program = program
    this.#arithmetic = arithmetic
    this.#sizes = sizesWithRenamedAxes(program, args.sizes)
    const gradients = Object.fromEntries(program.nodes.map((_, id) => [`node ${id}`, id]))
    const all = interpret({ ...program, gradients }, args).gradients
    this.#values = program.nodes.map((_, id) => all[`node ${id}`]!)
  }

  errorsOf(node: Node, id: number): Float64Array {
    const values = this.#values[id]!
    const errors = node.op === 'input' ? (i: number) => this.#lostOnEntry(values[i]!) : this.#rule(node)
    const found = values.map((x, i) => {
      const e = errors(i)
      // Beyond the largest number nothing is known; an infinity is one in all precisions.
      if (Number.isNaN(e) || (Number.isFinite(x) && Math.abs(x) + e > this.#arithmetic.largest))
        return Infinity
      return e
    })
    this.#errors.push(found)
    return found
  }

  #rule(node: Node): (element: number) => number {
    const { op, args, value } = node
    if (op === 'constant') return () => (this.#isNarrow ? Math.abs(Math.fround(value!) - value!) : 0)
    if (args.length === 0) return () => 0
    if (op === 'select') return this.#select(node)
    if (isElementwise(op)) return this.#elementwise(node)
    if (op === 'expand') return this.#read(node, 0, (operand) => operand.e)
    if (op === 'rename') return this.#renamed(node)
    if (op === 'pick') return this.#picked(node)
    if (op === 'shift') return () => (this.#isExact(args) ? 0 : Infinity)
    if (op === 'reduce_sum' || op === 'reduce_max' || op === 'contract') return this.#reduced(node)
    if (RECURSIVE.has(op)) return () => Infinity
    // Sorting and its kin: known only if what is sorted is exact.
    return () => (this.#isExact(args) ? 0 : Infinity)
  }

  /** What is smaller than the smallest number is taken for 0. */
  #lostOnEntry(x: number): number {
    return Math.abs(x) < this.#arithmetic.smallest ? Math.abs(x) : 0
  }

  get #isNarrow(): boolean {
    return this.#arithmetic.rounding === FLOAT32.rounding
  }

  #isExact(args: readonly number[]): boolean {
    return args.every((arg) => this.#errors[arg]!.every((e) => e === 0))
  }

  #operand(node: Node, place: number): (element: number) => Inexact {
    const id = node.args[place]!
    const { axes } = this.#program.nodes[id]!
    const x = broadcastTo(this.#sizes, { data: this.#values[id]!, axes }, node.axes)
    const e = broadcastTo(this.#sizes, { data: this.#errors[id]!, axes }, node.axes)
    return (element) => ({ x: x(element), e: e(element) })
  }

  #read(node: Node, place: number, rule: (operand: Inexact) => number): (element: number) => number {
    const operand = this.#operand(node, place)
    return (element) => rule(operand(element))
  }

  #elementwise(node: Node): (element: number) => number {
    const [a, b] = [this.#operand(node, 0), this.#operand(node, node.args.length - 1)]
    const isSquare = node.args.length === 2 && node.args[0] === node.args[1]
    return (element) => errorOf(node.op, a(element), b(element), isSquare, this.#arithmetic)
  }

  #select(node: Node): (element: number) => number {
    const [test, yes, no] = [0, 1, 2].map((place) => this.#operand(node, place))
    return (element) => {
      const [t, y, n] = [test!(element), yes!(element), no!(element)]
      const [taken, other] = t.x === 0 ? [n, y] : [y, n]
      return t.e === 0 ? taken.e : Math.max(taken.e, other.e + distance(taken.x, other.x))
    }
  }

  #renamed({ args: [source], axis, to, axes }: Node): (element: number) => number {
    const from = this.#program.nodes[source!]!.axes.map((own) => (own === axis ? to! : own))
    const offsets = offsetsOf(this.#sizes, axes, from)
    return (element) => this.#errors[source!]![offsets[element]!]!
  }

  #picked(node: Node): (element: number) => number {
    const [source] = node.args
    const place = this.#operand(node, 1)
    const own = this.#program.nodes[source!]!.axes
    const offsets = offsetsOf(this.#sizes, node.axes, own)
    const [length, stride] = [this.#sizes[node.axis!]!, strideOf(this.#sizes, own, node.axis!)]
    return (element) => {
      const { x, e } = place(element)
      if (e !== 0) return Infinity
      return x >= 0 && x < length ? this.#errors[source!]![offsets[element]! + x * stride]! : 0
    }
  }

  /** In any order of the terms: a sum of n has n - 1 roundings of at most the sum of their sizes. */
  #reduced(node: Node): (element: number) => number {
    const terms = this.#terms(node)
    return (element) => {
      const all = terms(element)
      if (node.op === 'reduce_max') return Math.max(0, ...all.map(({ e }) => e))
      const size = all.reduce((sum, { x, e }) => sum + Math.abs(x) + e, 0)
      const errors = all.reduce((sum, { e }) => sum + e, 0)
      return size === Infinity ? outOf(all) : errors + rounded(size, all.length, this.#arithmetic)
    }
  }

  #terms(node: Node): (element: number) => readonly Inexact[] {
    const lines = node.args.map((arg) => this.#line(node, arg))
    const length = this.#sizes[node.axis!]!
    return (element) =>
      Array.from({ length }, (_, k) => {
        const [a, b] = lines.map((line) => line(element, k))
        return b === undefined ? a! : { x: a!.x * b.x, e: errorOf('mul', a!, b, false, this.#arithmetic) }
      })
  }

  #line(node: Node, id: number): (element: number, k: number) => Inexact {
    const own = this.#program.nodes[id]!.axes
    const [offsets, stride] = [offsetsOf(this.#sizes, node.axes, own), strideOf(this.#sizes, own, node.axis!)]
    return (element, k) => {
      const at = offsets[element]! + k * stride
      return { x: this.#values[id]![at]!, e: this.#errors[id]![at]! }
    }
  }
}

const distance = (a: number, b: number) =>
  a === b || (Number.isNaN(a) && Number.isNaN(b)) ? 0 : Math.abs(a - b)

/** What one operation adds. */
const rounded = (value: number, roundings: number, { rounding, smallest }: Arithmetic) =>
  roundings * (rounding * Math.abs(value) + smallest)

/** Of something infinite: nothing is known if one of its parts is not. */
const outOf = (parts: readonly Inexact[]) => (parts.every(({ e }) => Number.isFinite(e)) ? 0 : Infinity)

/** The error of a result. Truths have the error 1 where they may be the other one. */
function errorOf(op: Op, a: Inexact, b: Inexact, isSquare: boolean, arithmetic: Arithmetic): number {
  const value = evaluateScalar(op, [a.x, b.x])
  const rule = EXACT[op] ?? TRUTHS[op]
  if (rule !== undefined) return rule(a, b)
  if (op === 'mul_no_nan') return silentProduct(a, b, isSquare, arithmetic)
  // x / 0 and log 0 are infinite on one side, and anything if the 0 is not certain; so is infinity times what may be 0.
  if (!Number.isFinite(value)) return isPole(op, a, b) ? Infinity : outOf([a, b])
  if (outOf([a, b]) !== 0) return Infinity
  const own = rounded(value, roundingsOf(op, arithmetic), arithmetic)
  return (SLOPES[op]?.(a, b, value, isSquare) ?? Infinity) + own
}

function isPole(op: Op, a: Inexact, b: Inexact): boolean {
  const [mayBeNone, otherMayBeNone] = [a, b].map(({ x, e }) => e > 0 && Math.abs(x) <= e)
  if (op === 'div') return b.e > 0 || mayBeNone!
  if (op === 'mul') return mayBeNone! || otherMayBeNone!
  return (op === 'log' || op === 'log1p' || op === 'log2' || op === 'log10' || op === 'pow') && a.e > 0
}

type ErrorRule = (a: Inexact, b: Inexact) => number

/** Without a rounding of their own. */
const EXACT: { readonly [O in Op]?: ErrorRule } = {
  neg: (a) => a.e,
  abs: (a) => a.e,
  stop_gradient: (a) => a.e,
  max: (a, b) => (isClear(a, b) ? (a.x > b.x ? a.e : b.e) : Math.max(a.e, b.e)),
  min: (a, b) => (isClear(a, b) ? (a.x < b.x ? a.e : b.e) : Math.max(a.e, b.e)),
  sign: (a) => (a.e === 0 || Math.abs(a.x) > a.e ? 0 : 1 + Math.abs(Math.sign(a.x))),
  floor: (a) => jump(a, Math.floor),
  round: (a) => jump(a, Math.round),
}

/** A step function may take another step within the error. */
function jump({ x, e }: Inexact, step: (x: number) => number): number {
  return e === 0 ? 0 : Math.max(step(x + e) - step(x), step(x) - step(x - e), Math.round(e))
}

const isClear = (a: Inexact, b: Inexact) => a.e + b.e === 0 || Math.abs(a.x - b.x) > a.e + b.e

const TRUTHS: { readonly [O in Op]?: ErrorRule } = {
  lt: (a, b) => (isClear(a, b) ? 0 : 1),
  le: (a, b) => (isClear(a, b) ? 0 : 1),
  eq: (a, b) => (isClear(a, b) ? 0 : 1),
  and: (a, b) => ((a.e === 0 && a.x === 0) || (b.e === 0 && b.x === 0) ? 0 : Math.max(a.e, b.e)),
  or: (a, b) => ((a.e === 0 && a.x !== 0) || (b.e === 0 && b.x !== 0) ? 0 : Math.max(a.e, b.e)),
  not: (a) => a.e,
  is_finite: (a) => (a.e === Infinity ? 1 : 0),
}

/** 0 if g is 0, whatever d is: so it may be 0 if g may be. */
function silentProduct(g: Inexact, d: Inexact, isSquare: boolean, arithmetic: Arithmetic): number {
  if (g.x === 0 && g.e === 0) return 0
  const product = g.x * d.x
  const error = errorOf('mul', g, d, isSquare, arithmetic)
  return Math.abs(g.x) > g.e ? error : Math.max(error, Math.abs(product) + error)
}

type SlopeRule = (a: Inexact, b: Inexact, value: number, isSquare: boolean) => number

/** The part of an interval around a number that is nearest to 0. */
const inner = ({ x, e }: Inexact) => Math.max(Math.abs(x) - e, 0)

/** How far the result moves when the arguments move by their errors. */
const SLOPES: { readonly [O in Op]?: SlopeRule } = {
  add: (a, b) => a.e + b.e,
  sub: (a, b) => a.e + b.e,
  mul: (a, b, _, isSquare) => {
    if (isSquare) return a.e * (2 * Math.abs(a.x) + a.e)
    return product(Math.abs(a.x), b.e) + product(Math.abs(b.x), a.e) + product(a.e, b.e)
  },
  div: (a, b, value) => {
    if (b.e === 0) return a.e / Math.abs(b.x)
    return inner(b) === 0 ? Infinity : (a.e + Math.abs(value) * b.e) / inner(b)
  },
  pow: (a, b, value) => {
    if (a.e === 0 && b.e === 0) return 0
    if (inner(a) === 0)
      return b.e === 0 && b.x > 0 ? (Math.abs(a.x) + a.e) ** b.x + Math.abs(value) : Infinity
    const relative = -Math.log1p(-a.e / Math.abs(a.x))
    const exponent = product(Math.abs(b.x) + b.e, relative) + product(b.e, Math.abs(Math.log(Math.abs(a.x))))
    return Math.abs(value) * Math.expm1(exponent)
  },
  exp: (a, _, value) => value * Math.expm1(a.e),
  expm1: (a) => Math.exp(a.x) * Math.expm1(a.e),
  log: (a) => logarithm(a.x, a.e),
  log1p: (a) => logarithm(1 + a.x, a.e),
  log2: (a) => logarithm(a.x, a.e) / Math.LN2,
  log10: (a) => logarithm(a.x, a.e) / Math.LN10,
  sqrt: (a, _, value) => (a.e === 0 ? 0 : value - Math.sqrt(Math.max(a.x - a.e, 0)) || Math.sqrt(a.e)),
  safe_sqrt: (a, _, value) => (a.e === 0 ? 0 : value - Math.sqrt(Math.max(a.x - a.e, 0)) || Math.sqrt(a.e)),
  sigmoid: (a, _, value) => Math.min(a.e / 4, value * Math.expm1(a.e)),
  softplus: (a) => a.e * Math.min(1, Math.exp(a.x + a.e)),
  tanh: (a) => a.e * Math.min(1, 4 * Math.exp(-2 * inner(a))),
  sin: (a) => a.e,
  cos: (a) => a.e,
  atan: (a) => a.e / (1 + inner(a) ** 2),
  asin: (a) => arc(a),
  acos: (a) => arc(a),
  erf: (a) => 1.1283791670955126 * a.e * Math.exp(-(inner(a) ** 2)),
}

/** The product of a size and an error, either of which may be infinite. */
const product = (a: number, b: number) => (a === 0 || b === 0 ? 0 : a * b)

function logarithm(x: number, e: number): number {
  return e === 0 ? 0 : x > e ? -Math.log1p(-e / x) : Infinity
}

/** asin is steepest at the end of its domain. */
function arc({ x, e }: Inexact): number {
  const end = Math.min(Math.abs(x) + e, 1)
  return e === 0
    ? 0
    : Math.max(Math.asin(end) - Math.asin(Math.abs(x)), Math.asin(end) - Math.asin(Math.max(end - 2 * e, -1)))
}

/** Operations that are rounded once. */
const BASIC: ReadonlySet<Op> = new Set(['add', 'sub', 'mul', 'div', 'sqrt', 'safe_sqrt'] satisfies Op[])

function roundingsOf(op: Op, { functions, log1p = functions }: Arithmetic): number {
  // exp, a sum and a quotient; exp, log1p and a sum.
  if (op === 'sigmoid') return functions + 2
  if (op === 'softplus') return functions + log1p + 1
  if (op === 'log1p') return log1p
  return BASIC.has(op) ? 1 : functions
}
