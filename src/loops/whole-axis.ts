/**
 * Whole-axis ops (language/host-ops.ts) between loops. Such an op walks along its own axes itself, so no loop over them is open when
 * it runs: its operands are in memory before, and its result is in memory afterwards. Over all other axes it is repeated.
 */
import { isHostOp } from '../language/host-ops.ts'
import type { FormulaOp, HostOp, Node } from '../language/ir.ts'

/** An op, as far as its operands depend on it. */
type OpAxes = Pick<Node<FormulaOp>, 'op' | 'axis' | 'to'>

/** Operands: costs or log-probabilities, and gamma or the labels and their lengths. */
const IS_TABULAR: ReadonlySet<FormulaOp> = new Set(['ctc', 'ctc_slope', 'soft_dtw', 'soft_dtw_slope'])

/** The axes that the op walks along. */
export function ownAxesOf({ axis, to }: OpAxes): readonly string[] {
  return to === undefined ? [axis!] : [axis!, to]
}

/** Whether the op takes lines along a single axis, so that the lines of several rows can be side by side in vectors. */
export function isAlongLines({ op }: OpAxes): boolean {
  return isHostOp(op) && !IS_TABULAR.has(op) && op !== 'solve_lower' && op !== 'solve_upper'
}

/** The other axes of its result, over which it is repeated. */
export function repeatedAxesOf(node: Node): readonly string[] {
  return node.axes.filter((axis) => !ownAxesOf(node).includes(axis))
}

/** Whether an operand determines the axes of the result, and must have all over which the op is repeated: logits, costs, lengths. */
export function isOfEachRow(op: FormulaOp, place: number): boolean {
  return IS_TABULAR.has(op) && (place === 0 || place === 2)
}

/** Whether its result is one number for each repetition, instead of an array along its own axes. */
export function isSingle(op: FormulaOp): boolean {
  return op === 'ctc' || op === 'soft_dtw'
}

/**
 * For each operand the axes that it must have in memory. An operand without any is a number.
 *
 * @param axesOf the axes of an operand
 */
export function operandAxes(
  { op, axis, to }: OpAxes,
  args: readonly number[],
  axesOf: (arg: number) => readonly string[],
): readonly (readonly string[])[] {
  switch (op) {
    case 'ctc':
    case 'ctc_slope':
      return [[axis!, to!], axesOf(args[1]).filter((own) => !axesOf(args[2]).includes(own)), [], [], []]
    case 'soft_dtw':
    case 'soft_dtw_slope':
      return [[axis!, to!], []]
    case 'solve_lower':
    case 'solve_upper':
      return [[axis!, to!], [axis!]]
    default:
      return args.map(() => [axis!])
  }
}

/** The axis of the labels. */
export function labelAxisOf(nodes: readonly Node[], { args }: Node): string {
  return nodes[args[1]].axes.find((axis) => !nodes[args[2]].axes.includes(axis))!
}

/** Whether an op can be repeated in loops: of CTC, everything must vary along the same axes as the lengths. */
export function isRepeatable(nodes: readonly Node[], node: Node): boolean {
  if (node.op !== 'ctc' && node.op !== 'ctc_slope') return true
  const [logits, labels, lengths, counts] = node.args.map((arg) => nodes[arg].axes)
  const rows = logits.filter((axis) => !ownAxesOf(node).includes(axis))
  const listed = labels.filter((axis) => !lengths.includes(axis))
  const isSame = rows.length === lengths.length && rows.every((axis) => lengths.includes(axis))
  return isSame && listed.length === 1 && counts.every((axis) => lengths.includes(axis))
}

/** A number of bytes: the sum of products of the sizes of axes. */
export type Extent = readonly { readonly bytes: number; readonly axes: readonly string[] }[]

/** Memory that only the op itself uses. Ops with the same key use the same memory. */
export interface WorkspaceNeed {
  readonly key: string
  readonly extent: Extent
}

/** Counters of a radix sort, in bytes: three passes of 11 bits. */
const COUNTERS = 3 * 2048 * 4

export function workspaceOf(nodes: readonly Node[], node: Node): WorkspaceNeed | undefined {
  const { op, axis, to, args } = node
  if (!isHostOp(op)) return undefined
  const extent = EXTENTS[op](
    axis!,
    to!,
    IS_TABULAR.has(op) && args.length > 2 ? labelAxisOf(nodes, node) : '',
  )
  if (extent.length === 0) return undefined
  // The derivative of a table continues where its value ended.
  return { key: IS_TABULAR.has(op) ? tableKeyOf(node) : `${op} ${axis} ${to}`, extent }
}

/** The same for a value and its derivative. */
export function tableKeyOf({ op, args }: Node): string {
  return `${op.replace('_slope', '')} ${args}`
}

const ctcExtent = (time: string, classes: string, labels: string): Extent => [
  { bytes: 16, axes: [time, labels] },
  { bytes: 48, axes: [time] },
  { bytes: 96, axes: [labels] },
  { bytes: 8, axes: [classes] },
  { bytes: 288, axes: [] },
]

const dtwExtent = (first: string, second: string): Extent => [
  { bytes: 16, axes: [first, second] },
  { bytes: 16, axes: [first] },
  { bytes: 16, axes: [second] },
  { bytes: 16, axes: [] },
]

const EXTENTS: { readonly [O in HostOp]: (axis: string, to: string, labels: string) => Extent } = {
  argsort: (axis) => [
    { bytes: 16, axes: [axis] },
    { bytes: COUNTERS, axes: [] },
  ],
  gather: () => [],
  scatter: (axis) => [{ bytes: 8, axes: [axis] }],
  cumsum: () => [],
  reverse_cumsum: () => [],
  recurrence: () => [],
  reverse_recurrence: () => [],
  cummax_place: () => [],
  ctc: ctcExtent,
  ctc_slope: ctcExtent,
  solve_lower: (axis) => [{ bytes: 8, axes: [axis] }],
  solve_upper: (axis) => [{ bytes: 8, axes: [axis] }],
  soft_dtw: dtwExtent,
  soft_dtw_slope: dtwExtent,
}
