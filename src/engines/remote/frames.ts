/** Message framing: serializes messages with typed arrays for a pipe, without copying the arrays. */
import { deserialize, serialize } from 'node:v8'

/** Two lengths, as float64: payloads may be larger than 4 GiB. */
const PREFIX = 16
const ALIGNMENT = 8

const KINDS = { Float32Array, Float64Array, Int32Array } as const
type Kind = keyof typeof KINDS
type NumberArray = InstanceType<(typeof KINDS)[Kind]>

/** Represents an array in a message. */
interface Place {
  readonly $array: Kind
  readonly offset: number
  readonly length: number
}

/** A message separated into header and arrays. */
export interface Packed {
  /** The message, with placeholders for its arrays. */
  readonly rest: unknown
  /** The payload, in pieces, which are the message's own arrays. */
  readonly pieces: readonly Uint8Array[]
  /** Size of the payload. */
  readonly bytes: number
}

/**
 * Takes the arrays out of a message, without copying them.
 *
 * @example
 * pack({ id: 1, values: Float32Array.of(1, 2) }).bytes // 8
 */
export function pack(message: unknown): Packed {
  const pieces: Uint8Array[] = []
  let bytes = 0
  const add = (piece: Uint8Array) => {
    if (piece.byteLength > 0) pieces.push(piece)
    bytes += piece.byteLength
  }
  const rest = replaced(message, (array) => {
    const place = { $array: array.constructor.name as Kind, offset: bytes, length: array.length }
    add(new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
    add(new Uint8Array(-bytes & (ALIGNMENT - 1)))
    return place
  })
  return { rest, pieces, bytes }
}

/** Restores the message; its arrays are views of the payload. */
export function unpack(rest: unknown, payload: ArrayBuffer): unknown {
  if (typeof rest !== 'object' || rest === null) return rest
  if (Array.isArray(rest)) return rest.map((part) => unpack(part, payload))
  if ('$array' in rest) {
    const { $array, offset, length } = rest as Place
    return new KINDS[$array](payload, offset, length)
  }
  return Object.fromEntries(Object.entries(rest).map(([name, part]) => [name, unpack(part, payload)]))
}

/** The message with every typed array replaced by the result of `place`. */
function replaced(value: unknown, place: (array: NumberArray) => Place): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value)) return place(value as NumberArray)
  if (Array.isArray(value)) return value.map((part) => replaced(part, place))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, replaced(part, place)]))
}

/**
 * The parts of a frame, in the order in which they must be written: the lengths of the header and the payload, the
 * header (the message without its arrays, in Node's own serialization, which supports NaN and undefined), and the
 * payload: the arrays themselves, written without copying and read in place, each at a multiple of eight bytes.
 */
export function frameOf(header: unknown, pieces: readonly Uint8Array[] = [], bytes = 0): Uint8Array[] {
  const text = serialize(header)
  return [new Uint8Array(Float64Array.of(text.length, bytes).buffer), text, ...pieces]
}

/** Reassembles frames from the chunks that a pipe delivers. */
export class FrameReader {
  readonly #onFrame: (header: unknown, payload: ArrayBuffer) => void
  /** The part that is being filled: the prefix, then the header, then the payload. */
  #part = new Uint8Array(PREFIX)
  #filled = 0
  #header: Uint8Array | undefined
  #lengths: Float64Array | undefined

  constructor(onFrame: (header: unknown, payload: ArrayBuffer) => void) {
    this.#onFrame = onFrame
  }

  /** @param chunk the next bytes; they are copied once, to their final place */
  push(chunk: Uint8Array) {
    let rest = chunk
    while (rest.length > 0) {
      const taken = rest.subarray(0, this.#part.length - this.#filled)
      this.#part.set(taken, this.#filled)
      this.#filled += taken.length
      rest = rest.subarray(taken.length)
      while (this.#filled === this.#part.length && this.#advance());
    }
  }

  /** @returns whether the next part may already be complete, because it is empty */
  #advance(): boolean {
    if (this.#lengths === undefined) {
      this.#lengths = new Float64Array(this.#part.buffer)
      return this.#begin(this.#lengths[0])
    }
    if (this.#header === undefined) {
      this.#header = this.#part
      return this.#begin(this.#lengths[1])
    }
    const [header, payload] = [deserialize(this.#header), this.#part.buffer as ArrayBuffer]
    this.#lengths = undefined
    this.#header = undefined
    this.#begin(PREFIX)
    this.#onFrame(header, payload)
    return false
  }

  #begin(length: number): boolean {
    this.#part = new Uint8Array(length)
    this.#filled = 0
    return length === 0
  }
}
