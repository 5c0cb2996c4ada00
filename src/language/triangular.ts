/**
 * Triangular systems of linear equations, for what a Cholesky factor whitens: by substitution, in float64. A row of a system needs
 * the solutions of the rows before it, which no loop over independent elements gives.
 */
import { elementsOf, type Node } from './ir.ts'
import { type Operand, offsetsOf, type Sizes, strideOf } from './strides.ts'

type FloatArray = Float32Array | Float64Array

/** One system: where its parts are, and the distance between neighbours. */
interface System {
  readonly size: number
  readonly coefficient: (row: number, column: number) => number
  readonly right: (row: number) => number
  readonly place: (column: number) => number
}

/** Writes the x of sum over columns of A[row, column] x[column] = b[row]; what lies above the diagonal is not read. */
export function solveLower(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachSystem(node, operands, sizes, (system) => {
    const x = new Float64Array(system.size)
    for (let row = 0; row < system.size; row++) x[row] = substitute(system, x, row, 0, row)
    x.forEach((value, column) => {
      result[system.place(column)] = value
    })
  })
}

/** The same of an upper triangular matrix, from the last row up. */
export function solveUpper(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachSystem(node, operands, sizes, (system) => {
    const x = new Float64Array(system.size)
    for (let row = system.size - 1; row >= 0; row--) x[row] = substitute(system, x, row, row + 1, system.size)
    x.forEach((value, column) => {
      result[system.place(column)] = value
    })
  })
}

/** One row, given the solutions from `first` to `end`. */
function substitute(
  { coefficient, right }: System,
  x: Float64Array,
  row: number,
  first: number,
  end: number,
) {
  let rest = right(row)
  for (let column = first; column < end; column++) rest -= coefficient(row, column) * x[column]
  return rest / coefficient(row, row)
}

/** @param node `axis` is the rows, `to` the columns */
function forEachSystem(
  { axes, axis: rows, to: columns }: Node,
  [matrix, right]: readonly Operand[],
  sizes: Sizes,
  visit: (system: System) => void,
) {
  const others = axes.filter((axis) => axis !== columns)
  const [ofMatrix, ofRight, ofResult] = [matrix.axes, right.axes, axes].map((own) =>
    offsetsOf(sizes, others, own),
  )
  const step = (own: readonly string[], axis: string) => strideOf(sizes, own, axis)
  const [down, along] = [step(matrix.axes, rows!), step(matrix.axes, columns!)]
  const [next, column] = [step(right.axes, rows!), step(axes, columns!)]
  for (let index = 0; index < elementsOf(others, sizes); index++) {
    visit({
      size: Math.min(sizes[rows!], sizes[columns!]),
      coefficient: (i, j) => matrix.data[ofMatrix[index] + i * down + j * along],
      right: (i) => right.data[ofRight[index] + i * next],
      place: (j) => ofResult[index] + j * column,
    })
  }
}
