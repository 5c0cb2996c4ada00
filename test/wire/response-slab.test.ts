/** The slab allocator never lends memory twice, and reuses what was released. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { allocate, releaseChunks } from '../../src/wire/response-slab.ts'

/** The bytes that an allocation may write. */
function partOf(length: number): Buffer {
  const { bytes, floats, start } = allocate(length)
  expect(start % 8).toBe(0)
  expect(floats.buffer).toBe(bytes.buffer)
  expect(bytes.length).toBeGreaterThanOrEqual(start + length)
  return bytes.subarray(start, start + length)
}

it('borrowed memory is never lent twice, whatever is released in between', () => {
  const length = fc.oneof(
    fc.integer({ min: 0, max: 20_000 }),
    fc.constantFrom(16_384, 16_385, 65_536, 2 ** 20, 2 ** 20 + 1),
  )
  const step = fc.record({ length, comesBack: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const out: { part: Buffer; mark: number }[] = []
      steps.forEach(({ length: wanted, comesBack }, mark) => {
        out.push({ part: partOf(wanted).fill(mark), mark })
        if (comesBack % 3 === 0) releaseChunks([out.splice(comesBack % out.length, 1)[0]!.part])
      })
      for (const { part, mark } of out) expect(part.every((byte) => byte === mark)).toBe(true)
    }),
  )
})

it('a large slab that was released is the next one of its size', () => {
  const first = partOf(50_000)
  releaseChunks([first])
  expect(partOf(40_000).buffer).toBe(first.buffer)
})

it('memory that is released twice is lent once', () => {
  const first = partOf(100_000)
  releaseChunks([first, first])
  releaseChunks([first])
  const [second, third] = [partOf(100_000), partOf(100_000)]
  expect(second.buffer).toBe(first.buffer)
  expect(third.buffer).not.toBe(first.buffer)
})

it('foreign memory is ignored', () => {
  const foreign = Buffer.alloc(65_536)
  releaseChunks([foreign])
  expect(partOf(65_536).buffer).not.toBe(foreign.buffer)
})
