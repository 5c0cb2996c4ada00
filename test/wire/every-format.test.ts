/** What every wire format promises: what is written reads back, and no bytes at all make it fail in another way. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { DTYPES, type Dtype } from '../../src/schemas/tensor.ts'
import type { Answer, AnswerTensor } from '../../src/wire/define.ts'
import { roundTo } from '../../src/wire/dtypes.ts'
import { formatOf, formats, negotiate } from '../../src/wire/index.ts'

const LIMITS = { maxElements: 100_000, maxTensors: 32 }
const FLOATS = DTYPES.filter((dtype) => dtype.includes('float'))

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
    const count = shape.reduce((product, size) => product * size, 1)
    const rounded = numbers.slice(0, count).map((x) => roundTo(dtype, Math.fround(x)))
    const data = dtype === 'float64' ? Float64Array.from(numbers.slice(0, count)) : Float32Array.from(rounded)
    const tensor = { dtype, shape, data, spelling } as AnswerTensor
    const loss: AnswerTensor = {
      dtype: 'float32',
      shape: [],
      data: Float32Array.of(numbers[63]!),
      spelling: 'nested',
    }
    return { loss, gradients: new Map([['predictions', tensor]]), members: { finite: true, denominator: 3 } }
  })

/** An answer as a request: its tensors by name, so that the format's own reader can read it. */
function asRequest(name: string, body: Uint8Array): Uint8Array {
  if (name !== 'json') return body
  // In the text, because JSON.stringify would forget the sign of -0.
  const text = Buffer.from(body).toString()
  const lifted = text.replace('"gradients":{"predictions":', '"gradients.predictions":')
  return Buffer.from(lifted.replace(/\},"finite":true,"denominator":3\}$/, ',"denominator":3}'))
}

describe.each(formats.map((format) => [format.name, format] as const))('%s', (name, format) => {
  it('reads back every number that it writes, NaN and infinities included', () => {
    const property = fc.property(answers, (answer) => {
      const { tensors } = format.decode(asRequest(name, format.encode(answer)), LIMITS)
      const written = answer.gradients.get('predictions')!
      const read = tensors.get('gradients.predictions')!
      // Nothing between the brackets tells [0, 3] from [0].
      if (written.data.length > 0) expect(read.shape).toEqual(written.shape)
      // A bare JSON array is float32; elsewhere the dtype stands beside the numbers.
      const isBare = name === 'json' && (written.spelling === 'nested' || written.spelling === 'binary')
      const narrow = isBare ? Math.fround : (x: number) => x
      const isLarge = Array.from(written.data).some((x) => Math.abs(x) > 2 ** 24)
      if (!(isLarge && isBare)) expect(Array.from(read.data)).toEqual(Array.from(written.data, narrow))
      // Whole numbers beyond 2^24 are kept as doubles, because they may be labels.
      expect(Array.from(tensors.get('loss')!.data, Math.fround)).toEqual(Array.from(answer.loss.data))
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('ends in a body or in a Problem, whatever the bytes', () => {
    const body = format.encode({
      loss: { dtype: 'float32', shape: [], data: Float32Array.of(1), spelling: 'nested' },
      gradients: new Map([
        [
          'predictions',
          { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4), spelling: 'flat' },
        ],
      ]),
      members: { finite: true },
    })
    const mutation = fc.array(fc.tuple(fc.nat(body.length - 1), fc.nat(255)), { maxLength: 6 })
    const property = fc.property(mutation, fc.nat(body.length), (changes, length) => {
      const mutant = Uint8Array.from(body)
      for (const [place, byte] of changes) mutant[place] = byte
      for (const bytes of [mutant, mutant.subarray(0, length)]) {
        try {
          format.decode(bytes, LIMITS)
        } catch (error) {
          expect(error).toBeInstanceOf(Problem)
          expect((error as Problem).status).toBeLessThan(500)
        }
      }
    })
    fc.assert(property, { numRuns: 1000 })
  })

  it('is found by its media types, whatever their case and parameters', () => {
    for (const type of format.mediaTypes) {
      expect(formatOf(type)).toBe(format)
      expect(formatOf(`${type.toUpperCase()} ; charset=utf-8`)).toBe(format)
    }
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
    ['image/png', undefined],
    ['*/*;q=0', undefined],
  ])('%s of a safetensors request is answered in %s', (accept, name) => {
    expect(negotiate(accept, safetensors)?.name).toBe(name)
  })
  it('of a JSON request falls back to JSON', () => expect(negotiate('*/*', json)).toBe(json))
})

it('speaks every dtype', () => {
  const spoken: readonly Dtype[] = DTYPES
  expect(spoken).toHaveLength(8)
})
