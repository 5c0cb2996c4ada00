/** Systems of linear equations with a triangular matrix, solved by substitution, row by row. */
import { F64, FunctionBuilder, get, I32, i32, loadF64, op, set, storeF64 } from '../wasm-encoder.ts'
import {
  DOUBLE,
  doubleAt,
  type ElementKind,
  loadNumber,
  plus,
  storeNumber,
  times,
  walk,
} from './scalar-code.ts'

/**
 * (matrix, down, along, right, stride, count, result, stride, workspace): the solution of A x = b. Each row needs the solutions of the
 * rows before it, or, of an upper triangle, of those after it. They are in float64 in the workspace.
 */
export function triangularSolve(
  matrixKind: ElementKind,
  rightKind: ElementKind,
  result: ElementKind,
  isUpper: boolean,
): FunctionBuilder {
  const f = new FunctionBuilder(new Array(9).fill(I32), [])
  const [matrix, down, along, right, rightStride, count, to, toStride, x] = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(
    get,
  )
  const rest = f.local(F64)
  const last = f.let(op('i32.sub', count, i32(1)), I32)
  walk(f, count, [], (_, turn) => {
    const row = f.let(isUpper ? op('i32.sub', last, turn) : turn, I32)
    const ofRow = f.let(plus(matrix, times(row, down)), I32)
    const first = isUpper ? f.let(plus(row, i32(1)), I32) : i32(0)
    f.add(set(rest, loadNumber(rightKind, plus(right, times(row, rightStride)))))
    const known = [
      { start: plus(ofRow, times(first, along)), stride: along },
      { start: doubleAt(x, first), stride: i32(DOUBLE) },
    ]
    walk(f, turn, known, ([coefficient, value]) => {
      const product = op('f64.mul', loadNumber(matrixKind, coefficient), loadF64(value))
      f.add(set(rest, op('f64.sub', get(rest), product)))
    })
    const pivot = loadNumber(matrixKind, plus(ofRow, times(row, along)))
    f.add(storeF64(doubleAt(x, row), op('f64.div', get(rest), pivot)))
  })
  const lines = [
    { start: x, stride: i32(DOUBLE) },
    { start: to, stride: toStride },
  ]
  walk(f, count, lines, ([value, target]) => f.add(storeNumber(result, target, loadF64(value))))
  return f
}
