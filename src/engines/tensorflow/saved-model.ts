/**
 * Serialization: a graph -> the bytes of a TensorFlow SavedModel (Protocol Buffers). The wire format is written by
 * google-protobuf, a dependency of tfjs-node that is always installed where this runs.
 */
import type { Attribute, Constant, Graph, GraphNode, TensorType, Value } from './graph.ts'

/** The methods of google-protobuf's `BinaryWriter` that are used. */
export interface Writer {
  writeString(field: number, value: string): void
  writeBytes(field: number, value: Uint8Array): void
  writeInt64(field: number, value: number): void
  writeBool(field: number, value: boolean): void
  writeEnum(field: number, value: number): void
  writePackedEnum(field: number, values: readonly number[]): void
  writePackedInt64(field: number, values: readonly number[]): void
  writeMessage<T>(field: number, value: T, write: (value: T, to: Writer) => void): void
  getResultBuffer(): Uint8Array
}

/** The function of a SavedModel: its body, and its outputs by name. */
export interface FunctionDef {
  readonly graph: Graph
  readonly results: Readonly<Record<string, Value>>
  /** Where it runs, for example `/device:GPU:0`; empty: TensorFlow decides. */
  readonly device: string
}

const FUNCTION = 'loss'
const CALL = 'call'
/** DataType of types.proto. */
const TYPES: Readonly<Record<TensorType, number>> = { float32: 1, float64: 2, int32: 3, bool: 10 }
/** The GraphDef version from which on the ops work as they are used here; TensorFlow 2.21 writes 2474. */
const PRODUCER = 2000

/** The only tag and signature of a model. */
export const TAG = 'serve'
export const SIGNATURE = 'serving_default'

/**
 * The model contains one function that XLA must compile, called once between placeholders and a signature. The field
 * numbers are those of TensorFlow's .proto files, which never change.
 *
 * @example
 * writeFileSync(join(folder, 'saved_model.pb'), savedModel(new BinaryWriter(), compilable))
 */
export function savedModel(writer: Writer, compilable: FunctionDef): Uint8Array {
  writer.writeInt64(1, 1)
  writer.writeMessage(2, compilable, metaGraph)
  return writer.getResultBuffer()
}

/** The names of the placeholders for an argument and an output, as a run uses them. */
const placeholderOf = ({ from }: Value) => `in_${from}`

function metaGraph(compilable: FunctionDef, to: Writer) {
  to.writeMessage(1, TAG, (tag, info) => info.writeString(4, tag))
  to.writeMessage(2, compilable, graphDef)
  entry(to, 5, SIGNATURE, compilable, signature)
}

function graphDef(compilable: FunctionDef, to: Writer) {
  for (const argument of compilable.graph.arguments) to.writeMessage(1, argument, placeholder)
  to.writeMessage(1, compilable, call)
  to.writeMessage(2, compilable, (inner, library) => library.writeMessage(1, inner, functionDef))
  to.writeMessage(4, PRODUCER, (producer, versions) => versions.writeInt64(1, producer))
}

function placeholder(argument: Value, to: Writer) {
  const { type, shape } = argument
  const attributes = { dtype: { type }, shape: { shape } }
  nodeDef({ name: placeholderOf(argument), op: 'Placeholder', inputs: [], attributes }, to)
}

function call({ graph, results, device }: FunctionDef, to: Writer) {
  const node: GraphNode = {
    name: CALL,
    op: 'PartitionedCall',
    inputs: graph.arguments.map(placeholderOf),
    attributes: {
      Tin: { types: graph.arguments.map(({ type }) => type) },
      Tout: { types: Object.values(results).map(({ type }) => type) },
      f: { function: FUNCTION },
      _XlaMustCompile: { flag: true },
    },
  }
  nodeDef(node, to)
  if (device !== '') to.writeString(4, device)
}

function functionDef({ graph, results }: FunctionDef, to: Writer) {
  to.writeMessage(1, FUNCTION, (name, definition) => {
    definition.writeString(1, name)
    for (const { from, type } of graph.arguments) argDef(definition, 2, from, type)
    for (const [result, { type }] of Object.entries(results)) argDef(definition, 3, result, type)
  })
  for (const node of graph.nodes) to.writeMessage(3, node, nodeDef)
  for (const [result, { from }] of Object.entries(results)) {
    pair(to, 4, result, from)
  }
  entry(to, 5, '_XlaMustCompile', { flag: true }, attribute)
  entry(to, 5, '_noinline', { flag: true }, attribute)
}

function argDef(to: Writer, field: number, name: string, type: TensorType) {
  to.writeMessage(field, name, (_, definition) => {
    definition.writeString(1, name)
    definition.writeEnum(3, TYPES[type])
  })
}

function signature({ graph, results }: FunctionDef, to: Writer) {
  for (const argument of graph.arguments) {
    entry(to, 1, argument.from, { ...argument, from: `${placeholderOf(argument)}:0` }, tensorInfo)
  }
  Object.entries(results).forEach(([name, value], place) => {
    entry(to, 2, name, { ...value, from: `${CALL}:${place}` }, tensorInfo)
  })
  to.writeString(3, 'tensorflow/serving/predict')
}

function tensorInfo({ from, type, shape }: Value, to: Writer) {
  to.writeString(1, from)
  to.writeEnum(2, TYPES[type])
  to.writeMessage(3, shape, shapeProto)
}

function nodeDef({ name, op, inputs, attributes }: GraphNode, to: Writer) {
  to.writeString(1, name)
  to.writeString(2, op)
  for (const input of inputs) to.writeString(3, input)
  for (const [key, value] of Object.entries(attributes)) entry(to, 5, key, value, attribute)
}

function attribute(value: Attribute, to: Writer) {
  if ('type' in value) to.writeEnum(6, TYPES[value.type])
  else if ('types' in value) to.writeMessage(1, value.types, typeList)
  else if ('shape' in value) to.writeMessage(7, value.shape, shapeProto)
  else if ('tensor' in value) to.writeMessage(8, value.tensor, tensorProto)
  else if ('flag' in value) to.writeBool(5, value.flag)
  else if ('bytes' in value) to.writeBytes(2, value.bytes)
  else to.writeMessage(10, value.function, (name, list) => list.writeString(1, name))
}

/** One entry of a map from names to messages. */
function entry<T>(to: Writer, field: number, name: string, value: T, write: (value: T, to: Writer) => void) {
  to.writeMessage(field, name, (key, map) => {
    map.writeString(1, key)
    map.writeMessage(2, value, write)
  })
}

/** One entry of a map from names to names. */
function pair(to: Writer, field: number, name: string, value: string) {
  to.writeMessage(field, name, (key, map) => {
    map.writeString(1, key)
    map.writeString(2, value)
  })
}

function typeList(types: readonly TensorType[], to: Writer) {
  to.writePackedEnum(
    6,
    types.map((type) => TYPES[type]),
  )
}

function shapeProto(shape: readonly number[], to: Writer) {
  for (const size of shape) to.writeMessage(2, size, (length, dim) => dim.writeInt64(1, length))
}

function tensorProto({ type, shape, values }: Constant, to: Writer) {
  to.writeEnum(1, TYPES[type])
  to.writeMessage(2, shape, shapeProto)
  to.writeBytes(4, contentOf(type, values))
}

function contentOf(type: TensorType, values: readonly number[]): Uint8Array {
  if (type === 'bool') return Uint8Array.from(values)
  const arrays = { float32: Float32Array, float64: Float64Array, int32: Int32Array }
  return new Uint8Array(arrays[type].from(values).buffer)
}
