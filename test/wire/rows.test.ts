/** The fast path of the JSON parser for rows of numbers agrees with the slow path and JSON.parse. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import json from '../../src/wire/json/index.ts'

const LIMITS = { maxElements: 5000, maxTensors: 4 }
/** The fast path stops before the end of the body, so whitespace at the end lets it read all numbers. */
const ROOM = ' '.repeat(64)

function outcome(text: string) {
  try {
    const { tensors, options } = json.decode(Buffer.from(text), LIMITS)
    return { tensors, options }
  } catch (error) {
    if (error instanceof Problem)
      return { code: error.code, message: error.message, errors: error.options.errors }
    throw error
  }
}

const numberText = fc.oneof(
  fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.integer().map(String),
  fc.nat(9).map(String),
  fc.stringMatching(/^-?(0|[1-9]\d{0,25})(\.\d{1,25})?([eE][+-]?\d{1,2})?$/),
  fc.constantFrom('-0', '0.0', '-0.0e5', '0e99', '9007199254740993', '0.30000001192092896', '1E-7', '1e+7'),
)
const otherText = fc.constantFrom(
  ...[
    '"NaN"',
    '"-Infinity"',
    '1e999',
    '-1e999',
    '[1]',
    '[]',
    'null',
    '01',
    '-',
    '1.',
    '.5',
    '1e',
    '+1',
    ' 5',
    '"5"',
  ],
  ...[
    '--1',
    '1.5.2',
    '1e5.5',
    '',
    '!5',
    '0x1',
    '1\u00e9',
    '2e39',
    '16777217',
    '1'.repeat(40),
    `0.${'0'.repeat(40)}1`,
  ],
)
const comma = fc.constantFrom(',', ', ', ' , ', ',\n  ')

const rowsOf = (element: fc.Arbitrary<string>) =>
  fc
    .tuple(
      fc.array(fc.array(element, { minLength: 3, maxLength: 3 }), { minLength: 1, maxLength: 12 }),
      comma,
    )
    .map(([rows, separator]) => `[${rows.map((row) => `[${row.join(separator)}]`).join(separator)}]`)

describe('a row of numbers', () => {
  it('equals JSON.parse, rounded once', () => {
    const property = fc.property(rowsOf(numberText), (text) => {
      const expected = (JSON.parse(text) as number[][]).flat()
      fc.pre(expected.every((x) => Number.isFinite(Math.fround(x))))
      const x = json.decode(
        Buffer.from(`{"x":${text},"y":{"dtype":"float64","data":${text}}}${ROOM}`),
        LIMITS,
      )
      expect(x.tensors.get('y')).toMatchObject({ shape: [expected.length / 3, 3] })
      expect(x.tensors.get('y')!.data).toEqual(Float64Array.from(expected))
      const { data } = x.tensors.get('x')!
      expect(Float32Array.from(data)).toEqual(Float32Array.from(expected))
      const isBlurred = expected.some(
        (x) => Number.isInteger(x) && Math.abs(x) > 2 ** 24 && Math.abs(x) <= 2 ** 53,
      )
      expect(data).toBeInstanceOf(isBlurred ? Float64Array : Float32Array)
    })
    fc.assert(property, { numRuns: 2000 })
  })

  it('ends in the same way on the fast and the slow path, whatever it contains', () => {
    const text = rowsOf(fc.oneof({ weight: 12, arbitrary: numberText }, { weight: 1, arbitrary: otherText }))
    const property = fc.property(
      text,
      fc.nat(),
      fc.constantFrom('', ',', ']', '[', '"', '5', '-'),
      (rows, at, put) => {
        const place = at % rows.length
        for (const changed of [rows, rows.slice(0, place) + put + rows.slice(place + 1)]) {
          const body = `{"x":${changed}}`
          // A short body is too close to its end for the fast path.
          expect(outcome(body + ROOM)).toEqual(outcome(body))
        }
      },
    )
    fc.assert(property, { numRuns: 4000 })
  })

  it('is correct for any number of digits before and after the point', () => {
    for (let whole = 1; whole < 24; whole++) {
      for (let places = 0; places < 28; places++) {
        const digits = '9182736450918273645091827364'
        const fraction = places === 0 ? '' : `.${digits.slice(0, places)}`
        for (const text of [`${digits.slice(0, whole)}${fraction}`, `-0${fraction}`]) {
          const { tensors } = json.decode(
            Buffer.from(`{"x":{"dtype":"float64","data":[0,${text},1]}}${ROOM}`),
            LIMITS,
          )
          expect([...tensors.get('x')!.data], text).toEqual([0, Number(text), 1])
        }
      }
    }
  })

  it('is correct for more digits than a double has, even next to ties', () => {
    const double = fc.bigInt({ min: 2n ** 52n, max: 2n ** 53n - 1n })
    const property = fc.property(double, fc.nat(69), fc.nat(22), fc.nat(4), (bits, shift, places, beside) => {
      const middle = ((2n * bits + 1n) * 10n ** BigInt(places)) >> BigInt(shift)
      const near = middle + BigInt(beside) - 2n
      const digits = String(near < 0n ? -near : near).padStart(places + 1, '0')
      const text = `${digits.slice(0, digits.length - places)}.${digits.slice(digits.length - places)}0`
      const { tensors } = json.decode(
        Buffer.from(`{"x":{"dtype":"float64","data":[0,${text},1]}}${ROOM}`),
        LIMITS,
      )
      expect([...tensors.get('x')!.data], text).toEqual([0, Number(text), 1])
    })
    fc.assert(property, { numRuns: 3000 })
  })

  it.each([
    ['[[1,2],[3,4],[5]]', 'shape-mismatch /x/2: row 2 has 1 element, expected 2'],
    ['[[1,2],[3,4],[5,6,7]]', 'shape-mismatch /x/2: row 2 has 3 elements, expected 2'],
    ['[[1,2],[3,4],5]', 'shape-mismatch /x/2: is a number among lists'],
    ['[[1,2],[3,4],[[5,6]]]', 'shape-mismatch /x/2/0: is a list among numbers'],
    ['[[1,2],[3,4],[5,1e999]]', 'non-finite-input /x/2/1: is too large even for float64'],
    ['[[1,2],[3,4],[5,null]]', 'invalid-value /x/2/1: must be a number, got null'],
    ['[[[1],[2]],[[3],[4]],[[5],[6],[7]]]', 'shape-mismatch /x/2: row 2 has 3 elements, expected 2'],
    ['[[1,2],[3,4],[5,6],]', 'malformed-json at byte 24: expected a value'],
    ['[[1,2],[3,4],[5,6,]]', 'malformed-json at byte 23: expected a value'],
    ['[[1,2],[3,4],[5 6]]', 'malformed-json at byte 21: expected , or ]'],
    ['[[1,2],[3,4][5,6]]', 'malformed-json at byte 17: expected , or ]'],
  ])('is rejected in %s: %s', (text, problem) => {
    const { code, message } = outcome(`{"x":${text}}${ROOM}`)
    expect(`${code} ${message}`).toBe(problem)
  })

  it('may be one of many: the buffer grows to the size of the body', () => {
    for (const width of [1, 3, 64, 65, 1000]) {
      const rows = Array.from({ length: Math.floor(5000 / width) }, (_, row) =>
        Array.from({ length: width }, (_, i) => (row * width + i) / (i % 3 === 0 ? 1 : 7)),
      )
      const { tensors } = json.decode(Buffer.from(JSON.stringify({ x: rows })), LIMITS)
      expect(tensors.get('x')!.shape).toEqual([rows.length, width])
      expect(tensors.get('x')!.data).toEqual(Float32Array.from(rows.flat()))
    }
    expect(outcome(`{"x":[${'1,'.repeat(5000)}1]}`).code).toBe('payload-too-large')
  })
})
