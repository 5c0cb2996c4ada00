/**
 * The ops that need a whole axis at once: sorting, moves along an axis, cumulative sums and maxima, the alignments of CTC and
 * soft-DTW, triangular systems. They are not loops over independent elements, so all engines use these functions on arrays.
 */
import { ctcGradient, ctcLosses } from './ctc.ts'
import { elementsOf, type FormulaOp, type HostOp, type Node } from './ir.ts'
import { softDtwSlopes, softDtwValues } from './soft-dtw.ts'
import { broadcastTo, type Operand, offsetsOf, type Sizes, strideOf } from './strides.ts'
import { solveLower, solveUpper } from './triangular.ts'

type Floats = Float32Array | Float64Array

/** What a rule sees: operands aligned with the node's own axes, and the lines along its axis. */
interface Context {
  readonly node: Node
  readonly operands: readonly Operand[]
  readonly sizes: Sizes
  readonly result: Floats
}

type Rule = (context: Context) => void

const RULES: { readonly [O in HostOp]: Rule } = {
  argsort,
  gather,
  scatter,
  cumsum: (context) => cumsum(context, (line) => line),
  reverse_cumsum: (context) => cumsum(context, (line) => line.toReversed()),
  recurrence: (context) => recurrence(context, (line) => line),
  reverse_recurrence: (context) => recurrence(context, (line) => line.toReversed()),
  cummax_place: cummaxPlace,
  ctc: ({ node, operands, sizes, result }) => ctcLosses(node, operands, sizes, result),
  ctc_slope: ({ node, operands, sizes, result }) => ctcGradient(node, operands, sizes, result),
  solve_lower: ({ node, operands, sizes, result }) => solveLower(node, operands, sizes, result),
  solve_upper: ({ node, operands, sizes, result }) => solveUpper(node, operands, sizes, result),
  soft_dtw: ({ node, operands, sizes, result }) => softDtwValues(node, operands, sizes, result),
  soft_dtw_slope: ({ node, operands, sizes, result }) => softDtwSlopes(node, operands, sizes, result),
}

/** Whether the op is one of these. */
export function isHostOp(op: FormulaOp): op is HostOp {
  return Object.hasOwn(RULES, op)
}

/**
 * The value of a node from those of its arguments.
 *
 * @param precision of the result; it is computed in float64 and rounded once
 * @throws TypeError if the op is not one of these
 * @example
 * evaluateHostOp({ op: 'cumsum', axis: 'rows', axes: ['rows'], ... }, [{ data: [1, 2], axes: ['rows'] }], { rows: 2 }, 'float64') // [1, 3]
 */
export function evaluateHostOp(
  node: Node,
  operands: readonly Operand[],
  sizes: Sizes,
  precision: 'float32' | 'float64',
): Floats {
  if (!isHostOp(node.op)) throw new TypeError(`${node.op} does not take whole lines`)
  const count = elementsOf(node.axes, sizes)
  const result = precision === 'float64' ? new Float64Array(count) : new Float32Array(count)
  RULES[node.op]({ node, operands, sizes, result })
  return result
}

/** Equal ones stay in place, NaN goes last. */
function argsort(context: Context) {
  const x = aligned(context, 0)
  forEachLine(context, (line) => {
    const values = Float64Array.from(line, x)
    const places = Uint32Array.from(values.keys()).sort((a, b) => compare(values[a], values[b]) || a - b)
    for (let k = 0; k < line.length; k++) context.result[line[k]] = places[k]
  })
}

function compare(a: number, b: number): number {
  if (a < b) return -1
  if (a > b) return 1
  return Number(Number.isNaN(a)) - Number(Number.isNaN(b))
}

function gather(context: Context) {
  const [x, place] = [aligned(context, 0), aligned(context, 1)]
  forEachLine(context, (line) => {
    for (const at of line) {
      const from = line[place(at)]
      context.result[at] = from === undefined ? 0 : x(from)
    }
  })
}

function scatter(context: Context) {
  const [x, place] = [aligned(context, 0), aligned(context, 1)]
  forEachLine(context, (line) => {
    const sums = new Float64Array(line.length)
    for (const at of line) {
      const to = place(at)
      if (to >= 0 && to < sums.length) sums[to] += x(at)
    }
    line.forEach((at, k) => {
      context.result[at] = sums[k]
    })
  })
}

function cumsum(context: Context, along: (line: Int32Array) => Int32Array) {
  const x = aligned(context, 0)
  forEachLine(context, (line) => {
    let sum = 0
    for (const at of along(line)) {
      sum += x(at)
      context.result[at] = sum
    }
  })
}

/** What is 0 adds nothing to the next one, whatever its factor is. */
function recurrence(context: Context, along: (line: Int32Array) => Int32Array) {
  const [x, factor] = [aligned(context, 0), aligned(context, 1)]
  forEachLine(context, (line) => {
    let last = 0
    for (const at of along(line)) {
      last = (last === 0 ? 0 : factor(at) * last) + x(at)
      context.result[at] = last
    }
  })
}

/** The first of equal ones stays; nothing is larger than a NaN. */
function cummaxPlace(context: Context) {
  const x = aligned(context, 0)
  forEachLine(context, (line) => {
    let place = 0
    line.forEach((at, k) => {
      const largest = x(line[place])
      if (x(at) > largest || (Number.isNaN(x(at)) && !Number.isNaN(largest))) place = k
      context.result[at] = place
    })
  })
}

function aligned({ node, operands, sizes }: Context, place: number): (element: number) => number {
  return broadcastTo(sizes, operands[place], node.axes)
}

/** The elements of the node that differ only along its axis, in order. */
function forEachLine({ node, sizes }: Context, visit: (line: Int32Array) => void) {
  const others = node.axes.filter((axis) => axis !== node.axis)
  const stride = strideOf(sizes, node.axes, node.axis!)
  for (const start of offsetsOf(sizes, others, node.axes)) {
    visit(Int32Array.from({ length: sizes[node.axis!] }, (_, k) => start + k * stride))
  }
}
