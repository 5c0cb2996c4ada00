/** Slices of the buffers of a record batch. What is not compressed is read as it is needed; what is compressed is kept. */
import { fromZstd } from '../../zstd.ts'
import type { FileBytes } from '../file-bytes.ts'
import { fromLz4 } from './lz4.ts'
import type { RecordBatch } from './messages.ts'

/** Of one compressed buffer: 8 million doubles in a record batch. */
const MOST_UNPACKED = 64 * 1024 * 1024

export class BatchBody {
  readonly #file: FileBytes
  readonly #body: number
  readonly #bodyLength: number
  readonly #batch: RecordBatch
  readonly #unpacked = new Map<number, Buffer>()

  constructor(
    file: FileBytes,
    { body, bodyLength }: { body: number; bodyLength: number },
    batch: RecordBatch,
  ) {
    this.#file = file
    this.#body = body
    this.#bodyLength = bodyLength
    this.#batch = batch
  }

  /** Whether a buffer is there: without nulls there may be none that says so. */
  has(buffer: number): boolean {
    return (this.#batch.buffers[buffer]?.[1] ?? 0) > 0
  }

  /** @throws Error if the buffer is shorter */
  slice(buffer: number, from: number, length: number): Buffer {
    const place = this.#batch.buffers[buffer]
    if (place === undefined) throw new Error('a record batch has fewer buffers than its schema needs')
    const [offset, size] = place
    if (offset < 0 || size < 0 || offset + size > this.#bodyLength)
      throw new Error('a buffer lies outside of its record batch')
    if (this.#batch.compression === undefined) {
      if (from + length > size) throw shortBuffer()
      return this.#file.read(this.#body + offset + from, length)
    }
    const whole = this.#whole(buffer, this.#body + offset, size)
    if (from + length > whole.length) throw shortBuffer()
    // A copy, because typed arrays need aligned bytes.
    const copy = Buffer.allocUnsafeSlow(length)
    whole.copy(copy, 0, from, from + length)
    return copy
  }

  #whole(buffer: number, at: number, size: number): Buffer {
    const known = this.#unpacked.get(buffer)
    if (known !== undefined) return known
    if (size < 8) throw shortBuffer()
    const length = Number(this.#file.read(at, 8).readBigInt64LE())
    if (Math.max(length, size) > MOST_UNPACKED)
      throw new Error(
        `a compressed buffer of a record batch has ${Math.max(length, size)} bytes, more than ${MOST_UNPACKED}; write smaller record batches`,
      )
    const bytes = this.#file.read(at + 8, size - 8)
    const whole = length < 0 ? bytes : unpack(this.#batch.compression!, bytes, length)
    this.#unpacked.set(buffer, whole)
    return whole
  }
}

function shortBuffer() {
  return new Error('a buffer is shorter than its record batch needs')
}

function unpack(codec: 'lz4' | 'zstd', bytes: Buffer, length: number): Buffer {
  if (codec === 'lz4') return fromLz4(bytes, length)
  const whole = Buffer.alloc(length)
  fromZstd(bytes, whole)
  return whole
}
