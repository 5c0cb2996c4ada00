/**
 * Evaluates a graph of scalars: in float64, and in intervals. On a piece where it is known which side of each kink and
 * condition holds, the function is evaluated as on that side.
 */
import { SCALAR_SEMANTICS } from '../language/scalar.ts'
import * as elementary from './elementary.ts'
import {
  above,
  add,
  below,
  clipped,
  ENTIRE,
  hull,
  type Interval,
  interval,
  isBounded,
  mul,
  neg,
  point,
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

/** A node from the enclosures of its arguments; of a side that is known to hold, only from what that side needs. */
export function enclosed(
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
      return enclosedSum(node, values)
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

function enclosedSum(
  { args, factorBounds, constantBounds }: TapeNode,
  values: readonly Interval[],
): Interval {
  let sum = constantBounds
  for (let place = 0; place < args.length; place++)
    sum = add(sum, multiple(factorBounds[place], values[args[place]]))
  return sum
}

/** Most factors are 1 or -1. */
function multiple(factor: Interval, x: Interval): Interval {
  if (factor.lo === 1 && factor.hi === 1) return x
  return factor.lo === -1 && factor.hi === -1 ? neg(x) : mul(factor, x)
}

/** The side that is known to hold: `abs`, its sign; `max`, `min` and `select`, the argument; else the value itself. */
function chosen({ op, args }: TapeNode, values: readonly Interval[], choice: number): Interval {
  if (op === 'abs')
    return choice > 0
      ? clipped(values[args[0]], 0, Number.POSITIVE_INFINITY)
      : neg(clipped(values[args[0]], Number.NEGATIVE_INFINITY, 0))
  return passesArgument(op) ? values[args[choice]] : point(choice)
}

/** Whether the op is one of its arguments, whichever a choice says. */
export const passesArgument = (op: TapeNode['op']) => op === 'max' || op === 'min' || op === 'select'

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

/** Whether an enclosure says that there is a finite value everywhere. */
export function isFinitelyDefined(x: Interval): boolean {
  return !x.partial && isBounded(x)
}
