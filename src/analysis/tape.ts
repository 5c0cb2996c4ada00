/**
 * Evaluates a graph of scalars: in float64, in intervals, and in intervals together with first and second
 * derivatives (forward mode). On a piece where it is known which side of each kink and condition holds, the
 * function is evaluated as on that side.
 */
import { SCALAR_SEMANTICS } from '../language/scalar.ts'
import * as elementary from './elementary.ts'
import {
  above,
  add,
  below,
  clipped,
  contains,
  ENTIRE,
  hull,
  type Interval,
  interval,
  isBounded,
  isPoint,
  mul,
  NOUGHT,
  neg,
  point,
  square,
  sub,
  UNDEFINED,
} from './interval.ts'
import { BINARY, type BinaryRow, LOGIC, UNARY, type UnaryRow } from './primitives.ts'
import { compare, type Rational, rational, toNumber } from './rational.ts'
import type { Scalar, ScalarNode, Scalars } from './scalars.ts'

/** A graph in the order of evaluation, with its own numbering. */
export interface Tape {
  readonly nodes: readonly TapeNode[]
  /** The results that were asked for. */
  readonly roots: readonly number[]
  readonly variables: readonly string[]
}

export interface TapeNode extends ScalarNode {
  /** Of `linear`, and of a constant. */
  readonly factorBounds: readonly Interval[]
  readonly constantBounds: Interval
  readonly factorNumbers: readonly number[]
  readonly unary: UnaryRow | undefined
  readonly binary: BinaryRow | undefined
}

/** Node -> which side of a kink or condition holds: see `chosen`. */
export type Choices = ReadonlyMap<number, number>
export type Box = ReadonlyMap<string, Interval>

export function tapeOf(scalars: Scalars, roots: readonly Scalar[]): Tape {
  const isNeeded = new Set(roots.flatMap((root) => scalars.reachable(root)))
  const order = [...isNeeded].sort((a, b) => a - b)
  const places = new Map(order.map((id, place) => [id, place]))
  const nodes = order.map((id) => prepared(scalars.nodes[id], places))
  const variables = nodes.flatMap(({ op, name }) => (op === 'variable' ? [name!] : []))
  return { nodes, roots: roots.map((root) => places.get(root)!), variables }
}

function prepared(node: ScalarNode, places: ReadonlyMap<Scalar, number>): TapeNode {
  const factors = node.factors ?? []
  return {
    ...node,
    args: node.args.map((arg) => places.get(arg)!),
    factorBounds: factors.map(boundsOf),
    factorNumbers: factors.map(toNumber),
    constantBounds: node.exact !== undefined ? boundsOf(node.exact) : pointOrUndefined(node.value ?? 0),
    unary: Object.hasOwn(UNARY, node.op) ? UNARY[node.op as 'neg'] : undefined,
    binary: Object.hasOwn(BINARY, node.op) ? BINARY[node.op as 'add'] : undefined,
  }
}

const pointOrUndefined = (x: number) => (Number.isNaN(x) ? UNDEFINED : point(x))

/** The float64 on both sides of an exact number. */
export function boundsOf(exact: Rational): Interval {
  const x = toNumber(exact)
  const own = rational(x)
  if (own === undefined || (x === 0 && exact.top !== 0n)) return ENTIRE
  return compare(own, exact) === 0 ? point(x) : interval(below(x, 4), above(x, 4))
}

// In float64

/** All nodes at a point. */
export function evaluate(tape: Tape, at: (name: string) => number): Float64Array {
  const values = new Float64Array(tape.nodes.length)
  tape.nodes.forEach((node, id) => {
    values[id] = evaluated(node, values, at)
  })
  return values
}

/** The first root at a point. */
export function valueAt(tape: Tape, at: (name: string) => number): number {
  return evaluate(tape, at)[tape.roots[0]]
}

function evaluated(node: TapeNode, values: Float64Array, at: (name: string) => number): number {
  const { op, args } = node
  switch (op) {
    case 'variable':
      return at(node.name!)
    case 'constant':
      return node.value!
    case 'linear':
      return args.reduce((sum, arg, place) => sum + node.factorNumbers[place] * values[arg], node.value!)
    case 'square':
      return values[args[0]] ** 2
    case 'select':
      return values[args[0]] !== 0 ? values[args[1]] : values[args[2]]
    case 'logsumexp':
      return logSumExp(args.map((arg) => values[arg]))
    case 'opaque':
      return Number.NaN
    default:
      return SCALAR_SEMANTICS[op](values[args[0]], values[args[1]])
  }
}

function logSumExp(xs: readonly number[]): number {
  const top = Math.max(...xs)
  return top + Math.log(xs.reduce((sum, x) => sum + Math.exp(x - top), 0))
}

// In intervals

/** Without any bound, a number may be undefined as well. */
function encloseOpaque([lo, hi]: readonly [number, number], args: readonly Interval[]): Interval {
  const isAnything = lo === Number.NEGATIVE_INFINITY && hi === Number.POSITIVE_INFINITY
  return interval(lo, hi, isAnything || args.some(({ partial }) => partial))
}

/** All nodes over a box. A variable that the box does not have may be anything. */
export function enclose(tape: Tape, box: Box, choices?: Choices): Interval[] {
  const values: Interval[] = []
  tape.nodes.forEach((node, id) => {
    values.push(enclosed(node, values, box, choices?.get(id)))
  })
  return values
}

function enclosed(
  node: TapeNode,
  values: readonly Interval[],
  box: Box,
  choice: number | undefined,
): Interval {
  const { op, args } = node
  if (choice !== undefined) return chosen(node, values, choice)
  switch (op) {
    case 'variable':
      return box.get(node.name!) ?? ENTIRE
    case 'constant':
      return node.constantBounds
    case 'linear':
      return args.reduce(
        (sum, arg, place) => add(sum, mul(node.factorBounds[place], values[arg])),
        node.constantBounds,
      )
    case 'select':
      return selected(values[args[0]], values[args[1]], values[args[2]])
    case 'logsumexp':
      return encloseLogSumExp(args.map((arg) => values[arg]))
    case 'opaque':
      return encloseOpaque(
        node.bounds!,
        args.map((arg) => values[arg]),
      )
    default:
      if (node.unary !== undefined) return node.unary.enclose(values[args[0]])
      if (node.binary !== undefined) return node.binary.enclose(values[args[0]], values[args[1]])
      return LOGIC[op as 'lt'](values[args[0]], values[args[1]])
  }
}

/** The side that is known to hold: `abs`, its sign; `max`, `min` and `select`, the argument; else the value itself. */
function chosen({ op, args }: TapeNode, values: readonly Interval[], choice: number): Interval {
  if (op === 'abs')
    return choice > 0
      ? clipped(values[args[0]], 0, Number.POSITIVE_INFINITY)
      : neg(clipped(values[args[0]], Number.NEGATIVE_INFINITY, 0))
  return passes(op) ? values[args[choice]] : point(choice)
}

const passes = (op: TapeNode['op']) => op === 'max' || op === 'min' || op === 'select'

function selected(test: Interval, yes: Interval, no: Interval): Interval {
  if (test.lo > 0) return yes
  if (test.hi === 0) return no
  return hull(yes, no)
}

/** It grows with each argument. */
function encloseLogSumExp(xs: readonly Interval[]): Interval {
  const at = (end: 'lo' | 'hi') => {
    const top = Math.max(...xs.map((x) => x[end]))
    if (!Number.isFinite(top)) return point(top)
    const terms = xs.map((x) => elementary.exp(sub(point(x[end]), point(top))))
    return add(point(top), elementary.log(terms.reduce(add)))
  }
  const partial = xs.some((x) => x.partial)
  return interval(at('lo').lo, at('hi').hi, partial)
}

// With derivatives

/** A value and its derivatives by the variables of interest; undefined for those that are 0 exactly. */
export interface Jet {
  readonly value: Interval
  readonly slopes: readonly (Interval | undefined)[] | undefined
  /** Second derivatives by variables i <= j, row by row. */
  readonly bends: readonly (Interval | undefined)[] | undefined
  /** Whether no kink, jump or undecided condition lies in the box, so that the second derivatives hold. */
  readonly isSmooth: boolean
  /** Whether nothing jumps in the box, so that the first derivatives bound the differences. */
  readonly isContinuous: boolean
}

type Derivatives = Omit<Jet, 'isSmooth' | 'isContinuous'>

type Slopes = (Interval | undefined)[]

/** Values and derivatives of all nodes over a box. */
export function differentiate(
  tape: Tape,
  box: Box,
  by: readonly string[],
  choices?: Choices,
  order: 1 | 2 = 2,
): readonly Jet[] {
  const run = new Differentiation(by, order)
  tape.nodes.forEach((node, id) => {
    run.next(node, box, choices?.get(id))
  })
  return run.jets
}

class Differentiation {
  readonly jets: Jet[] = []
  readonly #values: Interval[] = []
  /** Of the node at hand. */
  #isSmooth = true
  #isContinuous = true
  readonly #by: readonly string[]
  readonly #order: 1 | 2

  constructor(by: readonly string[], order: 1 | 2) {
    this.#by = by
    this.#order = order
  }

  next(node: TapeNode, box: Box, choice: number | undefined) {
    const value = enclosed(node, this.#values, box, choice)
    this.#values.push(value)
    const counted = this.#counted(node, choice).map((arg) => this.jets[arg])
    this.#isSmooth = counted.every(({ isSmooth }) => isSmooth)
    this.#isContinuous = counted.every(({ isContinuous }) => isContinuous)
    const { slopes, bends } = this.#jet(node, value, choice)
    this.jets.push({ value, slopes, bends, isSmooth: this.#isSmooth, isContinuous: this.#isContinuous })
  }

  /** The arguments that the value depends on. */
  #counted({ op, args }: TapeNode, choice: number | undefined): readonly number[] {
    if (choice !== undefined) return op === 'abs' ? args : passes(op) ? [args[choice]] : []
    if (op !== 'select') return args
    const test = this.#values[args[0]]
    return test.lo > 0 ? [args[1]] : test.hi === 0 ? [args[2]] : args
  }

  #jet(node: TapeNode, value: Interval, choice: number | undefined): Derivatives {
    const { op, args } = node
    const place = op === 'variable' ? this.#by.indexOf(node.name!) : -1
    if (place >= 0)
      return { value, slopes: this.#by.map((_, i) => (i === place ? point(1) : undefined)), bends: undefined }
    if (args.every((arg) => this.jets[arg].slopes === undefined))
      return { value, slopes: undefined, bends: undefined }
    if (choice !== undefined) return this.#chosen(node, value, choice)
    switch (op) {
      case 'linear':
        return this.#weighted(value, args, node.factorBounds)
      case 'logsumexp':
        return this.#logSumExp(value, args)
      case 'select':
        return this.#selected(node, value)
      case 'opaque':
        return this.#unknown(value)
      default:
        if (node.unary !== undefined) return this.#unary(node, value)
        if (node.binary !== undefined) return this.#binary(node, value)
        // A condition jumps only through what depends on it.
        return { value, slopes: isPoint(value) ? undefined : this.#unknown(value).slopes, bends: undefined }
    }
  }

  #unknown(value: Interval): Derivatives {
    this.#isSmooth = false
    this.#isContinuous = false
    const slopes = this.#by.map(() => ENTIRE)
    return { value, slopes, bends: undefined }
  }

  #chosen(node: TapeNode, value: Interval, choice: number): Derivatives {
    if (node.op === 'abs') return this.#weighted(value, node.args, [point(choice)])
    if (passes(node.op)) return { ...this.jets[node.args[choice]], value }
    return { value, slopes: undefined, bends: undefined }
  }

  #selected({ args }: TapeNode, value: Interval): Derivatives {
    const test = this.#values[args[0]]
    if (test.lo > 0) return this.jets[args[1]]
    if (test.hi === 0) return this.jets[args[2]]
    this.#isSmooth = false
    this.#isContinuous = false
    return { value, slopes: this.#hull(args.slice(1)), bends: undefined }
  }

  #hull(args: readonly number[]): Slopes {
    return this.#by.map((_, i) => args.map((arg) => this.jets[arg].slopes?.[i] ?? NOUGHT).reduce(hull))
  }

  #unary(node: TapeNode, value: Interval): Derivatives {
    const row = node.unary!
    const x = this.#values[node.args[0]]
    this.#note(row, x)
    const [slope, bend] = [row.slope(x, value), this.#order === 2 ? row.bend(x, value) : NOUGHT]
    const { slopes, bends } = this.jets[node.args[0]]
    return {
      value,
      slopes: slopes!.map((own) => scaled(own, slope)),
      bends:
        this.#order === 1
          ? undefined
          : this.#bends((i, j) => {
              const curved = i === j ? squared(slopes![i]) : product(slopes![i], slopes![j])
              return total(scaled(curved, bend), scaled(bends?.[this.#place(i, j)], slope))
            }),
    }
  }

  #note({ joint }: UnaryRow, x: Interval) {
    if (joint === undefined) return
    if (joint === 'steps') {
      if (Math.floor(2 * x.lo) === Math.floor(2 * x.hi) && 2 * x.lo !== Math.floor(2 * x.lo)) return
      this.#isSmooth = false
      this.#isContinuous = false
      return
    }
    const isAside = joint === 'edge' ? x.lo > 0 : joint === 'step' ? !contains(x, 0) : x.lo >= 0 || x.hi <= 0
    if (isAside) return
    this.#isSmooth = false
    if (joint === 'step') this.#isContinuous = false
  }

  #binary(node: TapeNode, value: Interval): Derivatives {
    const [a, b] = [this.#values[node.args[0]], this.#values[node.args[1]]]
    const [first, second] = [this.jets[node.args[0]], this.jets[node.args[1]]]
    const [da, db] = node.binary!.slopes(a, b, value)
    if ((node.op === 'max' || node.op === 'min') && !isPoint(da)) this.#isSmooth = false
    const slopes = this.#by.map((_, i) =>
      total(scaled(first.slopes?.[i], da), scaled(second.slopes?.[i], db)),
    )
    if (this.#order === 1) return { value, slopes, bends: undefined }
    const [aa, ab, bb] = node.binary!.bends(a, b, value)
    const bends = this.#bends((i, j) => {
      const place = this.#place(i, j)
      const own = total(scaled(first.bends?.[place], da), scaled(second.bends?.[place], db))
      const crossed = total(
        product(first.slopes?.[i], second.slopes?.[j]),
        product(first.slopes?.[j], second.slopes?.[i]),
      )
      const pure = (jet: Jet) =>
        i === j ? squared(jet.slopes?.[i]) : product(jet.slopes?.[i], jet.slopes?.[j])
      return total(total(own, scaled(crossed, ab)), total(scaled(pure(first), aa), scaled(pure(second), bb)))
    })
    return { value, slopes, bends }
  }

  #weighted(value: Interval, args: readonly number[], factors: readonly Interval[]): Derivatives {
    const sum = (pick: (jet: Jet) => Interval | undefined) =>
      args.reduce<Interval | undefined>(
        (so, arg, place) => total(so, scaled(pick(this.jets[arg]), factors[place])),
        undefined,
      )
    const slopes = this.#by.map((_, i) => sum((jet) => jet.slopes?.[i]))
    const curved = args.some((arg) => this.jets[arg].bends !== undefined)
    return {
      value,
      slopes,
      bends: curved ? this.#bends((i, j) => sum((jet) => jet.bends?.[this.#place(i, j)])) : undefined,
    }
  }

  /** The gradient is the softmax p, the second derivative that of a variance: sum p g g' - (sum p g)(sum p g)'. */
  #logSumExp(value: Interval, args: readonly number[]): Derivatives {
    const shares = args.map((own) => {
      const terms = args
        .filter((arg) => arg !== own)
        .map((arg) => elementary.exp(sub(this.#values[arg], this.#values[own])))
      return clipped(UNARY_RECIPROCAL(terms.reduce(add, point(args.length - terms.length))), 0, 1)
    })
    const { slopes, bends } = this.#weighted(value, args, shares)
    if (this.#order === 1) return { value, slopes, bends: undefined }
    return {
      value,
      slopes,
      bends: this.#bends((i, j) => {
        const spread = args.reduce<Interval | undefined>((so, arg, place) => {
          const own = this.jets[arg].slopes
          const curved = i === j ? squared(own?.[i]) : product(own?.[i], own?.[j])
          return total(so, scaled(curved, shares[place]))
        }, undefined)
        const mean = i === j ? squared(slopes![i]) : product(slopes![i], slopes![j])
        const variance = total(spread, scaled(mean, point(-1)))
        const bounded =
          i === j && variance !== undefined ? clipped(variance, 0, Number.POSITIVE_INFINITY) : variance
        return total(bounded, bends?.[this.#place(i, j)])
      }),
    }
  }

  #bends(entry: (i: number, j: number) => Interval | undefined): Slopes {
    return this.#by.flatMap((_, i) => this.#by.slice(i).map((_, k) => entry(i, i + k)))
  }

  /** Of i <= j among the second derivatives. */
  #place(i: number, j: number): number {
    return i * this.#by.length - (i * (i - 1)) / 2 + (j - i)
  }
}

const UNARY_RECIPROCAL = (x: Interval) => BINARY.div.enclose(point(1), x)

function scaled(x: Interval | undefined, factor: Interval): Interval | undefined {
  if (x === undefined || (factor.lo === 0 && factor.hi === 0)) return undefined
  if (factor.lo === 1 && factor.hi === 1) return x
  return mul(x, factor)
}

function product(a: Interval | undefined, b: Interval | undefined): Interval | undefined {
  return a === undefined || b === undefined ? undefined : mul(a, b)
}

const squared = (x: Interval | undefined) => (x === undefined ? undefined : square(x))

function total(a: Interval | undefined, b: Interval | undefined): Interval | undefined {
  if (a === undefined) return b
  return b === undefined ? a : add(a, b)
}

/** Whether an enclosure says that there is a finite value everywhere. */
export function isFinitelyDefined(x: Interval): boolean {
  return !x.partial && isBounded(x)
}
