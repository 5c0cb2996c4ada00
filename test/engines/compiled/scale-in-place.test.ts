/** In-place scaling of gradients: the same bits as a loop, and non-finite numbers are detected. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Arena } from '../../../src/engines/compiled/arena.ts'
import { scaleInPlace } from '../../../src/engines/compiled/scale-in-place.ts'
import { bitsOf } from '../../support/close.ts'

const arena = new Arena()
/** Larger than any run needs, so that writes beyond it are detected. */
const ROOM = 64

/** A part of the arena with these numbers, surrounded by ones. */
function placed(numbers: readonly number[], start: number, view: 'floats' | 'doubles' = 'floats') {
  arena[view].fill(1, 0, ROOM)
  arena[view].set(numbers, start)
  return arena[view].subarray(start, start + numbers.length)
}

const numbers = fc.array(fc.float(), { maxLength: 40 })
const start = fc.integer({ min: 0, max: 8 })

it('equals a float32 loop for any length and offset, and changes nothing else', () => {
  fc.assert(
    fc.property(numbers, start, fc.float(), (given, at, factor) => {
      const data = placed(given, at)
      const want = Float32Array.from(given, (x) => x * factor)
      const sound = scaleInPlace(arena, data, factor)
      expect(bitsOf(data)).toBe(bitsOf(want))
      expect(sound).toBe(want.every(Number.isFinite))
      const beside = [...arena.floats.subarray(0, at), ...arena.floats.subarray(at + given.length, ROOM)]
      expect(beside.every((x) => x === 1)).toBe(true)
    }),
    { numRuns: 500 },
  )
})

it('equals a float64 loop, too', () => {
  fc.assert(
    fc.property(fc.array(fc.double(), { maxLength: 40 }), start, fc.double(), (given, at, factor) => {
      const data = placed(given, at, 'doubles')
      const want = Float64Array.from(given, (x) => x * factor)
      const sound = scaleInPlace(arena, data, factor)
      expect(bitsOf(data)).toBe(bitsOf(want))
      expect(sound).toBe(want.every(Number.isFinite))
      const beside = [...arena.doubles.subarray(0, at), ...arena.doubles.subarray(at + given.length, ROOM)]
      expect(beside.every((x) => x === 1)).toBe(true)
    }),
    { numRuns: 500 },
  )
})

it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
  'detects %d at every position',
  (wrong) => {
    for (let place = 0; place < 11; place++) {
      const data = placed(
        Array.from({ length: 11 }, (_, i) => (i === place ? wrong : -3)),
        3,
      )
      expect(scaleInPlace(arena, data, 0.5)).toBe(false)
      const wide = placed(
        Array.from({ length: 11 }, (_, i) => (i === place ? wrong : -3)),
        3,
        'doubles',
      )
      expect(scaleInPlace(arena, wide, 0.5)).toBe(false)
    }
  },
)

it('detects an overflow caused by the scaling', () => {
  expect(scaleInPlace(arena, placed([1, 2, 3e38, 4], 0), 2)).toBe(false)
  expect(scaleInPlace(arena, placed([1, 2, 3e38, 4], 0), 0.5)).toBe(true)
})
