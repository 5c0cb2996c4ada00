/**
 * The contract of a wire format (a codec): bytes -> Decoded, Answer -> bytes. Each format is one file or folder
 * here. A format knows tensors and names. It does not know losses, which shapes match, or HTTP.
 */
import type { Dtype, Tensor } from '../tensor.ts'

/**
 * How a tensor was written in the request, so that its gradient can be written the same way: `nested` arrays,
 * `flat` {shape, dtype, data}, `base64` {shape, dtype, data: "..."}; binary formats use `binary`.
 */
export type TensorEncoding = 'nested' | 'flat' | 'base64' | 'binary'

/**
 * One tensor as it was received. A bare JSON array has dtype float32, but its data stays a Float64Array if it
 * contains integers between 2^24 and 2^53. These may be labels; the validation, which knows the kind of the input,
 * narrows them.
 */
export interface DecodedTensor extends Tensor, TensorInfo {}

/** What is known of a tensor without its numbers. */
export interface TensorInfo {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly encoding: TensorEncoding
  /** Whether the request specified the dtype; false only for bare JSON arrays and numbers. */
  readonly typed: boolean
}

/** A decoded body: named tensors, and everything else as plain JSON values. */
export interface Decoded {
  /** Top-level members that contain numbers. */
  readonly tensors: ReadonlyMap<string, DecodedTensor>
  /** The other top-level members (`params`, `reduction`, `gradients` ...), not validated. */
  readonly options: ReadonlyMap<string, unknown>
  /**
   * Bodies with the same object here differ only in the numbers of their tensors, so that what was derived from one
   * of them is valid for the others. Absent if the format does not cache structures.
   */
  readonly structure?: object
}

/** A tensor to be written: its values in memory, and how the client wants it written. */
export interface AnswerTensor extends Tensor {
  readonly encoding: TensorEncoding
}

/** The response to a loss request. */
export interface Answer {
  readonly loss: AnswerTensor
  readonly gradients: ReadonlyMap<string, AnswerTensor>
  /** The diagonals of the second derivative. */
  readonly hessian?: ReadonlyMap<string, AnswerTensor> | undefined
  /** Whether numbers that JSON cannot represent are written as null instead of as strings. */
  readonly nulls?: boolean
  /** Responses with the same object here differ only in their numbers and members. */
  readonly structure?: object
  /** Plain members in addition to the tensors: denominator, count, finite ... */
  readonly members: Readonly<Record<string, number | boolean | string | object>>
}

/**
 * Members of a body that are always plain values. All other members are tensors if they contain numbers. In a
 * safetensors body these members are in the metadata.
 */
export const NON_TENSOR_MEMBERS = [
  'preset',
  'params',
  'reduction',
  'gradients',
  'hessian',
  'hessian_floor',
  'layout',
  'denominator',
  'explain',
  'nonfinite',
  'gradient_dtype',
  'terms',
  'definition',
  'formula',
  'axes',
] as const
export type NonTensorMember = (typeof NON_TENSOR_MEMBERS)[number]
const PLAIN: ReadonlySet<string> = new Set(NON_TENSOR_MEMBERS)
export const isNonTensorMember = (name: string): name is NonTensorMember => PLAIN.has(name)

/** Limits that a format enforces before it allocates memory. */
export interface DecodeLimits {
  /** Maximum number of elements in one body, over all tensors. */
  readonly maxElements: number
  readonly maxTensors: number
}

/**
 * A wire format. The routes, the negotiation, the API documentation, the hint for a wrong Content-Type and the table in
 * docs/formats.md are all derived from this definition.
 */
export interface Format {
  readonly name: string
  /** Its name in messages and docs. */
  readonly title: string
  /**
   * The first media type is canonical and is sent as `Content-Type`; the others are accepted too. Lower case, no
   * parameters.
   */
  readonly mediaTypes: readonly [string, ...string[]]
  /** Among formats that an `Accept` header rates equally, the lowest rank wins, after the request's own format. */
  readonly rank: number
  /** Which body limit applies: that for numbers as text, or that for numbers as bytes. */
  readonly bodyLimit: 'json' | 'binary'
  /** Whether large responses are compressed for clients that accept it. Random digits as bytes hardly compress. */
  readonly compresses: boolean
  readonly layout: BodyDescription
  /**
   * Whether the first bytes look like this format, in a body that another format cannot parse. The client is then
   * told which Content-Type to send.
   */
  recognizes(bytes: Uint8Array): boolean
  /**
   * @throws Problem `malformed-<name>` (400) if the bytes cannot be parsed, or a 422 code if a tensor is invalid.
   */
  decode(bytes: Uint8Array, limits: DecodeLimits): Decoded
  encode(answer: Answer): Chunks
}

/** Where tensors and options are in a body, for the docs. Both texts complete "are ...". */
export interface BodyDescription {
  /**
   * `object`: a body is an object as the JSON Schema of a loss describes it, and gradients are members of
   * `gradients`. `file`: OpenAPI describes the body in words, and gradients are called `gradients.<name>`.
   */
  readonly shape: 'object' | 'file'
  readonly tensors: string
  readonly options: string
}

/**
 * The bytes of a response, in order. A single part owns its memory. If there are several, all but the first may be
 * views of the response's arrays, so that megabytes are not copied; they are valid as long as these arrays are.
 */
export type Chunks = readonly [Uint8Array, ...Uint8Array[]]

/** Type-checks a format where it is defined. */
export function defineFormat(format: Format): Format {
  return Object.freeze(format)
}

/** Maximum number of axes of a tensor: the most that the engines support. */
export const MAX_RANK = 8

/** Bytes per element on the wire. */
export const BYTES_PER_ELEMENT: Readonly<Record<Dtype, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
}
