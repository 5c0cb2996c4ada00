/**
 * Data-dependence analysis: whether what a program computes at one index of an axis depends only on that index.
 * Batching relies on it, so it is conservative: an op that it does not know counts as coupling all indices.
 */
import type { Node, Op, Program } from './ir.ts'
import { isElementwise } from './scalar.ts'

/** Ops, in addition to element-wise ones, that handle each index separately, whatever the axes of their arguments. */
const PLACEWISE: ReadonlySet<Op> = new Set([
  'input',
  'scalar',
  'constant',
  'cotangent',
  'select',
  'expand',
] satisfies Op[])

/**
 * Whether the results of a program at each index of an axis depend only on inputs at the same index and on inputs
 * without the axis. Then running the program on inputs concatenated along the axis gives the same results as
 * running it on each of them.
 *
 * @param results the nodes to check, with everything that they depend on; default: everything that the program
 * computes
 * @example
 * isIndependentAlong(program, 'rows') // true for softmax over classes, false where rows are compared with each other
 */
export function isIndependentAlong(program: Program, axis: string, results = resultsOf(program)): boolean {
  // A second name has the size of another axis, whatever is concatenated along it.
  if (Object.hasOwn(program.renamed, axis)) return false
  const nodes = reachable(program, results)
  return (
    results.every((result) => program.nodes[result].axes.includes(axis)) &&
    nodes.every((node) => keepsPlaces(node, namesOf(program, axis)))
  )
}

/**
 * Whether the loss at each index of an axis is independent. The gradient of an input that all indices share need
 * not be.
 */
export function isValueIndependentAlong(program: Program, axis: string): boolean {
  const { value, denominators } = program
  return isIndependentAlong(program, axis, denominators === undefined ? [value] : [value, denominators])
}

function resultsOf({ value, denominators, gradients }: Program): number[] {
  return [value, ...(denominators === undefined ? [] : [denominators]), ...Object.values(gradients)]
}

/** The nodes that the results depend on. */
function reachable({ nodes }: Program, results: readonly number[]): Node[] {
  const isNeeded = new Uint8Array(nodes.length)
  for (const result of results) isNeeded[result] = 1
  for (let id = nodes.length - 1; id >= 0; id--)
    if (isNeeded[id]) for (const arg of nodes[id].args) isNeeded[arg] = 1
  return nodes.filter((_, id) => isNeeded[id])
}

/** The axis, and the axes that are renamed from it, which have its size. */
function namesOf({ renamed }: Program, axis: string): readonly string[] {
  return [axis, ...Object.keys(renamed).filter((name) => renamed[name] === axis)]
}

/** Ops along another axis handle each index of this one separately. */
function keepsPlaces({ op, axis: along, to, axes }: Node, names: readonly string[]): boolean {
  // Concatenated inputs have no common size along a second name of the axis.
  if (op === 'input' && axes.some((axis) => names.indexOf(axis) > 0)) return false
  if (PLACEWISE.has(op) || isElementwise(op)) return true
  return along !== undefined && !names.includes(along) && (to === undefined || !names.includes(to))
}
