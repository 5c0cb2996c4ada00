/**
 * Legalization: program -> the same program in fewer, more primitive ops, ready to be scheduled in loops. Compound
 * functions are expanded into exp and log (so that common subexpressions are computed once), a picked element is
 * read directly from its input, and renamed axes and shifts are pushed down to the inputs, which are then read with renamed axes
 * or at a distance.
 */

import { Builder, type Ref } from '../language/builder.ts'
import { isHostOp } from '../language/host-ops.ts'
import { layoutOf, type Node, type Program } from '../language/ir.ts'
import { isElementwise } from '../language/scalar.ts'
import { simplify } from '../language/simplify.ts'
import { legalizeShift } from './legalize-shift.ts'
import type { StaticPredicates } from './static-predicates.ts'
import { isOfEachRow, operandAxes, repeatedAxesOf } from './whole-axis.ts'

/** A program for the planner. */
export interface LegalizedProgram {
  readonly nodes: readonly Node[]
  /** All axes in the program's order. */
  readonly axes: readonly string[]
  readonly renamed: Readonly<Record<string, string>>
  readonly inputs: Program['inputs']
  readonly roots: readonly ProgramOutput[]
  /** The cotangent is a single number in memory, which applies to every value. */
  readonly sharesCotangent?: boolean
  /** Node of the program -> its node here. */
  readonly refs: readonly Ref[]
}

/** A result of the kernel. */
export interface ProgramOutput {
  readonly role: 'values' | 'denominators' | 'gradient'
  /** The input, for a gradient. */
  readonly name: string
  readonly node: Ref
  /** Its memory layout, slowest axis first. */
  readonly axes: readonly string[]
}

/** The scalar that replaces a cotangent that is one number for all values, if no cotangents are summed. */
export const COTANGENT = '$cotangent'

/** Renaming recomputes an expression of up to this many ops instead of storing it (rematerialization). */
const CHEAP_TO_RENAME = 4

/** What a kernel is specialized for, in addition to its program. */
export interface Specialization {
  /** Whether a single number is the cotangent of all values. */
  readonly uniform: boolean
  /** Whether a sum of cotangents may be a single one times their count, which rounds differently. */
  readonly mayCount?: boolean
  /** Known conditions, by node of the program. */
  readonly staticPredicates: StaticPredicates
  /** The vectorized axis; default: the fastest one. */
  readonly lanes?: string | undefined
}

/**
 * @throws TooManyNodes if there would be too many ops
 * @example
 * legalize(program, { uniform: true, staticPredicates: new Map() }).roots
 */
export function legalize(
  program: Program,
  { uniform, mayCount = false, staticPredicates }: Omit<Specialization, 'lanes'>,
): LegalizedProgram {
  const build = new Builder(program.axes, simplify)
  const asNumber = uniform && (mayCount || !sumsCotangents(program))
  const made: Ref[] = []
  program.nodes.forEach((node, id) => {
    const args = node.args.map((arg) => made[arg])
    const known = staticPredicates.get(id)
    made.push(known === undefined ? remake(build, node, args, asNumber) : build.truth(known))
  })
  return {
    nodes: build.primitives(),
    axes: program.axes,
    renamed: program.renamed,
    inputs: program.inputs,
    roots: rootsOf(program, build, made),
    ...(uniform && !asNumber ? { sharesCotangent: true } : {}),
    refs: made,
  }
}

function rootsOf(program: Program, build: Builder, made: readonly Ref[]): ProgramOutput[] {
  const root = (
    role: ProgramOutput['role'],
    name: string,
    id: number,
    axes: readonly string[],
  ): ProgramOutput => {
    return { role, name, node: build.expand(made[id], program.nodes[id].axes), axes }
  }
  const { value, denominators, gradients, nodes } = program
  return [
    root('values', '', value, nodes[value].axes),
    ...(denominators === undefined ? [] : [root('denominators', '', denominators, nodes[denominators].axes)]),
    ...Object.entries(gradients).map(([name, id]) => root('gradient', name, id, layoutOf(program, name))),
  ]
}

/**
 * Whether it sums cotangents. A single number for all of them must then not be multiplied by their count. It is read in the same
 * loops as one number per value, so that a job rounds in a shared launch as it does alone.
 */
function sumsCotangents({ nodes }: Program): boolean {
  const isAlone: boolean[] = []
  for (const { op, args, axes } of nodes) {
    const varying = args.filter((arg) => nodes[arg].axes.length > 0)
    const isOfAlone = varying.length > 0 && varying.every((arg) => isAlone[arg])
    isAlone.push(op === 'cotangent' || (axes.length > 0 && isOfAlone))
    if (op === 'reduce_sum' && isOfAlone) return true
  }
  return false
}

function remake(build: Builder, node: Node, args: readonly Ref[], asNumber: boolean): Ref {
  switch (node.op) {
    case 'cotangent':
      return asNumber ? build.scalar(COTANGENT) : build.copy(node, args)
    case 'sigmoid':
      return sigmoid(build, args[0])
    case 'softplus':
      return softplus(build, args[0])
    case 'pick':
      return pick(build, args[0], args[1], node.axis!)
    case 'shift':
      return legalizeShift(build, args[0], build.constantOf(args[1])!, node.axis!)
    case 'mul_no_nan':
      return mulNoNan(build, args[0], args[1])
    case 'rename':
      return rename(build, args[0], node.axis!, node.to!)
    default:
      return build.copy(node, isHostOp(node.op) ? wholeOperands(build, node, args) : args)
  }
}

/** Operands with all axes that the op walks along, even if known conditions leave them fewer. */
function wholeOperands(build: Builder, node: Node, args: readonly Ref[]): Ref[] {
  const rows = repeatedAxesOf(node)
  const spread = args.map((arg, place) => (isOfEachRow(node.op, place) ? build.expand(arg, rows) : arg))
  const wanted = operandAxes(node, spread, build.axesOf)
  return spread.map((arg, place) => build.expand(arg, wanted[place]))
}

/** If one g is broadcast to many d, the comparison of g with 0 is done once per g. */
function mulNoNan(build: Builder, g: Ref, d: Ref): Ref {
  const own = build.axesOf(g)
  if (build.axesOf(d).every((axis) => own.includes(axis))) return build.mulNoNan(g, d)
  const zero = build.constant(0)
  return build.select(build.eq(g, zero), zero, build.mul(g, d))
}

/** With e = exp(-|x|) and r = 1 / (1 + e): r for x >= 0, e r for x < 0. */
function sigmoid(build: Builder, x: Ref): Ref {
  const e = build.exp(build.neg(build.make('abs', [x])))
  const one = build.constant(1)
  const right = build.div(one, build.add(one, e))
  return build.select(build.lt(x, build.constant(0)), build.mul(e, right), right)
}

/** max(x, 0) + log(1 + exp(-|x|)). */
function softplus(build: Builder, x: Ref): Ref {
  const e = build.exp(build.neg(build.make('abs', [x])))
  return build.add(build.make('max', [x, build.constant(0)]), build.make('log1p', [e]))
}

/** Picking an index outside of the axis gives 0, whatever the formula is there. */
function pick(build: Builder, x: Ref, place: Ref, axis: string): Ref {
  if (!build.axesOf(x).includes(axis)) return x
  const read = new PickPusher(build, place, axis).push(x)
  if (read === undefined) {
    const here = build.eq(build.index(axis), place)
    return build.sum(build.select(here, x, build.constant(0)), axis)
  }
  return build.select(build.isInside(place, axis), read, build.constant(0))
}

/**
 * Pushes the pick down to the inputs of an expression, so that it is computed only for these elements; undefined if
 * that is not possible. Each part of it is pushed once, however often it is used.
 */
class PickPusher {
  readonly #build: Builder
  readonly #place: Ref
  readonly #axis: string
  readonly #known = new Map<Ref, Ref | undefined>()

  constructor(build: Builder, place: Ref, axis: string) {
    this.#build = build
    this.#place = place
    this.#axis = axis
  }

  readonly push = (x: Ref): Ref | undefined => {
    if (!this.#known.has(x)) this.#known.set(x, this.#pushed(x))
    return this.#known.get(x)
  }

  #pushed(x: Ref): Ref | undefined {
    const build = this.#build
    if (!build.axesOf(x).includes(this.#axis)) return x
    const op = build.opOf(x)
    if (op === 'input') return build.pick(x, this.#place, this.#axis)
    if (op === 'index') return this.#place
    if (op === 'shift' && build.nodes[x].axis === this.#axis) return this.#pushedPast(x)
    if (op === 'expand') {
      const inner = this.push(build.argOf(x, 0))
      const axes = build.axesOf(x).filter((name) => name !== this.#axis)
      return inner === undefined ? undefined : build.expand(inner, axes)
    }
    if (!isElementwise(op) && op !== 'select') return undefined
    const args = build.nodes[x].args.map(this.push)
    return args.includes(undefined) ? undefined : build.copy(build.nodes[x], args as Ref[])
  }

  /** The element of a shifted array is an element of the array itself, at another index. */
  #pushedPast(x: Ref): Ref | undefined {
    const place = this.#build.sub(this.#place, this.#build.argOf(x, 1))
    return new PickPusher(this.#build, place, this.#axis).push(this.#build.argOf(x, 0))
  }
}

function rename(build: Builder, x: Ref, axis: string, to: string): Ref {
  const budget = { left: CHEAP_TO_RENAME }
  return pushRename(build, x, axis, to, budget) ?? build.rename(x, axis, to)
}

/** Pushes the rename down to the inputs of a cheap expression; undefined if recomputing costs more than storing it. */
function pushRename(
  build: Builder,
  x: Ref,
  axis: string,
  to: string,
  budget: { left: number },
): Ref | undefined {
  if (!build.axesOf(x).includes(axis)) return x
  const op = build.opOf(x)
  if (op === 'input') return build.rename(x, axis, to)
  if (op === 'index') return build.index(to)
  if (op === 'shift') return renamedShift(build, x, axis, to, budget)
  if (!CHEAP.has(op) || --budget.left < 0) return undefined
  const args = build.nodes[x].args.map((arg) => pushRename(build, arg, axis, to, budget))
  return args.includes(undefined) ? undefined : build.make(op, args as Ref[])
}

/** A neighbor of the renamed element. */
function renamedShift(
  build: Builder,
  x: Ref,
  axis: string,
  to: string,
  budget: { left: number },
): Ref | undefined {
  const { args, axis: along } = build.nodes[x]
  const inner = pushRename(build, args[0], axis, to, budget)
  if (inner === undefined) return undefined
  return build.make('shift', [inner, args[1]], { axis: along === axis ? to : along! })
}

const CHEAP: ReadonlySet<string> = new Set([
  'neg',
  'abs',
  'add',
  'sub',
  'mul',
  'lt',
  'le',
  'eq',
  'and',
  'or',
  'not',
  'select',
])
