/** Numbers on the wire are exact: correctly rounded when read, and printed in the shortest form that reads back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHalf, readElements, roundTo, toBfloat16, toHalf, writeElements } from '../../src/wire/dtypes.ts'
import json from '../../src/wire/json/index.ts'
import { printFloat32 } from '../../src/wire/json/print-floats.ts'
import { JsonReader } from '../../src/wire/json/reader.ts'

const LIMITS = { maxElements: 100_000, maxTensors: 32 }
const parse = (text: string) => new JsonReader(Buffer.from(text)).value()

describe('the JSON reader', () => {
  it('agrees with JSON.parse on every value', () => {
    const property = fc.property(fc.json({ noUnicodeString: false }), (text) => {
      if (/__proto__|constructor|prototype/.test(text)) return
      expect(parse(text)).toEqual(JSON.parse(text))
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('reads every notation of a number as the nearest double', () => {
    const digits = fc.stringMatching(/^(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][+-]?\d{1,3})?$/)
    const property = fc.property(digits, fc.boolean(), (text, negative) => {
      const spelled = negative ? `-${text}` : text
      expect(parse(spelled)).toBe(Number(spelled))
    })
    fc.assert(property, { numRuns: 5000 })
  })

  describe('in a row reads many digits', () => {
    const row = (texts: readonly string[], describe: (list: string) => string = (list) => list) => {
      const list = `[${[...texts, ...new Array(20).fill('0')].join(', ')}]`
      const { tensors } = json.decode(Buffer.from(`{"x": ${describe(list)}}`), LIMITS)
      return [...tensors.get('x')!.data].slice(0, texts.length)
    }
    const word = new DataView(new ArrayBuffer(8))
    const fromBits = (bits: number) => {
      word.setUint32(0, bits)
      return word.getFloat32(0)
    }
    const neighbour = (x: number, by: bigint) => {
      word.setFloat64(0, x)
      word.setBigInt64(0, word.getBigInt64(0) + by)
      return word.getFloat64(0)
    }
    /** Positive, finite, up to 2^24: larger integers stay doubles. */
    const float = fc.integer({ min: 1, max: 0x4b7fffff }).map(fromBits)

    it('as the float32 nearest to their nearest double, even next to ties', () => {
      const texts = fc.tuple(float, fc.integer({ min: -3, max: 3 }), fc.boolean()).map(([x, by, minus]) => {
        const middle = (x + fromBits(new Uint32Array(Float32Array.of(x).buffer)[0]! + 1)) / 2
        const near = neighbour(middle, BigInt(by))
        const exact = near > 1e-5 ? near.toFixed(24) : near.toExponential(30)
        return [String(x), String(near), near.toPrecision(17), exact].map((text) =>
          minus ? `-${text}` : text,
        )
      })
      const property = fc.property(texts, (list) => {
        expect(row(list)).toEqual(list.map((text) => Math.fround(Number(text))))
      })
      fc.assert(property, { numRuns: 5000 })
    })

    it('in every notation', () => {
      const text = fc.stringMatching(/^-?(0|[1-9]\d{0,7})\.\d{9,40}([eE]-?\d{1,2})?$/)
      const property = fc.property(fc.array(text, { minLength: 1, maxLength: 20 }), (list) => {
        const read = list.filter((one) => Math.abs(Number(one)) <= 2 ** 24)
        expect(row(read)).toEqual(read.map((one) => Math.fround(Number(one))))
      })
      fc.assert(property, { numRuns: 5000 })
    })

    it('as doubles if the dtype is float64, before or after the data', () => {
      const texts = [
        '0.10000000149011612',
        '1.2345678901234567e-30',
        '16777217.000000001234',
        '-0.30000000000000004',
      ]
      for (const spell of [
        (list: string) => `{"dtype": "float64", "data": ${list}}`,
        (list: string) => `{"data": ${list}, "dtype": "float64"}`,
      ])
        expect(row(texts, spell)).toEqual(texts.map(Number))
    })

    it('without rounding labels that float32 cannot represent', () => {
      expect(row(['16777217.00000000000', '16777219.0000000000'])).toEqual([16777217, 16777219])
      expect(row(['16777217', '0.99999999990000000000'])).toEqual([16777217, 0.9999999999])
    })
  })

  it('accepts whitespace wherever JSON allows it', () => {
    const { tensors } = json.decode(
      Buffer.from(' {\n"predictions" : [ [ 1 , 2 ] ,\t[ 3 , 4 ] ]\r\n} '),
      LIMITS,
    )
    expect(tensors.get('predictions')).toMatchObject({ shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) })
  })

  it('keeps integers that float32 cannot represent, for labels', () => {
    const { tensors } = json.decode(Buffer.from('{"labels":[16777217,1]}'), LIMITS)
    expect(Array.from(tensors.get('labels')!.data)).toEqual([16777217, 1])
  })
})

describe('a printed float32', () => {
  const buffer = Buffer.alloc(64)
  const view = new DataView(new ArrayBuffer(4))
  const target = new DataView(buffer.buffer, buffer.byteOffset, buffer.length)
  const print = (x: number) => buffer.toString('latin1', 0, printFloat32(target, 0, x))
  const shortest = (x: number) => {
    for (let digits = 1; digits < 9; digits++)
      if (Math.fround(Number(x.toPrecision(digits))) === x) return String(Number(x.toPrecision(digits)))
    return String(Number(x.toPrecision(9)))
  }

  it('reads back to the same bits in the fewest digits, for random bits and every exponent', () => {
    for (let i = 0; i < 60_000; i++) {
      view.setUint32(0, i < 2048 ? i << 20 : (Math.imul(i, 2654435761) ^ (i << 7)) >>> 0)
      const x = view.getFloat32(0)
      if (!Number.isFinite(x)) continue
      const text = print(x)
      expect(Math.fround(Number(text)), text).toBe(x)
      if (text.length > shortest(x).length) expect.fail(`${text} for ${shortest(x)}`)
    }
  })

  it.each([
    [0.1, '0.1'],
    [-0, '-0'],
    [16777216, '16777216'],
    [1e21, '1e+21'],
    [1e-7, '1e-7'],
    [1.17549435e-38, '1.1754944e-38'],
    [1e-45, '1e-45'],
    [3.4028234663852886e38, '3.4028235e+38'],
  ])('of %d is %s', (x, text) => expect(print(Math.fround(x))).toBe(text))
})

describe('half precision', () => {
  it('survives the round trip in all 65536 patterns', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = fromHalf(bits)
      if (Number.isNaN(value)) expect(toHalf(value)).toBe(0x7e00)
      else expect(toHalf(value)).toBe(bits)
    }
  })

  it.each([
    [65519.99, 65504],
    [65520, Number.POSITIVE_INFINITY],
    [2 ** -25, 0],
    [2 ** -25 * 1.0001, 2 ** -24],
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [-1e-9, -0],
  ])('%d rounds to %d', (x, rounded) => expect(roundTo('float16', x)).toBe(rounded))

  it('bfloat16 rounds to nearest even and keeps NaN', () => {
    expect(roundTo('bfloat16', 1 + 2 ** -8)).toBe(1)
    expect(roundTo('bfloat16', 1 + 3 * 2 ** -8)).toBe(1 + 2 ** -6)
    expect(roundTo('bfloat16', 3.4028234663852886e38)).toBe(Number.POSITIVE_INFINITY)
    expect(toBfloat16(Number.NaN)).toBe(0x7fc0)
  })
})

describe('elements', () => {
  it.each(['float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool'] as const)(
    'of %s are read from any alignment',
    (dtype) => {
      const data =
        dtype === 'float64'
          ? Float64Array.of(1, 0)
          : dtype.includes('float')
            ? Float32Array.of(1, 0)
            : Int32Array.of(1, 0)
      for (const shift of [0, 1, 2, 3]) {
        const room = Buffer.alloc(64)
        const bytes = room.subarray(
          shift,
          shift +
            2 *
              { float64: 8, int64: 8, float32: 4, int32: 4, float16: 2, bfloat16: 2, uint8: 1, bool: 1 }[
                dtype
              ],
        )
        writeElements(dtype, data, bytes)
        expect(Array.from(readElements(dtype, bytes, 2))).toEqual([1, 0])
      }
    },
  )
})
