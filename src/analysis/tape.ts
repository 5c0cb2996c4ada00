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
  /** Bounds by what a sum or a difference is made of. */
  readonly known: readonly [number, number] | undefined
}

/** Node -> which side of a kink or condition holds: see `chosen`. */
export type BranchSides = ReadonlyMap<number, number>
export type Box = ReadonlyMap<string, Interval>

export function tapeOf(scalars: Scalars, roots: readonly Scalar[]): Tape {
  const isNeeded = new Set(roots.flatMap((root) => scalars.reachable(root)))
  const order = [...isNeeded].sort((a, b) => a - b)
  const places = new Map(order.map((id, place) => [id, place]))
  const nodes = order.map((id) => prepared(scalars, id, places))
  const variables = nodes.flatMap(({ op, name }) => (op === 'variable' ? [name!] : []))
  return { nodes, roots: roots.map((root) => places.get(root)!), variables }
}

/** Arguments of a maximum or a sum that are looked through. */
const MAX_MEMBERS = 64

/** What a node is made of by one op, taken apart; nothing if that is too much. */
function membersOf({ nodes }: Scalars, root: Scalar, op: ScalarNode['op']): readonly Scalar[] {
  const [members, pending] = [[] as Scalar[], [root]]
  for (let count = 0; pending.length > 0 && count < 2 * MAX_MEMBERS; count++) {
    const id = pending.pop()!
    if (nodes[id].op === op) pending.push(...nodes[id].args)
    else members.push(id)
  }
  return pending.length > 0 ? [] : members
}

/** The maximum in `m == -inf ? 0 : m`, which is subtracted to keep exponentials small; a maximum itself. */
function maximumIn({ nodes }: Scalars, id: Scalar): Scalar {
  const { op, args } = nodes[id]
  if (op !== 'select' || nodes[args[0]].op !== 'eq' || nodes[args[1]].op !== 'constant') return id
  const [compared, level] = nodes[args[0]].args
  const isGuard = compared === args[2] && nodes[level].value === Number.NEGATIVE_INFINITY
  return isGuard && Number.isFinite(nodes[args[1]].value) ? args[2] : id
}

/** Whether a node is a number minus a maximum that it is taken of: never above 0. */
function isBelowMaximum(scalars: Scalars, { op, args }: ScalarNode): boolean {
  return op === 'sub' && membersOf(scalars, maximumIn(scalars, args[1]), 'max').includes(args[0])
}

/** Whether a node is a sum of e^(x - max) over all x that the maximum is taken of: never below 1. */
function isSumOfShares(scalars: Scalars, id: Scalar): boolean {
  const { nodes } = scalars
  if (nodes[id].op !== 'add') return false
  const rests = membersOf(scalars, id, 'add').map((term) =>
    nodes[term].op === 'exp' && nodes[nodes[term].args[0]].op === 'sub'
      ? nodes[nodes[term].args[0]]
      : undefined,
  )
  const [first] = rests
  if (first === undefined || rests.some((rest) => rest?.args[1] !== first.args[1])) return false
  const summed = new Set(rests.map((rest) => rest!.args[0]))
  const members = membersOf(scalars, maximumIn(scalars, first.args[1]), 'max')
  return members.length > 0 && members.every((member) => summed.has(member))
}

/** Bounds of a node that are known by what it is made of. */
function knownBounds(scalars: Scalars, id: Scalar): readonly [number, number] | undefined {
  if (isBelowMaximum(scalars, scalars.nodes[id])) return [Number.NEGATIVE_INFINITY, 0]
  return isSumOfShares(scalars, id) ? [1, Number.POSITIVE_INFINITY] : undefined
}

function prepared(scalars: Scalars, id: Scalar, places: ReadonlyMap<Scalar, number>): TapeNode {
  const node = scalars.nodes[id]
  const factors = node.factors ?? []
  return {
    ...node,
    known: knownBounds(scalars, id),
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

/** The nodes that depend on some of the variables, in the order of evaluation. */
export function dependentsOf({ nodes }: Tape, isOne: (name: string) => boolean): readonly number[] {
  const depends: boolean[] = []
  for (const { op, name, args } of nodes)
    depends.push(op === 'variable' ? isOne(name!) : args.some((arg) => depends[arg]))
  return nodes.flatMap((_, id) => (depends[id] ? [id] : []))
}

/** Computes some nodes again, in place. */
export function evaluateAgain(
  { nodes }: Tape,
  ids: readonly number[],
  values: Float64Array,
  at: (name: string) => number,
) {
  for (const id of ids) values[id] = evaluated(nodes[id], values, at)
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
export function enclose(tape: Tape, box: Box, choices?: BranchSides): Interval[] {
  const values: Interval[] = []
  tape.nodes.forEach((node, id) => {
    values.push(encloseNode(node, values, box, choices?.get(id)))
  })
  return values
}

/** A node from the enclosures of its arguments; of a side that is known to hold, only from what that side needs. */
export function encloseNode(
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
      if (node.binary !== undefined) return enclosedPair(node, values[args[0]], values[args[1]])
      return LOGIC[op as 'lt'](values[args[0]], values[args[1]])
  }
}

function enclosedPair({ binary, known }: TapeNode, a: Interval, b: Interval): Interval {
  const bounds = binary!.enclose(a, b)
  return known === undefined ? bounds : clipped(bounds, known[0], known[1])
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
  return isSelection(op) ? values[args[choice]] : point(choice)
}

/** Whether the op is one of its arguments, whichever a choice says. */
export const isSelection = (op: TapeNode['op']) => op === 'max' || op === 'min' || op === 'select'

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
