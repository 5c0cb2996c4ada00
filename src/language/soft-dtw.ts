/**
 * Soft dynamic time warping: the softened smallest cost of all alignments of two series, and its derivative, by the recursions of
 * Cuturi and Blondel 2017 (Soft-DTW: a differentiable loss function for time-series, algorithms 1 and 2). They run along both
 * series at once, which a formula over axes cannot express, so they are implemented here, in float64.
 */
import { elementsOf, type Node } from './ir.ts'
import { type Operand, offsetsOf, type Sizes, strideOf } from './strides.ts'

type FloatArray = Float32Array | Float64Array

/** The costs of one pair of series. */
interface Pair {
  readonly cost: (i: number, j: number) => number
  readonly place: (i: number, j: number) => number
  readonly rows: number
  readonly columns: number
  /** 0 for the smallest cost itself. */
  readonly gamma: number
}

/**
 * Writes the value of every pair; Infinity if no alignment is possible.
 *
 * @param node `axis` is the first series, `to` the second
 * @param operands the costs, gamma
 */
export function softDtwValues(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachPair(node, operands, sizes, (pair, index) => {
    result[index] = forward(pair).at(-1)!
  })
}

/** Writes the derivative with respect to every cost: the share of the alignments that pass there. */
export function softDtwSlopes(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachPair(node, operands, sizes, (pair) => {
    const { rows, columns } = pair
    const total = forward(pair)
    if (rows === 0 || columns === 0 || total.at(-1) === Number.POSITIVE_INFINITY) return
    const shares = backward(pair, total)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) result[pair.place(i, j)] = shares[(i + 1) * (columns + 1) + j + 1]
  })
}

/** The value of each beginning, with a margin for the empty one. */
function forward({ cost, rows, columns, gamma }: Pair): Float64Array {
  const width = columns + 1
  const total = new Float64Array((rows + 1) * width).fill(Number.POSITIVE_INFINITY)
  total[0] = 0
  for (let i = 1; i <= rows; i++) {
    for (let j = 1; j <= columns; j++) {
      const before = predecessorsOf(total, i * width + j, width)
      total[i * width + j] = cost(i - 1, j - 1) + softMin(before, gamma)
    }
  }
  return total
}

/** The derivative of the last value with respect to each: what each passes on goes to those before it, by their weights. */
function backward({ rows, columns, gamma }: Pair, total: Float64Array): Float64Array {
  const width = columns + 1
  const shares = new Float64Array(total.length)
  shares[total.length - 1] = 1
  for (let i = rows; i >= 1; i--) {
    for (let j = columns; j >= 1; j--) {
      const at = i * width + j
      const weights = weightsOf(predecessorsOf(total, at, width), gamma)
      placesBefore(at, width).forEach((place, k) => {
        if (shares[at] !== 0) shares[place] += shares[at] * weights[k]
      })
    }
  }
  return shares
}

/** Both series one step back, the first one, the second one. */
function placesBefore(at: number, width: number): readonly number[] {
  return [at - width - 1, at - width, at - 1]
}

function predecessorsOf(total: Float64Array, at: number, width: number): readonly number[] {
  return [total[at - width - 1], total[at - width], total[at - 1]]
}

/** -gamma ln sum e^(-x / gamma); NaN is propagated. */
function softMin(values: readonly number[], gamma: number): number {
  const least = Math.min(...values)
  if (gamma === 0 || !Number.isFinite(least)) return least
  return least - gamma * Math.log(values.reduce((sum, x) => sum + Math.exp((least - x) / gamma), 0))
}

/** The derivative of the softened minimum; with gamma 0, equal ones share it evenly. */
function weightsOf(values: readonly number[], gamma: number): readonly number[] {
  const least = Math.min(...values)
  const powers = values.map((x) => (x === least ? 1 : gamma === 0 ? 0 : Math.exp((least - x) / gamma)))
  const sum = powers[0] + powers[1] + powers[2]
  return powers.map((power) => power / sum)
}

function forEachPair(
  { axis: first, to: second }: Node,
  [costs, gamma]: readonly Operand[],
  sizes: Sizes,
  visit: (pair: Pair, index: number) => void,
) {
  const others = costs.axes.filter((axis) => axis !== first && axis !== second)
  const [ofCosts, ofGamma] = [costs.axes, gamma.axes].map((own) => offsetsOf(sizes, others, own))
  const [down, along] = [first!, second!].map((axis) => strideOf(sizes, costs.axes, axis))
  for (let index = 0; index < elementsOf(others, sizes); index++) {
    const place = (i: number, j: number) => ofCosts[index] + i * down + j * along
    visit(
      {
        cost: (i, j) => costs.data[place(i, j)],
        place,
        rows: sizes[first!],
        columns: sizes[second!],
        gamma: gamma.data[ofGamma[index]],
      },
      index,
    )
  }
}
