/** Bytes -> doubles, for every kind of number that files hold. */
import { widenBfloat16, widenHalves } from '../../wire/half-precision.ts'

interface Kind {
  readonly bytes: number
  /** @param bytes aligned, in the order of this machine */
  readonly widen: (bytes: Buffer) => Float64Array
}

type View = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number>
type BigView = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<bigint>

function plain(Type: View, bytes: number): Kind {
  return {
    bytes,
    widen: (data) => Float64Array.from(new Type(data.buffer, data.byteOffset, data.length / bytes)),
  }
}

function big(Type: BigView): Kind {
  return {
    bytes: 8,
    widen: (data) => {
      const wide = new Type(data.buffer, data.byteOffset, data.length / 8)
      return Float64Array.from({ length: wide.length }, (_, i) => Number(wide[i]))
    },
  }
}

function half(widen: (halves: Uint16Array) => Float32Array): Kind {
  return {
    bytes: 2,
    widen: (data) => Float64Array.from(widen(new Uint16Array(data.buffer, data.byteOffset, data.length / 2))),
  }
}

const ELEMENTS = {
  float64: {
    bytes: 8,
    widen: (data) => new Float64Array(data.buffer, data.byteOffset, data.length / 8),
  },
  float32: plain(Float32Array, 4),
  float16: half(widenHalves),
  bfloat16: half(widenBfloat16),
  int8: plain(Int8Array, 1),
  int16: plain(Int16Array, 2),
  int32: plain(Int32Array, 4),
  int64: big(BigInt64Array),
  uint8: plain(Uint8Array, 1),
  uint16: plain(Uint16Array, 2),
  uint32: plain(Uint32Array, 4),
  uint64: big(BigUint64Array),
} satisfies Readonly<Record<string, Kind>>

export type Element = keyof typeof ELEMENTS

/** Whether a double may not hold its numbers. */
export function isLong(element: Element): boolean {
  return element === 'int64' || element === 'uint64'
}

export function bytesOf(element: Element): number {
  return ELEMENTS[element].bytes
}

/**
 * @param bytes aligned, little-endian
 * @example
 * widen('int8', Buffer.from([255])) // Float64Array [-1]
 */
export function widen(element: Element, bytes: Buffer): Float64Array {
  return ELEMENTS[element].widen(bytes)
}

/** Turns numbers of the other byte order around, in place. */
export function swap(bytes: Buffer, width: number): Buffer {
  if (width === 2) return bytes.swap16()
  if (width === 4) return bytes.swap32()
  return width === 8 ? bytes.swap64() : bytes
}
