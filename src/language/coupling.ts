/**
 * Data-dependence analysis: whether what a program computes at one place of an axis depends on that place alone. Batches are
 * formed on the strength of it, so it errs on one side: an op that it does not know couples all places.
 */
import type { Node, Op, Program } from './ir.ts'
import { isElementwise } from './scalar.ts'

/** Beside the element-wise ones, ops that work on each place by itself, whatever the axes of their arguments. */
const PLACEWISE: ReadonlySet<Op> = new Set([
  'input',
  'scalar',
  'constant',
  'cotangent',
  'select',
  'expand',
] satisfies Op[])

/**
 * Whether results of a program at each place of an axis are made of the inputs at the same place, of inputs without the
 * axis, and of nothing else. Then a program that is run on inputs put end to end along it computes what it computes alone.
 *
 * @param results nodes that are looked at, with all that they are made of; default: everything that the program computes
 * @example
 * isIndependentAlong(program, 'rows') // true for softmax over classes, false where rows are compared with each other
 */
export function isIndependentAlong(program: Program, axis: string, results = resultsOf(program)): boolean {
  const nodes = reachable(program, results)
  return (
    results.every((result) => program.nodes[result].axes.includes(axis)) &&
    nodes.every((node) => keepsPlaces(node, namesOf(program, axis)))
  )
}

/** Whether the loss at each place of an axis is; its gradient by an input that all places share need not be. */
export function isValueIndependentAlong(program: Program, axis: string): boolean {
  const { value, denominators } = program
  return isIndependentAlong(program, axis, denominators === undefined ? [value] : [value, denominators])
}

function resultsOf({ value, denominators, gradients }: Program): number[] {
  return [value, ...(denominators === undefined ? [] : [denominators]), ...Object.values(gradients)]
}

/** The nodes that results are made of. */
function reachable({ nodes }: Program, results: readonly number[]): Node[] {
  const isNeeded = new Uint8Array(nodes.length)
  for (const result of results) isNeeded[result] = 1
  for (let id = nodes.length - 1; id >= 0; id--)
    if (isNeeded[id]) for (const arg of nodes[id].args) isNeeded[arg] = 1
  return nodes.filter((_, id) => isNeeded[id])
}

/** The axis, and the axes that are renamed from it: they have its size. */
function namesOf({ renamed }: Program, axis: string): readonly string[] {
  return [axis, ...Object.keys(renamed).filter((name) => renamed[name] === axis)]
}

/** Ops along another axis take each place of this one by itself. */
function keepsPlaces({ op, axis: along, to }: Node, names: readonly string[]): boolean {
  if (PLACEWISE.has(op) || isElementwise(op)) return true
  return along !== undefined && !names.includes(along) && (to === undefined || !names.includes(to))
}
