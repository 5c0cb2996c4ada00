/**
 * The contract of a wire format: bytes -> Decoded, Answer -> bytes. One format = one file (or folder) here.
 * A format knows tensors and names; it does not know losses, shapes that fit, or HTTP.
 */
import type { Dtype, Tensor } from '../tensor.ts'

/**
 * How a tensor was spelled in the request, so that its gradient can be spelled alike:
 * `nested` arrays, `flat` {shape, dtype, data}, `base64` {shape, dtype, data: "..."}; binary formats use `binary`.
 */
export type TensorEncoding = 'nested' | 'flat' | 'base64' | 'binary'

/**
 * One tensor as it came. A bare JSON array says dtype float32, but its data stays Float64Array when it holds whole
 * numbers between 2^24 and 2^53: they may be labels, and the check, which knows the input's kind, narrows them.
 */
export interface DecodedTensor extends Tensor, TensorInfo {}

/** What is known of a tensor without its numbers. */
export interface TensorInfo {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly encoding: TensorEncoding
  /** Whether the caller stated the dtype; false only for bare JSON arrays and numbers. */
  readonly typed: boolean
}

/** A decoded body: named tensors, and everything else as plain JSON values. */
export interface Decoded {
  /** Top-level names that hold numbers. */
  readonly tensors: ReadonlyMap<string, DecodedTensor>
  /** The other top-level names (`params`, `reduction`, `gradients` ...), unchecked. */
  readonly options: ReadonlyMap<string, unknown>
  /**
   * Bodies that have the same object here are equal in all but the tensors' numbers, so that what was found out about one
   * holds for the other. Absent where the format does not remember.
   */
  readonly structure?: object
}

/** A tensor to be written: values in memory, and how the caller wants to see them. */
export interface AnswerTensor extends Tensor {
  readonly encoding: TensorEncoding
}

/** What a loss request is answered with. */
export interface Answer {
  readonly loss: AnswerTensor
  readonly gradients: ReadonlyMap<string, AnswerTensor>
  /** The second derivatives' diagonals. */
  readonly hessian?: ReadonlyMap<string, AnswerTensor> | undefined
  /** Whether numbers that JSON has no literal for are written as null, instead of as strings. */
  readonly nulls?: boolean
  /** Answers that have the same object here differ in their numbers and members alone. */
  readonly structure?: object
  /** Plain members beside them: denominator, count, finite ... */
  readonly members: Readonly<Record<string, number | boolean | string | object>>
}

/**
 * Members of a body that are plain values, whatever they look like; all others are tensors where they are numbers. In a
 * safetensors body they stand in the metadata.
 */
export const PLAIN_MEMBERS = [
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
export type PlainMember = (typeof PLAIN_MEMBERS)[number]
const PLAIN: ReadonlySet<string> = new Set(PLAIN_MEMBERS)
export const isPlainMember = (name: string): name is PlainMember => PLAIN.has(name)

/** Limits that a format enforces before it allocates. */
export interface DecodeLimits {
  /** Elements of one body, all tensors together. */
  readonly maxElements: number
  readonly maxTensors: number
}

export interface Format {
  readonly name: string
  /** First one is canonical and leaves in `Content-Type`; the others are read as well. Lower case, no parameters. */
  readonly mediaTypes: readonly [string, ...string[]]
  /** Which body limit applies. */
  readonly bodyLimit: 'json' | 'binary'
  /** @throws Problem `malformed-*` (400) when the bytes cannot be parsed, 422 codes when a tensor is ill-formed. */
  decode(bytes: Uint8Array, limits: DecodeLimits): Decoded
  encode(answer: Answer): Chunks
}

/**
 * An answer's bytes, in order. One part is memory of its own; of several, all but the first may be views of the answer's
 * arrays, so that megabytes are not copied, and hold as long as these do.
 */
export type Chunks = readonly [Uint8Array, ...Uint8Array[]]

/** Checks a format where it is written. */
export function defineFormat(format: Format): Format {
  return Object.freeze(format)
}

/** Axes of a tensor: the most that the engines know. */
export const MAX_RANK = 8

/** Bytes of one element on the wire. */
export const BYTES: Readonly<Record<Dtype, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
}
