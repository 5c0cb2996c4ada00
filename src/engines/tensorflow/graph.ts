/**
 * A builder for TensorFlow graphs: nodes are plain data, and the type and shape of each value are known, so that
 * lowering rules read like arithmetic. It knows TensorFlow's ops by name, but neither programs nor bytes.
 */

export type TensorType = 'float32' | 'float64' | 'int32' | 'bool'

/** The attributes of a node, one member per kind of attribute. */
export type Attribute =
  | { readonly type: TensorType }
  | { readonly types: readonly TensorType[] }
  | { readonly shape: readonly number[] }
  | { readonly tensor: Constant }
  | { readonly flag: boolean }
  | { readonly bytes: Uint8Array }
  | { readonly function: string }

export interface Constant {
  readonly type: TensorType
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

export interface GraphNode {
  readonly name: string
  readonly op: string
  readonly inputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

/** The output of a node: its name, type and shape. */
export interface Value {
  /** `node:output:0`, or an argument's name. */
  readonly from: string
  readonly type: TensorType
  readonly shape: readonly number[]
}

/** The names of outputs that differ from `output`. */
const OUTPUTS: Readonly<Record<string, string>> = Object.fromEntries([
  ...'Abs Acos Asin Atan Cast Cos Erf Exp Expm1 Floor IsFinite IsNan Log Log1p Neg Rint Sigmoid Sign Sin Sqrt Tanh Transpose'
    .split(' ')
    .map((op) => [op, 'y']),
  ...'AddV2 Equal Less LessEqual LogicalAnd LogicalOr Maximum Minimum Mul Pow RealDiv Sub'
    .split(' ')
    .map((op) => [op, 'z']),
])

export class Graph {
  readonly nodes: GraphNode[] = []
  readonly arguments: Value[] = []
  readonly #constants = new Map<string, Value>()

  /** An argument, which is passed to each run. */
  argument(name: string, type: TensorType, shape: readonly number[]): Value {
    const value = { from: name, type, shape }
    this.arguments.push(value)
    return value
  }

  constant(type: TensorType, values: readonly number[], shape: readonly number[] = []): Value {
    // The key consists of bits, because -0 and NaN are constants of their own.
    const bits = Array.from(new Uint8Array(Float64Array.from(values).buffer)).join()
    const key = `${type} ${shape} ${bits}`
    const known = this.#constants.get(key)
    if (known !== undefined) return known
    const attributes = { dtype: { type }, value: { tensor: { type, shape, values } } }
    const made = this.add('Const', [], attributes, type, shape)
    this.#constants.set(key, made)
    return made
  }

  /** A real number with a single element, for values of any rank. */
  number(value: number, type: 'float32' | 'float64' = 'float32'): Value {
    return this.constant(type, [value])
  }

  /** Element-wise, with the type unchanged. */
  unary(op: string, x: Value): Value {
    return this.add(op, [x], { T: { type: x.type } }, x.type, x.shape)
  }

  /** Broadcasts along dimensions of size 1. */
  binary(op: string, a: Value, b: Value): Value {
    return this.add(op, [a, b], { T: { type: a.type } }, a.type, broadcastOf(a.shape, b.shape))
  }

  compare(op: 'Less' | 'LessEqual' | 'Equal', a: Value, b: Value): Value {
    const equality: Readonly<Record<string, Attribute>> =
      op === 'Equal' ? { incompatible_shape_error: { flag: true } } : {}
    return this.add(op, [a, b], { T: { type: a.type }, ...equality }, 'bool', broadcastOf(a.shape, b.shape))
  }

  logic(op: 'LogicalAnd' | 'LogicalOr', a: Value, b: Value): Value {
    return this.add(op, [a, b], {}, 'bool', broadcastOf(a.shape, b.shape))
  }

  /** A select instead of LogicalNot: TensorFlow rewrites "not (a < b)" to "a >= b", which is wrong for NaN. */
  not(x: Value): Value {
    const [yes, no] = [1, 0].map((truth) => this.constant('bool', [truth]))
    return this.select(x, no, yes)
  }

  test(op: 'IsFinite' | 'IsNan', x: Value): Value {
    return this.add(op, [x], { T: { type: x.type } }, 'bool', x.shape)
  }

  select(test: Value, yes: Value, no: Value): Value {
    const shape = broadcastOf(test.shape, broadcastOf(yes.shape, no.shape))
    return this.add('SelectV2', [test, yes, no], { T: { type: yes.type } }, yes.type, shape)
  }

  cast(x: Value, type: TensorType): Value {
    if (x.type === type) return x
    return this.add('Cast', [x], { SrcT: { type: x.type }, DstT: { type } }, type, x.shape)
  }

  /** The same bits with another type. */
  bitcast(x: Value, type: TensorType): Value {
    return this.add('Bitcast', [x], { T: { type: x.type }, type: { type } }, type, x.shape)
  }

  reshape(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x
    const attributes = { T: { type: x.type }, Tshape: INT }
    return this.add('Reshape', [x, this.#list(shape)], attributes, x.type, shape)
  }

  transpose(x: Value, order: readonly number[]): Value {
    if (order.every((place, i) => place === i)) return x
    const shape = order.map((place) => x.shape[place])
    return this.add('Transpose', [x, this.#list(order)], { T: { type: x.type }, Tperm: INT }, x.type, shape)
  }

  broadcast(x: Value, shape: readonly number[]): Value {
    if (sameShape(x.shape, shape)) return x
    const attributes = { T: { type: x.type }, Tidx: INT }
    return this.add('BroadcastTo', [x, this.#list(shape)], attributes, x.type, shape)
  }

  /** 0, 1, 2 ... */
  range(length: number): Value {
    const [first, end, step] = [0, length, 1].map((place) => this.constant('int32', [place]))
    return this.add('Range', [first, end, step], { Tidx: INT }, 'int32', [length])
  }

  /** Zeros before and behind what stands along one dimension. */
  pad(x: Value, dimension: number, { before, after }: { before: number; after: number }): Value {
    const lengths = x.shape.flatMap((_, i) => (i === dimension ? [before, after] : [0, 0]))
    const shape = x.shape.map((size, i) => (i === dimension ? before + size + after : size))
    const paddings = this.constant('int32', lengths, [x.shape.length, 2])
    return this.add('Pad', [x, paddings], { T: { type: x.type }, Tpaddings: INT }, x.type, shape)
  }

  /** `length` elements along one dimension, from `start` on. */
  slice(x: Value, dimension: number, start: number, length: number): Value {
    const begin = x.shape.map((_, i) => (i === dimension ? start : 0))
    const shape = x.shape.map((size, i) => (i === dimension ? length : size))
    const attributes = { T: { type: x.type }, Index: INT }
    return this.add('Slice', [x, this.#list(begin), this.#list(shape)], attributes, x.type, shape)
  }

  /** `Sum` or `Max` along one dimension, which is kept with size 1. */
  reduce(op: 'Sum' | 'Max', x: Value, dimension: number): Value {
    const shape = x.shape.map((size, i) => (i === dimension ? 1 : size))
    const attributes = { T: { type: x.type }, Tidx: INT, keep_dims: { flag: true } }
    return this.add(op, [x, this.#list([dimension])], attributes, x.type, shape)
  }

  /** The elements of a list at indices that are within it. */
  gather(list: Value, places: Value): Value {
    const attributes = { Tparams: { type: list.type }, Tindices: INT, Taxis: INT }
    const axis = this.constant('int32', [0])
    return this.add('GatherV2', [list, places, axis], attributes, list.type, places.shape)
  }

  add(
    op: string,
    inputs: readonly Value[],
    attributes: Readonly<Record<string, Attribute>>,
    type: TensorType,
    shape: readonly number[],
  ): Value {
    const name = `n${this.nodes.length}`
    this.nodes.push({ name, op, inputs: inputs.map(({ from }) => from), attributes })
    return { from: `${name}:${OUTPUTS[op] ?? 'output'}:0`, type, shape }
  }

  #list(values: readonly number[]): Value {
    return this.constant('int32', values, [values.length])
  }
}

const INT = { type: 'int32' } as const

function broadcastOf(a: readonly number[], b: readonly number[]): readonly number[] {
  if (a.length === 0) return b
  if (b.length === 0) return a
  return a.map((size, i) => (size === 1 ? b[i] : size))
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}
