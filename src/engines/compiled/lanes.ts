/**
 * Which axis goes through the lanes of a vector. Elements of the fastest axis lie side by side and are read four at once;
 * but where that axis is short (10 classes are 2.5 vectors), the small loops over it, their ends and the sums across lanes
 * cost more than the arithmetic. There four rows stand side by side instead, and sums over the short axis stay in their
 * lanes.
 *
 * The choice depends on sizes that all jobs of a launch share, never on how long the batch is: a job merged with others
 * runs through the same kernel as alone.
 */
import type { Program } from '../../language/ir.ts'
import { fastestAxis } from './loop-order.ts'
import { costOf, type Loop, type Plan, readsInput, type Statement } from './loop-plan.ts'

/** Longer is never short; measured with `load/lanes.ts`. */
const SHORT = 48
/** A middle axis (pixels, anchors) of so many elements fills the lanes as well as rows do, however few rows there are. */
const MANY = 16
/**
 * A loop over the short axis costs about as much as so many tiles of four rows by four elements that are turned on their
 * way to the lanes and back.
 */
const TILES_PER_LOOP = 12
/** With so much arithmetic for each tile, turning it is lost in the noise. */
const COST_PER_TILE = 8

/** Axes that may go through the lanes, in the order in which they are asked. */
export interface LaneAxes {
  readonly fastest: string
  /** Those between the batch axis and the fastest, innermost first. */
  readonly middle: readonly string[]
  readonly outermost: string
}

/**
 * Undefined where there is nothing to choose: with one axis, or with the batch axis lying fastest.
 *
 * @example
 * laneAxesOf(crossEntropy) // { fastest: 'classes', middle: ['...'], outermost: 'rows' }
 */
export function laneAxesOf(program: Program): LaneAxes | undefined {
  const fastest = fastestAxis(program)
  const isRead = (axis: string) => Object.values(program.inputs).some(({ axes }) => axes.includes(axis))
  const [outermost, ...middle] = program.axes.filter((axis) => axis !== fastest && isRead(axis))
  if (fastest === undefined || outermost === undefined || program.axes[0] === fastest) return undefined
  return { fastest, middle: middle.reverse(), outermost }
}

type Sizes = Readonly<Record<string, number>>

/**
 * The axes that may go into the lanes instead of the fastest, where that is short; the best first.
 *
 * @example
 * acrossAxes(axes, { rows: 8, '...': 4096, classes: 10 }) // ['...', 'rows']
 * acrossAxes(axes, { rows: 8, '...': 1, classes: 1000 }) // []
 */
export function stridedVectorAxes({ fastest, middle, outermost }: LaneAxes, sizes: Sizes): readonly string[] {
  return sizes[fastest] > SHORT ? [] : [...middle.filter((axis) => fills(axis, sizes)), outermost]
}

/** Whether the same axis goes through the lanes for both. */
export function sameVectorAxis({ fastest, middle }: LaneAxes, a: Sizes, b: Sizes): boolean {
  if (a === b) return true
  return a[fastest] === b[fastest] && middle.every((axis) => fills(axis, a) === fills(axis, b))
}

function fills(axis: string, sizes: Sizes): boolean {
  return sizes[axis] >= MANY
}

/**
 * How long the fastest axis may be for a plan with another one in the lanes to be the faster: each loop over the short axis
 * saves the same, and each tile costs more the longer the axis is.
 *
 * @param axis the one that the plan puts into the lanes
 * @returns a number of elements, 0 where the fastest axis is always better in the lanes
 */
export function vectorizationThreshold(plan: Plan, axis: string): number {
  const inner = plan.body.flatMap((statement) => insideOf(statement, axis))
  // Where the rows depend on each other, most loops are over pairs of them, which are not short.
  if (plan.separable === undefined || inner.length === 0) return 0
  const sum = (of: (loop: Loop) => number) => inner.reduce((total, loop) => total + of(loop), 0)
  const tiles = sum((loop) => tilesIn(plan, loop))
  const cost = sum(({ body }) => costOf(body, plan.program))
  return cost >= tiles * COST_PER_TILE ? SHORT : Math.min(SHORT, (4 * TILES_PER_LOOP * inner.length) / tiles)
}

/** The innermost loops that stand inside of a lane loop over this axis. */
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

/** Reads and writes of buffers that lie along the loop. */
function tilesIn({ program, buffers }: Plan, { axis, body }: Loop): number {
  const isTile = (statement: Statement): boolean => {
    if (statement.kind === 'store')
      return statement.buffer.role !== 'scratch' && statement.buffer.axes.at(-1) === axis
    if (statement.kind !== 'compute') return false
    const node = program.nodes[statement.node]
    if (!readsInput(program, node) || node.op === 'pick') return false
    return buffers.some(
      ({ role, name, axes }) => role === 'input' && name === node.name && axes.at(-1) === axis,
    )
  }
  return body.filter(isTile).length
}
