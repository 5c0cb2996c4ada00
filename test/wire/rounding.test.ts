/** Rounding to 16 bits against a reference that tries every neighbor, and the float printer against toPrecision. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dtype } from '../../src/tensor.ts'
import { fromHalf, readElements, roundTo, toBfloat16, writeElements } from '../../src/wire/dtypes.ts'
import { printFloat32 } from '../../src/wire/json/print-floats.ts'
import { depth } from '../support/depth.ts'

const valuesOf = (dtype: Dtype) => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i)
  return readElements(dtype, new Uint8Array(bits.buffer), 65536)
}

describe.each(['float16', 'bfloat16'] as const)('%s', (dtype) => {
  const finite = [...valuesOf(dtype)].filter(Number.isFinite)
  const sorted = Float64Array.from(new Set(finite.map((x) => x + 0))).sort()
  const largest = sorted.at(-1)!
  const step = largest - sorted.at(-2)!

  /** The nearest one; ties go to the one whose last bit is 0. */
  const reference = (x: number) => {
    if (Math.abs(x) >= largest + step / 2) return Math.sign(x) * Number.POSITIVE_INFINITY
    let [low, high] = [0, sorted.length - 1]
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (sorted[middle]! <= x) low = middle
      else high = middle
    }
    const [a, b] = [sorted[low]!, sorted[high]!]
    if (x - a !== b - x) return x - a < b - x ? a : b
    return isEven(a) ? a : b
  }
  const isEven = (x: number) => {
    const bytes = new Uint8Array(2)
    writeElements(dtype, Float64Array.of(x), bytes)
    return bytes[0]! % 2 === 0
  }

  it('rounds to nearest even, even from doubles', () => {
    const near = fc.tuple(
      fc.nat(sorted.length - 2),
      fc.constantFrom(0, 0.25, 0.5, 0.5 - 2 ** -30, 0.5 + 2 ** -30, 1),
    )
    const property = fc.property(near, ([place, part]) => {
      const x = sorted[place]! + (sorted[place + 1]! - sorted[place]!) * part
      expect(roundTo(dtype, x) + 0).toBe(reference(x) + 0)
    })
    fc.assert(property, { numRuns: 3000 })
  })

  it('overflows to infinity and keeps NaN', () => {
    expect(roundTo(dtype, largest + step * 0.4999)).toBe(largest)
    expect(roundTo(dtype, -(largest + step / 2))).toBe(Number.NEGATIVE_INFINITY)
    expect(roundTo(dtype, Number.NEGATIVE_INFINITY)).toBe(Number.NEGATIVE_INFINITY)
    expect(roundTo(dtype, Number.NaN)).toBeNaN()
    expect(roundTo(dtype, -0)).toBe(-0)
  })

  it('writes back every one of the 65536 patterns', () => {
    const values = valuesOf(dtype)
    const bytes = new Uint8Array(131072)
    writeElements(dtype, values, bytes)
    const wrong = [...new Uint16Array(bytes.buffer)].filter(
      (bits, i) => bits !== i && !Number.isNaN(values[i]),
    )
    expect(wrong).toEqual([])
  })
})

it('bfloat16 is the upper half of a float32', () => {
  const word = new DataView(new ArrayBuffer(4))
  for (let bits = 0; bits < 65536; bits += 7) {
    word.setUint32(0, bits << 16)
    const value = word.getFloat32(0)
    if (!Number.isNaN(value)) expect(toBfloat16(value)).toBe(bits)
  }
  expect(fromHalf(1)).toBe(2 ** -24)
})

describe('a float32 is printed in its shortest and closest form', () => {
  const buffer = Buffer.alloc(64)
  const target = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  const word = new DataView(new ArrayBuffer(4))
  const readsBack = (text: string, x: number) => Math.fround(Number(text)) === x

  /**
   * The nearest decimal with the fewest digits. Just above a power of two, the nearest may not read back, but the
   * next one does.
   */
  const reference = (x: number) => {
    for (let digits = 1; digits < 9; digits++) {
      const nearest = x.toExponential(digits - 1)
      const [mantissa, exponent] = nearest.split('e')
      const further = [-1, 1].map(
        (step) => `${Number(mantissa!.replace('.', '')) + step}e${Number(exponent) - digits + 1}`,
      )
      const short = [nearest, ...further].find((text) => readsBack(text, x))
      if (short !== undefined) return String(Number(short))
    }
    return String(Number(x.toPrecision(9)))
  }
  const check = (bits: number) => {
    word.setUint32(0, bits)
    const x = word.getFloat32(0)
    if (!Number.isFinite(x) || x === 0) return
    const text = buffer.toString('latin1', 0, printFloat32(target, 0, x))
    if (!readsBack(text, x)) expect.fail(`${text} does not read back to ${x}`)
    if (text !== reference(x)) expect.fail(`${text} for ${reference(x)}`)
  }
  const bitsOf = (x: number) => {
    word.setFloat32(0, x)
    return word.getUint32(0)
  }

  it('for powers of two and their neighbors, at every exponent', () => {
    for (let exponent = 0; exponent < 255; exponent++) {
      for (const offset of [-2, -1, 0, 1, 2, 0x400000]) check(((exponent << 23) + offset) >>> 0)
    }
  })

  it('if the nearest decimal is below a power of two', () => {
    expect(reference(2 ** -96)).toBe('1.2621775e-29')
    for (const power of [2 ** -96, 2 ** 87, 2 ** 90]) check(bitsOf(power))
  })

  it('for powers of ten and their neighbors', () => {
    for (let n = -44; n <= 38; n++) {
      const bits = bitsOf(Number(`1e${n}`))
      for (let offset = -50; offset <= 50; offset++) check((bits + offset) >>> 0)
    }
  })

  it('for all numbers of half precision', () => {
    for (let bits = 0; bits < 65536; bits++) {
      check(bitsOf(fromHalf(bits)))
      check((bits << 16) >>> 0)
    }
  })

  it('for integers, and short and long fractions, which are ties or at boundaries', () => {
    for (let n = 1; n < depth(5000, 20_000); n++) {
      check(bitsOf(n))
      check(bitsOf(n * 839))
      check(bitsOf(n * 83_886))
      check(bitsOf(n / 1000))
      check(bitsOf(n / 1024))
      for (const scale of [4, 8, 16, 64]) check(bitsOf(2 ** 23 / scale + n / scale))
    }
  })

  it('for all subnormals with few bits, and many others', () => {
    for (let bits = 1; bits < 2 ** 23; bits += bits < 3000 ? 1 : 991) check(bits)
  })

  it('for random bit patterns, including negative numbers', () => {
    let state = 12345
    for (let i = 0; i < depth(30_000, 100_000); i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      check((state ^ (i << 3)) >>> 0)
    }
  })

  it('for all patterns that fast-check tries', () => {
    fc.assert(fc.property(fc.nat(2 ** 32 - 1), check), { numRuns: 5000 })
  })
})
