/**
 * Vectorization: chooses the axis whose elements go into the SIMD lanes. The choice depends on sizes that all jobs of a
 * launch share, never on the length of the batch: a batched job runs through the same kernel as alone.
 */
import type { Program } from '../../language/ir.ts'
import { fastestAxis } from '../../loops/loop-interchange.ts'
import { costOf, type Loop, type Plan, readsInput, type Statement } from '../../loops/loop-plan.ts'

/** An axis longer than this is never short; measured with `load/lanes.ts`. */
export const SHORT = 48
/**
 * A middle axis (pixels, anchors) with this many elements fills the lanes as well as rows do, however few rows
 * there are.
 */
export const MANY = 16
/**
 * A loop over the short axis costs about as much as this many tiles of four rows by four elements that are
 * transposed on their way into the lanes and back.
 */
const TILES_PER_LOOP = 12
/** With this much arithmetic per tile, the cost of transposing it is negligible. */
const COST_PER_TILE = 8

/** Axes that can be vectorized, in the order in which they are tried. */
export interface LaneAxes {
  readonly fastest: string
  /** The axes between the batch axis and the fastest one, innermost first. */
  readonly middle: readonly string[]
  readonly outermost: string
}

/**
 * Undefined if there is no choice: with a single axis, or if the batch axis is the fastest.
 *
 * @example
 * laneAxesOf(crossEntropy) // { fastest: 'classes', middle: ['...'], outermost: 'rows' }
 */
export function laneAxesOf(program: Program): LaneAxes | undefined {
  const fastest = fastestAxis(program)
  const isRead = (axis: string) => Object.values(program.inputs).some(({ axes }) => axes.includes(axis))
  // Lanes that are not contiguous load each neighbor along their axis separately.
  const isShifted = (axis: string) => program.nodes.some((node) => node.op === 'shift' && node.axis === axis)
  const [outermost, ...middle] = program.axes.filter((axis) => axis !== fastest && isRead(axis))
  if (fastest === undefined || outermost === undefined || program.axes[0] === fastest) return undefined
  if (isShifted(outermost)) return undefined
  return { fastest, middle: middle.reverse().filter((axis) => !isShifted(axis)), outermost }
}

type Sizes = Readonly<Record<string, number>>

/**
 * The axes that may be vectorized instead of the fastest, if that is short; the best first. Elements of the fastest axis
 * are contiguous and can be read four at once. But if it is short (10 classes are 2.5 vectors), the small loops over it,
 * their remainders and the sums across lanes cost more than the arithmetic. Then four rows go into the lanes instead,
 * and sums over the short axis stay within their lanes.
 *
 * @example
 * stridedVectorAxes(axes, { rows: 8, '...': 4096, classes: 10 }) // ['...', 'rows']
 * stridedVectorAxes(axes, { rows: 8, '...': 1, classes: 1000 }) // []
 */
export function stridedVectorAxes({ fastest, middle, outermost }: LaneAxes, sizes: Sizes): readonly string[] {
  return sizes[fastest] > SHORT ? [] : [...middle.filter((axis) => fills(axis, sizes)), outermost]
}

/** Whether the same axis is vectorized for both. */
export function sameVectorAxis({ fastest, middle }: LaneAxes, a: Sizes, b: Sizes): boolean {
  if (a === b) return true
  return a[fastest] === b[fastest] && middle.every((axis) => fills(axis, a) === fills(axis, b))
}

function fills(axis: string, sizes: Sizes): boolean {
  return sizes[axis] >= MANY
}

/**
 * How long the fastest axis may be so that a plan with another vectorized axis is faster: each loop over the short
 * axis saves the same, and each tile costs more the longer the axis is.
 *
 * @param axis the axis that the plan vectorizes
 * @returns a number of elements; 0 if vectorizing the fastest axis is always better
 */
export function vectorizationThreshold(plan: Plan, axis: string): number {
  const inner = plan.body.flatMap((statement) => insideOf(statement, axis))
  // If rows depend on each other, most loops are over pairs of them, which are not short.
  if (plan.separable === undefined || inner.length === 0) return 0
  const sum = (of: (loop: Loop) => number) => inner.reduce((total, loop) => total + of(loop), 0)
  const tiles = sum((loop) => tilesIn(plan, loop))
  const cost = sum(({ body }) => costOf(body, plan.program))
  return cost >= tiles * COST_PER_TILE ? SHORT : Math.min(SHORT, (4 * TILES_PER_LOOP * inner.length) / tiles)
}

/** The innermost loops inside of a vectorized loop over this axis. */
function insideOf(statement: Statement, axis: string): Loop[] {
  if (statement.kind !== 'loop') return []
  const isAcross = statement.lanes && statement.axis === axis
  return isAcross
    ? statement.body.flatMap(innermost)
    : statement.body.flatMap((inner) => insideOf(inner, axis))
}

function innermost(statement: Statement): Loop[] {
  if (statement.kind !== 'loop') return []
  const deeper = statement.body.flatMap(innermost)
  return deeper.length === 0 ? [statement] : deeper
}

/** The number of reads and writes of buffers along the loop. */
function tilesIn({ program, buffers }: Plan, { axis, body }: Loop): number {
  const isTile = (statement: Statement): boolean => {
    if (statement.kind === 'store')
      return statement.buffer.role !== 'scratch' && statement.buffer.axes.at(-1) === axis
    if (statement.kind !== 'compute') return false
    const node = program.nodes[statement.node]
    if (!readsInput(program, node) || node.op === 'pick' || node.op === 'shift') return false
    return buffers.some(
      ({ role, name, axes }) => role === 'input' && name === node.name && axes.at(-1) === axis,
    )
  }
  return body.filter(isTile).length
}
