/** The conformance suite of the wire formats: what is written reads back, and no bytes cause any other error. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { DTYPES, isInteger, sizeOf } from '../../src/tensor.ts'
import type { Answer, AnswerTensor, Decoded, Format } from '../../src/wire/define.ts'
import { roundTo } from '../../src/wire/dtypes.ts'
import { decodeBody, formatOf, formats, negotiate } from '../../src/wire/index.ts'
import { thrownBy } from '../support/thrown.ts'

const LIMITS = { maxElements: 100_000, maxTensors: 32 }
const FLOATS = DTYPES.filter((dtype) => dtype.includes('float'))

/** Bytes that have a meaning for a parser. */
const HOSTILE = [...Buffer.from('[]{}",:\\-.eE019 tfn\0\xff', 'latin1')]

const answers: fc.Arbitrary<Answer> = fc
  .record({
    dtype: fc.constantFrom(...FLOATS),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
    numbers: fc.array(fc.oneof(fc.float(), fc.constantFrom(0.1, 1e-45, 65504, 3.4e38)), {
      minLength: 64,
      maxLength: 64,
    }),
    spelling: fc.constantFrom('nested', 'flat', 'base64', 'binary'),
  })
  .map(({ dtype, shape, numbers, spelling }) => {
    const count = sizeOf(shape)
    const rounded = numbers.slice(0, count).map((x) => roundTo(dtype, Math.fround(x)))
    const data = dtype === 'float64' ? Float64Array.from(numbers.slice(0, count)) : Float32Array.from(rounded)
    const tensor = { dtype, shape, data, encoding: spelling } as AnswerTensor
    const loss: AnswerTensor = {
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(numbers[63]!),
      encoding: 'nested',
    }
    return { loss, gradients: new Map([['predictions', tensor]]), members: { finite: true, denominator: 3 } }
  })

/** A response as a request, so that the format's own reader can read it: in JSON, gradients are one level deeper. */
function asRequest(name: string, body: Uint8Array): Uint8Array {
  if (name !== 'json') return body
  const text = Buffer.from(body).toString().replace('"gradients":{"predictions":', '"gradients.predictions":')
  return Buffer.from(text.replace('},"finite":true,"denominator":3}', ',"params":{"delta":2}}'))
}

/** What is read from hostile bytes: a body, or the status of a Problem. Anything else is thrown on. */
function outcome(format: Format, bytes: Uint8Array): Decoded | number {
  try {
    return format.decode(bytes, LIMITS)
  } catch (error) {
    if (error instanceof Problem) return error.status
    throw error
  }
}

/** What a client is told of a body that cannot be parsed. */
const problemOf = (format: Format, bytes: Uint8Array) =>
  thrownBy(Problem, () => decodeBody(format, bytes, LIMITS))

function numbers(shape: readonly number[]): AnswerTensor {
  return { dtype: 'float32', shape, data: new Float32Array(sizeOf(shape)), encoding: 'binary' }
}

function expectClean(format: Format, bytes: Uint8Array) {
  const result = outcome(format, bytes)
  if (typeof result === 'number') {
    expect(result).toBeLessThan(500)
    return
  }
  for (const { shape, data } of result.tensors.values()) expect(data.length).toBe(sizeOf(shape))
}

describe.each(formats.map((format) => [format.name, format] as const))('%s', (name, format) => {
  it('reads back every number that it writes, NaN and infinities included', () => {
    const property = fc.property(answers, (answer) => {
      const gradient = answer.gradients.get('predictions')!
      // An unreduced loss has a shape, too.
      const unreduced = format.decode(
        Buffer.concat(format.encode({ loss: gradient, gradients: new Map(), members: answer.members })),
        LIMITS,
      )
      const { tensors, options } = format.decode(
        asRequest(name, Buffer.concat(format.encode(answer))),
        LIMITS,
      )
      const isApart = tensors.has('gradients.predictions')
      if (!isApart)
        expect(format.layout.shape === 'object' && options.get('gradients')).toHaveProperty('predictions')
      for (const [read, written] of [
        [unreduced.tensors.get('loss')!, gradient],
        [tensors.get('loss')!, answer.loss],
        ...(isApart ? [[tensors.get('gradients.predictions')!, gradient] as const] : []),
      ] as const) {
        // Nested arrays cannot distinguish [0, 3] from [0].
        if (read.typed || written.data.length > 0) expect(read.shape).toEqual(written.shape)
        // Without a dtype it is float32.
        const seen = read.typed ? (x: number) => x : Math.fround
        expect(Array.from(read.data, seen)).toEqual(Array.from(written.data, seen))
        if (read.typed) expect(read.dtype).toBe(written.dtype)
      }
    })
    fc.assert(property, { numRuns: 500 })
  })

  it('ends in a body or a client error, however its bytes are changed or truncated', () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), fc.constantFrom(...HOSTILE))), {
      maxLength: 6,
    })
    const property = fc.property(answers, mutations, fc.nat(), (answer, changes, length) => {
      const mutant = Uint8Array.from(asRequest(name, Buffer.concat(format.encode(answer))))
      for (const [place, byte] of changes) mutant[place % mutant.length] = byte
      expectClean(format, mutant)
      expectClean(format, mutant.subarray(0, length % mutant.length))
    })
    fc.assert(property, { numRuns: 1500 })
  })

  it('ends in a body or a client error, whatever the bytes are', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => expectClean(format, bytes)))
  })

  it('is recognized by another format that cannot parse it, which says so', () => {
    const answer: Answer = { loss: numbers([2]), gradients: new Map(), members: {} }
    const body = Buffer.concat(format.encode(answer))
    for (const other of formats.filter((one) => one !== format)) {
      const problem = problemOf(other, body)
      expect(problem.message).toBe(
        `this looks like ${format.title}: send it with Content-Type: ${format.mediaTypes[0]}`,
      )
      expect(problem).toMatchObject({ code: `malformed-${other.name}`, status: 400 })
      expect(problemOf(other, Buffer.of(0x1f, 0x8b, 8, 0)).message).toContain('Content-Encoding: gzip')
    }
    expect(format.recognizes(body)).toBe(true)
  })

  it('says what it is, for the docs', () => {
    for (const text of [format.title, format.layout.tensors, format.layout.options])
      expect(text).toMatch(/\w/)
  })

  it('is found by its media types, whatever their case and parameters', () => {
    for (const type of format.mediaTypes) {
      expect(formatOf(type)).toBe(format)
      expect(formatOf(`${type.toUpperCase()} ; charset=utf-8`)).toBe(format)
    }
  })
})

describe('a body with the wrong Content-Type', () => {
  const [json, safetensors] = [formatOf('application/json')!, formatOf('application/x-safetensors')!]

  it.each(['{"x":[1]}', '{}', ' {"predictions": [1, 2], "targets": [1, 2]}'])('is JSON: %s', (text) => {
    expect(problemOf(safetensors, Buffer.from(text)).message).toBe(
      'this looks like JSON: send it with Content-Type: application/json',
    )
  })

  it('is safetensors, even if the length begins with a brace', () => {
    const header = '{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    for (const length of [header.length, 123]) {
      const size = Buffer.alloc(8)
      size.writeBigUInt64LE(BigInt(length))
      expect(problemOf(json, Buffer.concat([size, Buffer.from(header.padEnd(length))])).message).toBe(
        'this looks like safetensors: send it with Content-Type: application/x-safetensors',
      )
    }
  })

  it('is its own format, and only wrong', () => {
    expect(problemOf(json, Buffer.from('{"x":[1')).message).toBe(
      'at byte 7: expected , or ], found the end of the body',
    )
  })
})

describe('Accept', () => {
  const [json, safetensors] = [formatOf('application/json')!, formatOf('application/x-safetensors')!]
  it.each([
    [undefined, 'safetensors'],
    ['*/*', 'safetensors'],
    ['application/*', 'safetensors'],
    ['application/json', 'json'],
    ['application/json;q=0.5, */*;q=0.1', 'json'],
    ['application/json;q=0.5, application/x-safetensors', 'safetensors'],
    ['application/x-safetensors;q=0, */*', 'json'],
    ['text/html, application/json;q=0.9', 'json'],
    [' , ', 'safetensors'],
    ['application/*;q=0.3, application/json;q=0.4, */*', 'json'],
    ['application/vnd.safetensors', 'safetensors'],
    ['application/x-safetensors;q=0, application/vnd.safetensors, application/json;q=0.1', 'safetensors'],
    ['Application/JSON; charset=utf-8', 'json'],
    ['image/png', undefined],
    ['*/*;q=0', undefined],
  ])('%s of a safetensors request is answered in %s', (accept, name) => {
    expect(negotiate(accept, safetensors, [json, safetensors])?.name).toBe(name)
  })
  it('of a JSON request falls back to JSON', () => expect(negotiate('*/*', json)).toBe(json))
})

it('every dtype is the same tensor in both notations with bytes', () => {
  for (const dtype of DTYPES) {
    const data =
      dtype === 'float64'
        ? Float64Array.of(1, 0)
        : isInteger(dtype)
          ? Int32Array.of(1, 0)
          : Float32Array.of(1, 0)
    const tensor: AnswerTensor = { dtype, shape: [2], data, encoding: 'base64' }
    const answer: Answer = { loss: tensor, gradients: new Map(), members: {} }
    for (const format of formats) {
      expect(format.decode(Buffer.concat(format.encode(answer)), LIMITS).tensors.get('loss')).toMatchObject({
        dtype,
        shape: [2],
        data,
      })
    }
  }
})

it('formats have unique names and media types, and are frozen', () => {
  const types = formats.flatMap(({ mediaTypes }) => mediaTypes)
  expect(new Set(types).size).toBe(types.length)
  expect(formats.map(({ name }) => name)).toEqual(expect.arrayContaining(['json', 'safetensors']))
  expect(formats.every(Object.isFrozen) && Object.isFrozen(formats)).toBe(true)
  expect(formatOf('text/plain')).toBeUndefined()
})
