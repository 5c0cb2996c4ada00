/**
 * Messages with typed arrays in them as bytes on a pipe. A frame is the header's length and the payload's, the header (the
 * message with its arrays taken out, in Node's own serialization, which knows NaN and undefined), and the payload: the
 * arrays themselves, written from where they lie and read where they arrive, each at a multiple of eight bytes.
 */
import { deserialize, serialize } from 'node:v8'

/** Two lengths, as float64: payloads may be longer than 4 GiB. */
const PREFIX = 16

const KINDS = { Float32Array, Float64Array, Int32Array } as const
type Kind = keyof typeof KINDS
type NumberArray = InstanceType<(typeof KINDS)[Kind]>

/** Stands for an array in a header. */
interface Place {
  readonly $array: Kind
  readonly offset: number
  readonly length: number
}

/**
 * The parts of a frame, to be written in this order; the arrays are not copied.
 *
 * @example
 * for (const part of encodeFrame({ id: 1, values: Float32Array.of(1, 2) })) socket.write(part)
 */
export function encodeFrame(message: unknown): Uint8Array[] {
  const arrays: Uint8Array[] = []
  let length = 0
  const place = (array: NumberArray): Place => {
    const found = { $array: array.constructor.name as Kind, offset: length, length: array.length }
    arrays.push(new Uint8Array(array.buffer, array.byteOffset, array.byteLength))
    length += array.byteLength
    if (length % 8 !== 0) arrays.push(new Uint8Array(8 - (length % 8)))
    length = Math.ceil(length / 8) * 8
    return found
  }
  const header = serialize(replaced(message, place))
  const prefix = new Uint8Array(Float64Array.of(header.length, length).buffer)
  return [prefix, header, ...arrays.filter(({ byteLength }) => byteLength > 0)]
}

/** The message with every typed array exchanged for what `place` makes of it. */
function replaced(value: unknown, place: (array: NumberArray) => Place): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value)) return place(value as NumberArray)
  if (Array.isArray(value)) return value.map((part) => replaced(part, place))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, replaced(part, place)]))
}

/** The message again, its arrays views of the payload. */
function restored(value: unknown, payload: ArrayBuffer): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((part) => restored(part, payload))
  if ('$array' in value) {
    const { $array, offset, length } = value as Place
    return new KINDS[$array](payload, offset, length)
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, restored(part, payload)]))
}

/** Puts frames together from the pieces in which a pipe delivers them. */
export class FrameReader {
  readonly #onMessage: (message: unknown) => void
  /** What is being filled: the prefix, then the header, then the payload. */
  #part = new Uint8Array(PREFIX)
  #filled = 0
  #header: Uint8Array | undefined
  #lengths: Float64Array | undefined

  constructor(onMessage: (message: unknown) => void) {
    this.#onMessage = onMessage
  }

  /** @param chunk the next bytes; they are copied once, to where they stay */
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

  /** @returns whether the next part may be complete already, because it is empty */
  #advance(): boolean {
    if (this.#lengths === undefined) {
      this.#lengths = new Float64Array(this.#part.buffer)
      return this.#begin(this.#lengths[0])
    }
    if (this.#header === undefined) {
      this.#header = this.#part
      return this.#begin(this.#lengths[1])
    }
    const message = restored(deserialize(this.#header), this.#part.buffer as ArrayBuffer)
    this.#lengths = undefined
    this.#header = undefined
    this.#begin(PREFIX)
    this.#onMessage(message)
    return false
  }

  #begin(length: number): boolean {
    this.#part = new Uint8Array(length)
    this.#filled = 0
    return length === 0
  }
}
