/** JSON bodies: what they may contain, and which problem reports which place otherwise. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import type { Dtype } from '../../src/tensor.ts'
import type { Answer, AnswerTensor } from '../../src/wire/define.ts'
import json from '../../src/wire/json/index.ts'
import { thrownBy } from '../support/thrown.ts'

const LIMITS = { maxElements: 10_000, maxTensors: 4 }
const decode = (text: string | Uint8Array) => json.decode(Buffer.from(text), LIMITS)
const tensor = (text: string) => decode(`{"x":${text}}`).tensors.get('x')

const problemOf = (text: string | Uint8Array) => thrownBy(Problem, () => decode(text))

/** Code and pointer of the error in x. */
const wrong = (text: string) => {
  const { code, options } = problemOf(`{"x":${text}}`)
  return `${code} ${options.errors?.[0]?.pointer ?? ''}`.trim()
}

describe('a bare array', () => {
  it.each([
    ['[]', [0], []],
    ['[[],[]]', [2, 0], []],
    ['[[[]]]', [1, 1, 0], []],
    ['3', [], [3]],
    ['-0', [], [-0]],
    ['"NaN"', [], [Number.NaN]],
    ['[[1,2],[3,4]]', [2, 2], [1, 2, 3, 4]],
    ['["Infinity","-Infinity",0.5]', [3], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.5]],
    ['[[[[[[[[7]]]]]]]]', [1, 1, 1, 1, 1, 1, 1, 1], [7]],
  ])('%s has a shape', (text, shape, numbers) => {
    expect(tensor(text)).toMatchObject({ shape, dtype: 'float32', encoding: 'nested', typed: false })
    expect([...tensor(text)!.data]).toEqual(numbers)
  })

  it('is float32, except if integers would be rounded', () => {
    expect(tensor('[0.1,16777216]')!.data).toEqual(Float32Array.of(0.1, 16777216))
    expect(tensor('[16777217]')!.data).toEqual(Float64Array.of(16777217))
    expect(tensor('[3.4e38]')!.data).toBeInstanceOf(Float32Array)
  })

  it.each([
    ['[[1,2],[3]]', 'shape-mismatch /x/1'],
    ['[[1,2],[]]', 'shape-mismatch /x/1'],
    ['[[],[1]]', 'shape-mismatch /x/1'],
    ['[1,[2]]', 'shape-mismatch /x/1'],
    ['[[1],2]', 'shape-mismatch /x/1'],
    ['[[[1,2]],[[3]]]', 'shape-mismatch /x/1/0'],
    ['[[[[[[[[[7]]]]]]]]]', 'shape-mismatch /x'],
    ['[[1,2,"1"]]', 'invalid-value /x/0/2'],
    ['[1,true]', 'invalid-value /x/1'],
    ['[null]', 'invalid-value /x/0'],
    ['[1,{"a":1}]', 'invalid-value /x/1'],
    ['["nan"]', 'invalid-value /x/0'],
    ['[[0,1e999]]', 'non-finite-input /x/0/1'],
    ['1e999', 'non-finite-input /x'],
    ['-1e999', 'non-finite-input /x'],
    ['[0,[1e39]]', 'shape-mismatch /x/1'],
    ['[[0],[1e39]]', 'non-finite-input /x/1/0'],
  ])('%s is rejected: %s', (text, problem) => expect(wrong(text)).toBe(problem))

  it('reports which row is ragged, and what was expected', () => {
    expect(problemOf('{"predictions":[[1,2],[3]]}').message).toBe(
      '/predictions/1: row 1 has 1 element, expected 2',
    )
  })
})

const BYTES_OF_ONE = Buffer.from(Float32Array.of(1).buffer).toString('base64')

describe('an object with data', () => {
  it.each([
    ['{"data":[[1,2]]}', { shape: [1, 2], dtype: 'float32', typed: false, encoding: 'flat' }],
    ['{"shape":[2,1],"data":[1,2]}', { shape: [2, 1], typed: false }],
    ['{"shape":[],"dtype":"float64","data":0.1}', { data: Float64Array.of(0.1), typed: true }],
    ['{"shape":[0,9007199254740991],"data":[]}', { shape: [0, 9007199254740991] }],
    ['{"dtype":"float16","data":[0.1]}', { data: Float32Array.of(0.0999755859375) }],
    ['{"dtype":"int64","data":[-1]}', { dtype: 'int64', data: Int32Array.of(-1) }],
    ['{"shape":[0,3],"dtype":"bool","data":[]}', { shape: [0, 3], data: new Int32Array(0) }],
    [`{"shape":[1],"dtype":"float32","data":"${BYTES_OF_ONE}"}`, { encoding: 'base64', typed: true }],
    [`{"data":"${BYTES_OF_ONE.replace(/=+$/, '')}","dtype":"float32","shape":[1]}`, { encoding: 'base64' }],
  ])('%s is a tensor', (text, expected) => expect(tensor(text)).toMatchObject(expected))

  it.each([
    ['{"shape":[3],"data":[1,2]}', 'shape-mismatch /x/data'],
    ['{"shape":[4],"data":[[1,2],[3,4]]}', 'shape-mismatch /x/data'],
    ['{"shape":[-1,-6],"data":[1,2,3,4,5,6]}', 'shape-mismatch /x/shape'],
    ['{"shape":[1.5],"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":["1"],"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":[null],"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":[1e300],"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":[-0],"data":[]}', 'shape-mismatch /x/shape'],
    ['{"shape":1,"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":[1,1,1,1,1,1,1,1,1],"data":[1]}', 'shape-mismatch /x/shape'],
    ['{"shape":[65536,65536],"data":[]}', 'shape-overflow /x/shape'],
    ['{"shape":[4194305,4194305,211106198978564],"data":[1,2,3,4]}', 'shape-overflow /x/shape'],
    ['{"dtype":"flaot32","data":[1]}', 'dtype-unsupported /x/dtype'],
    ['{"dtype":null,"data":[1]}', 'dtype-unsupported /x/dtype'],
    ['{"dtype":"int32","data":[[0,0.5]]}', 'invalid-value /x/data/0/1'],
    ['{"dtype":"int64","data":[2147483648]}', 'invalid-value /x/data/0'],
    ['{"dtype":"uint8","data":[0,256]}', 'invalid-value /x/data/1'],
    ['{"dtype":"bool","data":[2]}', 'invalid-value /x/data/0'],
    ['{"dtype":"int32","data":["NaN"]}', 'invalid-value /x/data/0'],
    ['{"dtype":"float32","data":[1e39]}', 'non-finite-input /x/data/0'],
    ['{"dtype":"float16","data":[0,65520]}', 'non-finite-input /x/data/1'],
    ['{"data":[1e39]}', 'non-finite-input /x/data/0'],
    ['{"data":[1],"shpae":[1]}', 'unknown-name /x/shpae'],
    ['{"data":true}', 'invalid-value /x/data'],
    ['{"shape":[2],"dtype":"float32"}', 'missing-input /x/data'],
    [`{"data":"${BYTES_OF_ONE}"}`, 'missing-input /x'],
    [`{"shape":[2],"dtype":"float32","data":"${BYTES_OF_ONE}"}`, 'shape-mismatch /x/data'],
    ['{"shape":[1],"dtype":"float32","data":"not base64"}', 'invalid-value /x/data'],
    ['{"shape":[1],"dtype":"bool","data":"Ag=="}', 'invalid-value /x/data'],
  ])('%s is rejected: %s', (text, problem) => expect(wrong(text)).toBe(problem))

  it('reports the number of bytes that were sent and expected', () => {
    const { message } = problemOf(`{"x":{"shape":[2],"dtype":"float32","data":"${BYTES_OF_ONE}"}}`)
    expect(message).toContain('has 4 bytes; float32 [2] needs 8')
  })

  it('escapes its name in pointers', () =>
    expect(problemOf('{"a/b~":[null]}').message).toMatch(/^\/a~1b~0\/0:/))
})

describe('options', () => {
  it('are plain values, like everything else without numbers, for the validation to reject', () => {
    const { options, tensors } = decode(
      '{"params":{"encoding":1,"delta":2},"gradients":["x"],"parms":{"delta":2},"y":null,"z":"text","e":{}}',
    )
    expect(tensors.size).toBe(0)
    expect(Object.fromEntries(options)).toEqual({
      params: { encoding: 1, delta: 2 },
      gradients: ['x'],
      parms: { delta: 2 },
      y: null,
      z: 'text',
      e: {},
    })
  })

  it('agree with JSON.parse for any value', () => {
    const property = fc.property(
      fc.jsonValue({ maxDepth: 4 }),
      fc.constantFrom(0, 1, '\t'),
      (value, indent) => {
        const text = JSON.stringify({ params: value }, null, indent)
        if (/__proto__|constructor|prototype/.test(text)) return
        expect(decode(text).options.get('params')).toEqual(JSON.parse(text).params)
      },
    )
    fc.assert(property, { numRuns: 300 })
  })

  it('cannot reach a prototype', () => {
    for (const key of ['__proto__', 'constructor', 'prototype', '__pro\\u0074o__']) {
      expect(problemOf(`{"params":{"${key}":{"polluted":1}}}`).code).toBe('malformed-json')
      expect(problemOf(`{"${key}":[1]}`).code).toBe('malformed-json')
      expect(problemOf(`{"x":{"${key}":1,"data":[1]}}`).code).toBe('malformed-json')
    }
    expect('polluted' in {}).toBe(false)
  })
})

describe('malformed bytes', () => {
  it.each([
    ['', 0],
    ['[1]', 0],
    ['{"x":[1,]}', 8],
    ['{"x":[1', 7],
    ['{"x":[1 2]}', 8],
    ['{"x":[NaN]}', 6],
    ['{"x":[-Infinity]}', 7],
    ['{"x":[01]}', 8],
    ['{"x":[.5]}', 6],
    ['{"x":[1.]}', 8],
    ['{"x":[1e]}', 8],
    ['{"x":[+1]}', 6],
    ['{"x":[0x1]}', 7],
    ['{"x":1,}', 7],
    ['{"x":1} {}', 8],
    ['{"x":1,"x":2}', 10],
    ['{"params":{"a":1,"a":2}}', 20],
    ["{'x':1}", 1],
    ['{"params":"a\u0000"}', 10],
  ])('%j are rejected at byte %d', (text, byte) => {
    const { code, message } = problemOf(text)
    expect(code).toBe('malformed-json')
    expect(message).toMatch(new RegExp(`^at byte ${byte}: expected `))
  })

  it('report what could have followed', () => {
    expect(problemOf('{"x":[1 2]}').message).toBe('at byte 8: expected , or ]')
    expect(problemOf('{"x":[1').message).toBe('at byte 7: expected , or ], found the end of the body')
  })

  it.each([
    ['[1,NaN]', 8, '"NaN", in quotes, got NaN'],
    ['NaN', 5, '"NaN", in quotes, got NaN'],
    ['[1, Infinity]', 9, '"Infinity", in quotes, got Infinity'],
    ['[[1],[-Infinity]]', 12, '"-Infinity", in quotes, got -Infinity'],
    ['[+Infinity]', 6, '"Infinity", in quotes, got +Infinity'],
    ['[nan]', 6, '"NaN", in quotes, got nan'],
    ['[-inf]', 7, '"-Infinity", in quotes, got -inf'],
    ['{"data":[NaN]}', 14, '"NaN", in quotes, got NaN'],
    ['True', 5, 'true, got True'],
    ['None', 5, 'null, got None'],
  ])('that other languages write this way get a hint: %s', (text, byte, expected) => {
    expect(problemOf(`{"x":${text}}`).message).toBe(`at byte ${byte}: expected ${expected}`)
  })

  it('include a byte order mark and invalid UTF-8', () => {
    expect(problemOf('\uFEFF{"x":1}').message).toContain('byte order mark')
    expect(problemOf(Buffer.from([...Buffer.from('{"'), 0xff, ...Buffer.from('":1}')])).code).toBe(
      'malformed-json',
    )
    expect(problemOf(Buffer.from('{"x":1}', 'utf16le')).code).toBe('malformed-json')
  })

  it('are not repeated in the problem', () => {
    expect(problemOf('{"x":[secret]}').message).not.toContain('secret')
  })
})

describe('a hostile body is rejected at once', () => {
  const deep = 250_000
  it.each([
    ['arrays', `{"x":${'['.repeat(deep)}`, 'malformed-json'],
    ['arrays in options', `{"params":${'['.repeat(deep)}`, 'malformed-json'],
    ['objects', `{"params":${'{"a":'.repeat(deep)}`, 'malformed-json'],
    ['objects in data', `{"x":{"data":${'{"data":'.repeat(deep)}`, 'malformed-json'],
    ['many tensors', `{${Array.from({ length: deep }, (_, i) => `"x${i}":[1]`)}}`, 'payload-too-large'],
    [
      'many unknown names',
      `{${Array.from({ length: deep }, (_, i) => `"x${i}":null`)}}`,
      'payload-too-large',
    ],
    ['many numbers', `{"x":[${'1,'.repeat(deep)}1]}`, 'payload-too-large'],
    [
      'many numbers in two tensors',
      `{"x":[${'1,'.repeat(6000)}1],"y":[${'1,'.repeat(6000)}1]}`,
      'payload-too-large',
    ],
    ['padding', `{"x":{"shape":[1],"dtype":"bool","data":"${'='.repeat(deep)}x"}}`, 'invalid-value'],
    ['zeros with exponents', `{"x":[${'0e99999999,'.repeat(5000)}null]}`, 'invalid-value'],
  ])('%s', (_, text, code) => {
    const started = performance.now()
    expect(problemOf(text).code).toBe(code)
    expect(performance.now() - started).toBeLessThan(500)
  })

  it('except that 0e99999999 is just zero', () =>
    expect(tensor('[0e99999999,-0e-99999999]')!.data).toEqual(Float32Array.of(0, -0)))

  it('too many numbers get a hint to use safetensors', () => {
    expect(problemOf(`{"x":[${'1,'.repeat(20_000)}1]}`).message).toContain('application/x-safetensors')
  })
})

describe('a response', () => {
  const write = (gradient: Partial<AnswerTensor>, members: Answer['members'] = {}) => {
    const loss: AnswerTensor = { dtype: 'float32', shape: [], data: Float32Array.of(0.1), encoding: 'nested' }
    const gradients = new Map(gradient.data === undefined ? [] : [['x', { ...loss, ...gradient }]])
    return Buffer.concat(json.encode({ loss, gradients, members })).toString()
  }

  it('contains loss, gradients and members, in this order', () => {
    expect(write({ shape: [2], data: Float32Array.of(0.1, -0) }, { count: 2, finite: true })).toBe(
      '{"loss":0.1,"gradients":{"x":[0.1,-0]},"count":2,"finite":true}',
    )
    expect(write({}, { denominator: Number.NaN })).toBe('{"loss":0.1,"denominator":"NaN"}')
  })

  it.each([
    [{ shape: [2, 2], data: Float32Array.of(1, 2, 3, 0.3) }, '[[1,2],[3,0.3]]'],
    [{ shape: [2, 0], data: new Float32Array(0) }, '[[],[]]'],
    [{ shape: [1], data: Float32Array.of(Number.NaN) }, '["NaN"]'],
    [{ shape: [1], data: Float32Array.of(0.5), encoding: 'binary' }, '[0.5]'],
    [
      { shape: [0, 9], data: new Float32Array(0), encoding: 'binary' },
      '{"shape":[0,9],"dtype":"float32","data":[]}',
    ],
    [{ shape: [1], data: Float64Array.of(0.1), dtype: 'float64' }, '[0.1]'],
    [{ shape: [1], data: Float64Array.of(1 / 3), dtype: 'float32' }, '[0.33333334]'],
    [{ shape: [1], data: Float64Array.of(1e39), dtype: 'float32' }, '["Infinity"]'],
    [{ shape: [2], data: Float32Array.of(0.1, 7e4), dtype: 'float16' }, '[0.099975586,"Infinity"]'],
    [{ shape: [1], data: Float32Array.of(0.1), dtype: 'bfloat16' }, '[0.100097656]'],
    [
      { shape: [1], data: Float32Array.of(1), encoding: 'base64' },
      `{"shape":[1],"dtype":"float32","data":"${BYTES_OF_ONE}"}`,
    ],
  ] as [Partial<AnswerTensor>, string][])('writes %o as %s', (gradient, text) => {
    expect(write(gradient)).toBe(`{"loss":0.1,"gradients":{"x":${text}}}`)
  })

  it('has null for non-finite numbers, if requested', () => {
    const loss: AnswerTensor = {
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(1 / 0),
      encoding: 'nested',
    }
    const of = (shape: number[], numbers: number[], rest: Partial<AnswerTensor> = {}) => {
      return { ...loss, shape, data: Float32Array.from(numbers), ...rest }
    }
    const gradients = new Map([
      ['data', of([3], [0.1, Number.NaN, -2])],
      ['half', of([2], [7e4, 1], { dtype: 'float16' })],
      ['double', of([2], [], { dtype: 'float64', data: Float64Array.of(-1 / 0, 0.1), encoding: 'flat' })],
      // The base64 encoding of these bytes is a word.
      [
        'base64',
        of([6], [], {
          dtype: 'uint8',
          data: Int32Array.from(Buffer.from('Infinity', 'base64')),
          encoding: 'base64',
        }),
      ],
    ])
    const members = { denominator: Number.NaN, terms: [{ value: Number.NEGATIVE_INFINITY }], finite: false }
    expect(Buffer.concat(json.encode({ loss, gradients, members, nulls: true })).toString()).toBe(
      '{"loss":null,"gradients":{"data":[0.1,null,-2],"half":[null,1],"double":{"shape":[2],"dtype":"float64","data":[null,0.1]},"base64":{"shape":[6],"dtype":"uint8","data":"Infinity"}},"denominator":null,"terms":[{"value":null}],"finite":false}',
    )
  })

  it('contains any number of numbers of any length, in any shape', () => {
    const longest = [-1.7976931348623157e308, -2.2250738585072014e-308]
    for (const [rows, width] of [
      [1, 1],
      [1, 63],
      [1, 64],
      [1, 65],
      [3, 129],
      [700, 1],
      [2, 5000],
    ]) {
      const shape = [rows!, width!]
      const doubles = Float64Array.from({ length: rows! * width! }, (_, i) => longest[i % 2]!)
      const whole = new Float32Array(doubles.length).fill(-999999955004031500000)
      for (const [dtype, data] of [
        ['float64', doubles],
        ['float32', whole],
      ] as const) {
        for (const encoding of ['nested', 'flat'] as const) {
          const { x } = JSON.parse(write({ dtype, data, shape, encoding: encoding })).gradients
          const read = encoding === 'nested' ? x.flat() : x.data
          expect(Array.from(read as number[], dtype === 'float32' ? Math.fround : Number)).toEqual([...data])
        }
      }
    }
  })

  it('of each dtype can be read back', () => {
    for (const dtype of ['float32', 'float64', 'float16', 'bfloat16'] as Dtype[]) {
      const data = dtype === 'float64' ? Float64Array.of(1.5, -2) : Float32Array.of(1.5, -2)
      const body = JSON.parse(write({ dtype, data, shape: [2], encoding: 'flat' }))
      expect(tensor(JSON.stringify(body.gradients.x))).toMatchObject({ dtype, data, typed: true })
    }
  })
})
