/** safetensors bodies: accepted exactly as by the reference reader, and written in the same way. */
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { DTYPES } from '../../src/tensor.ts'
import type { AnswerTensor } from '../../src/wire/define.ts'
import safetensors from '../../src/wire/safetensors/index.ts'
import { thrownBy } from '../support/thrown.ts'

const LIMITS = { maxElements: 10_000, maxTensors: 4 }

/** A body with a header (text or object) and `bytes` bytes of data. */
function bodyOf(header: object | string, data: Uint8Array | number, length?: bigint): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const prefix = Buffer.alloc(8)
  prefix.writeBigUInt64LE(length ?? BigInt(text.length))
  return Buffer.concat([prefix, text, typeof data === 'number' ? Buffer.alloc(data) : data])
}

const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
})

const problemOf = (body: Uint8Array) => thrownBy(Problem, () => safetensors.decode(body, LIMITS))

describe('a body', () => {
  it('contains tensors by name, and options as JSON in __metadata__', () => {
    const header = {
      __metadata__: {
        params: '{"delta":2}',
        reduction: 'sum',
        gradient_dtype: '"float16"',
        gradients: 'false',
      },
      x: entry('F32', [2], 0, 8),
      s: entry('BOOL', [], 8, 9),
    }
    const { tensors, options } = safetensors.decode(
      bodyOf(`${JSON.stringify(header)}   `, Buffer.from([0, 0, 128, 63, 0, 0, 0, 64, 1])),
      LIMITS,
    )
    expect(tensors.get('x')).toEqual({
      dtype: 'float32',
      shape: [2],
      data: Float32Array.of(1, 2),
      encoding: 'binary',
      typed: true,
    })
    expect(tensors.get('s')).toMatchObject({ dtype: 'bool', shape: [], data: Int32Array.of(1) })
    expect(Object.fromEntries(options)).toEqual({
      params: { delta: 2 },
      reduction: 'sum',
      gradient_dtype: 'float16',
      gradients: false,
    })
  })

  it('is read without a copy if it is aligned', () => {
    const text = JSON.stringify({ x: entry('F32', [1], 0, 4) })
    const bytes = new Uint8Array(bodyOf(text.padEnd(Math.ceil(text.length / 8) * 8), 4))
    expect(safetensors.decode(bytes, LIMITS).tensors.get('x')!.data.buffer).toBe(bytes.buffer)
    const shifted = new Uint8Array(bytes.length + 1).subarray(1)
    shifted.set(bytes)
    expect(safetensors.decode(shifted, LIMITS).tensors.get('x')!.data).toEqual(Float32Array.of(0))
  })

  it('may contain empty tensors wherever the data is contiguous', () => {
    const { tensors } = safetensors.decode(
      bodyOf({ b: entry('U8', [1], 0, 1), a: entry('F32', [0, 3], 0, 0), c: entry('F32', [0], 1, 1) }, 1),
      LIMITS,
    )
    expect([...tensors.keys()]).toEqual(['b', 'a', 'c'])
  })
})

const ONE = { x: entry('F32', [1], 0, 4) }

describe('malformed', () => {
  it.each([
    ['no length', Buffer.alloc(7)],
    ['an empty header', bodyOf('', 0)],
    ['a header longer than the body', bodyOf(ONE, 4, 1000n)],
    ['a header beyond 64 KiB', bodyOf(ONE, 70_000, 65_537n)],
    ['a header of 2^53+1 bytes', bodyOf(ONE, 4, 2n ** 53n + 1n)],
    ['a header of 2^64-1 bytes', bodyOf(ONE, 4, 2n ** 64n - 1n)],
    ['a header that starts with a blank', bodyOf(` ${JSON.stringify(ONE)}`, 4)],
    ['a header with something behind it', bodyOf(`${JSON.stringify(ONE)}x`, 4)],
    ['a header that is not UTF-8', bodyOf(JSON.stringify(ONE), 4).fill(0xff, 10, 11)],
    ['a name twice', bodyOf('{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{}}', 0)],
    ['reversed offsets', bodyOf({ x: entry('F32', [1], 4, 0) }, 4)],
    ['negative offsets', bodyOf({ x: entry('F32', [1], -4, 0) }, 4)],
    ['fractional offsets', bodyOf({ x: entry('F32', [1], 0.5, 4.5) }, 4)],
    ['offsets as text', bodyOf({ x: entry('F32', [1], '0', '4') }, 4)],
    ['a hole', bodyOf({ x: entry('U8', [1], 0, 1), y: entry('U8', [1], 2, 3) }, 3)],
    ['a hole in front', bodyOf({ x: entry('U8', [1], 1, 2) }, 2)],
    ['an overlap', bodyOf({ x: entry('U8', [2], 0, 2), y: entry('U8', [2], 1, 3) }, 3)],
    ['shared bytes', bodyOf({ x: entry('U8', [2], 0, 2), y: entry('U8', [2], 0, 2) }, 2)],
    ['an empty tensor inside another', bodyOf({ x: entry('U8', [2], 0, 2), y: entry('U8', [0], 1, 1) }, 2)],
    ['one byte too few', bodyOf(ONE, 3)],
    ['one byte too many', bodyOf(ONE, 5)],
    ['a size that is not the shape', bodyOf({ x: entry('F16', [1], 0, 4) }, 4)],
    ['a shape that is none', bodyOf({ x: entry('F32', [1.5], 0, 6) }, 6)],
    ['an unknown member', bodyOf({ x: { ...ONE.x, strides: [1] } }, 4)],
    ['a tensor that is a number', bodyOf({ x: 1 }, 0)],
    ['metadata that is no text', bodyOf({ __metadata__: { reduction: 1 } }, 0)],
    ['metadata that is no JSON', bodyOf({ __metadata__: { params: '{delta:2}' } }, 0)],
    ['metadata under the name of a tensor', bodyOf({ __metadata__: { x: '1' }, ...ONE }, 4)],
    ['a prototype key', bodyOf('{"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0)],
    ['deep metadata', bodyOf({ __metadata__: { params: '['.repeat(50_000) } }, 0)],
  ])('is %s', (_, body) => {
    expect(problemOf(body).code).toBe('malformed-safetensors')
  })

  it('reports the number of bytes that were sent and expected', () => {
    expect(problemOf(bodyOf(ONE, 5)).message).toBe('the tensors cover 4 bytes of data, the body has 5')
    expect(problemOf(bodyOf({ __metadata__: { params: '{' } }, 0)).message).toContain('"params"')
  })
})

describe('well-formed but invalid', () => {
  it.each([
    ['dtype-unsupported', bodyOf({ x: entry('F8_E4M3', [4], 0, 4) }, 4)],
    ['dtype-unsupported', bodyOf({ x: entry('I16', [2], 0, 4) }, 4)],
    ['shape-mismatch', bodyOf({ x: entry('F32', [1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 4) }, 4)],
    ['shape-overflow', bodyOf({ x: entry('F32', [4194305, 4194305, 211106198978564], 0, 16) }, 16)],
    ['shape-overflow', bodyOf({ x: entry('F32', [65536, 65536], 0, 0) }, 0)],
    [
      'payload-too-large',
      bodyOf({ x: entry('U8', [9999], 0, 9999), y: entry('U8', [9], 9999, 10008) }, 10_008),
    ],
    [
      'payload-too-large',
      bodyOf(Object.fromEntries('abcde'.split('').map((x) => [x, entry('U8', [0], 0, 0)])), 0),
    ],
    ['invalid-value', bodyOf({ x: entry('BOOL', [1], 0, 1) }, Buffer.of(2))],
    [
      'invalid-value',
      bodyOf({ x: entry('I64', [1], 0, 8) }, Buffer.from(BigInt64Array.of(2n ** 31n).buffer)),
    ],
  ])('%s', (code, body) => expect(problemOf(body).code).toBe(code))

  it('has a pointer to the tensor and the index of the element', () => {
    const { options } = problemOf(bodyOf({ 'a/b': entry('BOOL', [2], 0, 2) }, Buffer.of(1, 7)))
    expect(options.errors).toEqual([
      { pointer: '/a~1b', detail: 'element 1 is the byte 7; a bool must be 0 or 1' },
    ])
  })
})

describe('a response', () => {
  const loss: AnswerTensor = { dtype: 'float32', shape: [], data: Float32Array.of(0.5), encoding: 'binary' }
  const gradients = new Map(
    DTYPES.map((dtype) => {
      const data = { float64: Float64Array.of(1, 0, 1), int: Int32Array.of(1, 0, 1) }
      const plain = dtype.includes('float') ? Float32Array.of(1, 0, 1) : data.int
      return [
        dtype,
        { dtype, shape: [3], data: dtype === 'float64' ? data.float64 : plain, encoding: 'binary' },
      ] as const
    }),
  )
  const body = Buffer.concat(
    safetensors.encode({ loss, gradients, members: { denominator: Number.NaN, finite: false } }),
  )

  it('has aligned data, and every tensor at a multiple of its element size', () => {
    const length = Number(Buffer.from(body).readBigUInt64LE())
    expect((8 + length) % 8).toBe(0)
    const { __metadata__: metadata, ...header } = JSON.parse(
      Buffer.from(body).toString('utf8', 8, 8 + length),
    )
    expect(metadata).toEqual({ denominator: '"NaN"', finite: 'false' })
    expect(Object.keys(header)).toEqual([
      'gradients.float64',
      'gradients.int64',
      'gradients.float32',
      'gradients.int32',
      'loss',
      'gradients.bfloat16',
      'gradients.float16',
      'gradients.bool',
      'gradients.uint8',
    ])
  })

  it('can be read back in every dtype', () => {
    const { tensors } = safetensors.decode(body, { ...LIMITS, maxTensors: 9 })
    expect(tensors.get('loss')).toEqual({ ...loss, typed: true })
    for (const [name, gradient] of gradients)
      expect(tensors.get(`gradients.${name}`)).toEqual({ ...gradient, typed: true })
  })
})
