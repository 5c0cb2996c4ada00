/**
 * Splits a batch in two and joins the results, for a device without enough memory, if rows are computed
 * independently. Two pure functions, each the inverse of the other; splitting copies nothing.
 */
import { layoutOf, type Program } from '../../language/ir.ts'
import type { NumericArray } from '../../tensor.ts'
import { type Batch, type BatchResult, type ChunkedArray, concatChunks } from '../contract.ts'

/**
 * The first and the second half of the rows; undefined if rows depend on each other, or there is only one.
 *
 * @example
 * const halves = halve(batch)
 * if (halves !== undefined) rejoin([await engine.run(halves[0]), await engine.run(halves[1])])
 */
export function halve(batch: Batch): readonly [Batch, Batch] | undefined {
  const axis = rowAxisOf(batch.program)
  const rows = axis === undefined ? 0 : batch.sizes[axis]
  if (axis === undefined || rows < 2) return undefined
  const middle = Math.ceil(rows / 2)
  return [part(batch, axis, 0, middle), part(batch, axis, middle, rows)]
}

/** The results of both halves, concatenated. */
export function rejoin([first, second]: readonly [BatchResult, BatchResult]): BatchResult {
  const ended = <T extends NumericArray>(a: T, b: T) => concatChunks<T>([a, b])
  const gradients = Object.entries(first.gradients).map(
    ([name, data]) => [name, ended(data, second.gradients[name])] as const,
  )
  const { denominators } = first
  return {
    values: ended(first.values, second.values),
    ...(denominators === undefined ? {} : { denominators: ended(denominators, second.denominators!) }),
    gradients: Object.fromEntries(gradients),
    computeMs: first.computeMs + second.computeMs,
    engine: first.engine,
  }
}

/** The axis along which rows are independent: all results and inputs begin with it, and nothing reduces over it. */
export function rowAxisOf(program: Program): string | undefined {
  const [axis] = program.axes
  const { nodes, value, renamed, inputs, gradients } = program
  const isRenamed = Object.values(renamed).includes(axis)
  const isUsed = nodes.some((node) => node.axis === axis || node.to === axis)
  const results = [nodes[value].axes, ...Object.keys(gradients).map((name) => layoutOf(program, name))]
  const isSeparable = [...results, ...Object.values(inputs).map(({ axes }) => axes)].every(
    ([first]) => first === axis,
  )
  return axis !== undefined && !isRenamed && !isUsed && isSeparable ? axis : undefined
}

function part(batch: Batch, axis: string, begin: number, end: number): Batch {
  const rows = batch.sizes[axis]
  const cut = <T extends NumericArray>(column: ChunkedArray<T>): ChunkedArray<T> => {
    const whole = concatChunks(column)
    const width = whole.length / rows
    return [whole.subarray(begin * width, end * width) as T]
  }
  const inputs = Object.entries(batch.inputs).map(([name, column]) => [name, cut(column)] as const)
  const isOne = batch.cotangent.length === 1 && batch.cotangent[0].length === 1
  return {
    ...batch,
    sizes: { ...batch.sizes, [axis]: end - begin },
    inputs: Object.fromEntries(inputs),
    cotangent: isOne ? batch.cotangent : cut(batch.cotangent),
  }
}
