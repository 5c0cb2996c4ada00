/** Tensor contraction (a sum of products along one axis) as XLA's DotGeneral, the general matrix product. */
import type { Value } from './graph.ts'
import type { LoweringContext } from './lowering-context.ts'

/**
 * sum over k of a[batch, i, k] * b[batch, j, k]. The axes that both sides keep are the batch; axes that only one
 * side has are its rows or columns.
 */
export function contract({ graph, form, node, axesOf, shapeOf }: LoweringContext, a: Value, b: Value): Value {
  const [left, right] = [axesOf(0), axesOf(1)]
  const lengths = (axes: readonly string[]) => axes.map((axis) => form.sizes[axis])
  const shared = node.axes.filter((axis) => left.includes(axis) && right.includes(axis))
  const rows = node.axes.filter((axis) => left.includes(axis) && !right.includes(axis))
  const columns = node.axes.filter((axis) => right.includes(axis) && !left.includes(axis))
  const found = [...shared, ...rows, ...columns]
  const operands = [graph.reshape(a, lengths(left)), graph.reshape(b, lengths(right))]
  const attributes = {
    LhsT: { type: 'float32' },
    RhsT: { type: 'float32' },
    preferred_element_type: { type: 'float32' },
    dimension_numbers: { bytes: dimensionNumbers(left, right, node.axis!, shared) },
    precision_config: { bytes: HIGHEST },
  } as const
  const product = graph.add('XlaDotV2', operands, attributes, 'float32', lengths(found))
  const ordered = graph.transpose(
    product,
    node.axes.map((axis) => found.indexOf(axis)),
  )
  return graph.reshape(ordered, shapeOf(node.axes))
}

/** xla.PrecisionConfig with HIGHEST for both operands: a GPU must not round them to TensorFloat-32. */
const HIGHEST = Uint8Array.of(10, 2, 2, 2)

/** xla.DotDimensionNumbers: packed lists of indices, each of which is below 128 and so takes one byte. */
function dimensionNumbers(
  left: readonly string[],
  right: readonly string[],
  summed: string,
  shared: readonly string[],
): Uint8Array {
  const field = (number: number, places: readonly number[]) =>
    places.length === 0 ? [] : [number * 8 + 2, places.length, ...places]
  const placesIn = (axes: readonly string[], names: readonly string[]) =>
    names.map((name) => axes.indexOf(name))
  return Uint8Array.from([
    ...field(1, placesIn(left, [summed])),
    ...field(2, placesIn(right, [summed])),
    ...field(3, placesIn(left, shared)),
    ...field(4, placesIn(right, shared)),
  ])
}
