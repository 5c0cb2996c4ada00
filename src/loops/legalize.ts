/**
 * Legalization: program -> the same program in fewer, more primitive ops, ready to be scheduled in loops. Compound
 * functions are expanded into exp and log (so that common subexpressions are computed once), a picked element is
 * read directly from its input, and a renamed axis is pushed down to the inputs that are read under another name.
 */

import { Builder, type Ref } from '../language/builder.ts'
import { layoutOf, type Node, type Program } from '../language/ir.ts'
import { isElementwise } from '../language/scalar.ts'
import { simplify } from '../language/simplify.ts'
import type { StaticPredicates } from './static-predicates.ts'

/** A program for the planner. */
export interface LegalizedProgram {
  readonly nodes: readonly Node[]
  /** All axes in the program's order. */
  readonly axes: readonly string[]
  readonly renamed: Readonly<Record<string, string>>
  readonly inputs: Program['inputs']
  readonly roots: readonly Output[]
  /** Node of the program -> its node here. */
  readonly refs: readonly Ref[]
}

/** A result of the kernel. */
export interface Output {
  readonly role: 'values' | 'denominators' | 'gradient'
  /** The input, for a gradient. */
  readonly name: string
  readonly node: Ref
  /** Its memory layout, slowest axis first. */
  readonly axes: readonly string[]
}

/** The scalar that replaces the cotangent if it is one number for all values. */
export const COTANGENT = '$cotangent'

/** Renaming recomputes an expression of up to this many ops instead of storing it (rematerialization). */
const CHEAP_TO_RENAME = 4

/** What a kernel is specialized for, in addition to its program. */
export interface Specialization {
  /** Whether a single number is the cotangent of all values. */
  readonly uniform: boolean
  /** Known conditions, by node of the program. */
  readonly staticPredicates: StaticPredicates
  /** The vectorized axis; default: the fastest one. */
  readonly lanes?: string | undefined
}

/** @example legalize(program, { uniform: true, staticPredicates: new Map() }).roots */
export function legalize(
  program: Program,
  { uniform, staticPredicates }: Omit<Specialization, 'lanes'>,
): LegalizedProgram {
  const build = new Builder(program.axes, simplify)
  const made: Ref[] = []
  program.nodes.forEach((node, id) => {
    const args = node.args.map((arg) => made[arg])
    const known = staticPredicates.get(id)
    made.push(known === undefined ? remake(build, node, args, uniform) : build.truth(known))
  })
  const root = (role: Output['role'], name: string, id: number, axes: readonly string[]): Output => {
    return { role, name, node: build.expand(made[id], program.nodes[id].axes), axes }
  }
  const { value, denominators, gradients, nodes } = program
  const roots = [
    root('values', '', value, nodes[value].axes),
    ...(denominators === undefined ? [] : [root('denominators', '', denominators, nodes[denominators].axes)]),
    ...Object.entries(gradients).map(([name, id]) => {
      return root('gradient', name, id, layoutOf(program, name))
    }),
  ]
  return {
    nodes: build.primitives(),
    axes: program.axes,
    renamed: program.renamed,
    inputs: program.inputs,
    roots,
    refs: made,
  }
}

function remake(build: Builder, node: Node, args: readonly Ref[], uniform: boolean): Ref {
  switch (node.op) {
    case 'cotangent':
      return uniform ? build.scalar(COTANGENT) : build.copy(node, args)
    case 'sigmoid':
      return sigmoid(build, args[0])
    case 'softplus':
      return softplus(build, args[0])
    case 'pick':
      return pick(build, args[0], args[1], node.axis!)
    case 'mul_no_nan':
      return mulNoNan(build, args[0], args[1])
    case 'rename':
      return rename(build, args[0], node.axis!, node.to!)
    default:
      return build.copy(node, args)
  }
}

/** Where one g is for many d, whether it is 0 is asked once. */
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
  const read = pushPick(build, x, place, axis)
  if (read === undefined) {
    const here = build.eq(build.index(axis), place)
    return build.sum(build.select(here, x, build.constant(0)), axis)
  }
  return build.select(build.isInside(place, axis), read, build.constant(0))
}

/**
 * Pushes the pick down to the inputs of an expression, so that it is computed only for these elements; undefined if
 * that is not possible.
 */
function pushPick(build: Builder, x: Ref, place: Ref, axis: string): Ref | undefined {
  if (!build.axesOf(x).includes(axis)) return x
  const op = build.opOf(x)
  if (op === 'input') return build.pick(x, place, axis)
  if (op === 'index') return place
  if (op === 'expand') {
    const inner = pushPick(build, build.argOf(x, 0), place, axis)
    const axes = build.axesOf(x).filter((name) => name !== axis)
    return inner === undefined ? undefined : build.expand(inner, axes)
  }
  if (!isElementwise(op) && op !== 'select') return undefined
  const args = build.nodes[x].args.map((arg) => pushPick(build, arg, place, axis))
  return args.includes(undefined) ? undefined : build.copy(build.nodes[x], args as Ref[])
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
  if (!CHEAP.has(op) || --budget.left < 0) return undefined
  const args = build.nodes[x].args.map((arg) => pushRename(build, arg, axis, to, budget))
  return args.includes(undefined) ? undefined : build.make(op, args as Ref[])
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
