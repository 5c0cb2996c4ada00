/** Message framing: messages arrive intact, however the pipe splits them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameReader, frameOf, pack, unpack } from '../../../src/engines/remote/frames.ts'

const numbers = fc.oneof(
  fc.array(fc.float()).map((data) => Float32Array.from(data)),
  fc.array(fc.double()).map((data) => Float64Array.from(data)),
  fc.array(fc.integer()).map((data) => Int32Array.from(data)),
)
const plain = fc.oneof(fc.double(), fc.string(), fc.boolean(), fc.constant(undefined), fc.constant(null))
const message = fc.dictionary(
  fc.string().filter((name) => name !== '__proto__' && name !== '$array'),
  fc.oneof(plain, numbers, fc.array(numbers), fc.dictionary(fc.constantFrom('a', 'b'), numbers)),
)

function encodeFrame(one: unknown): Uint8Array[] {
  const { rest, pieces, bytes } = pack(one)
  return frameOf(rest, pieces, bytes)
}

/** The messages that a reader gets from these bytes, delivered in chunks of this size. */
function heard(bytes: Uint8Array, size: number): unknown[] {
  const found: unknown[] = []
  const reader = new FrameReader((rest, payload) => found.push(unpack(rest, payload)))
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
  return found
}

describe('a frame', () => {
  it('arrives intact, even if several come in one chunk or one comes in many', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), fc.integer({ min: 1, max: 64 }), (messages, size) => {
        const bytes = Buffer.concat(messages.flatMap(encodeFrame))
        expect(heard(bytes, size)).toEqual(messages)
        expect(heard(bytes, Math.max(bytes.length, 1))).toEqual(messages)
      }),
    )
  })

  it('does not copy the arrays that it sends', () => {
    const values = Float32Array.of(1, 2, 3, 4)
    expect(encodeFrame({ values }).some(({ buffer }) => buffer === values.buffer)).toBe(true)
  })

  it('sends only the part of the memory that an array covers', () => {
    const values = Float32Array.of(1, 2, 3, 4).subarray(1, 3)
    const bytes = Buffer.concat(encodeFrame({ values }))
    expect(heard(bytes, bytes.length)).toEqual([{ values: Float32Array.of(2, 3) }])
  })
})
