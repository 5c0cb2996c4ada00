/**
 * Invalid input, row by row: the right error, never a 500, never a wrong result with status 200, never a leak. After
 * each row, the service is healthy and has the same number of tensors as before.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  f32,
  type JsonAnswer,
  safetensors,
  safetensorsFrom,
  startServer,
  type TestServer,
} from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({
    maxElements: 1_000_000,
    jsonBodyLimit: 1024 * 1024,
    maxIntermediate: 1_000_000,
  })
})
afterAll(() => server.close())

interface Fault {
  readonly id: string
  readonly what: string
  readonly loss?: string
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly status: number
  readonly code?: string
  readonly pointer?: string
  readonly says?: string | RegExp
}

const JSON_TYPE = { 'content-type': 'application/json' }
const BINARY = { 'content-type': 'application/x-safetensors' }
const pair = { predictions: [1, 2], targets: [1, 3] }
const two = {
  predictions: { dtype: 'F32', shape: [2], bytes: f32(1, 2) },
  targets: { dtype: 'F32', shape: [2], bytes: f32(1, 3) },
}
const entry = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') => ({
  dtype,
  shape,
  data_offsets: offsets,
})
const file = (header: unknown, data: Uint8Array = f32(1, 2, 3, 4), length?: bigint) =>
  safetensorsFrom(JSON.stringify(header), data, length)
const good = { predictions: entry([2], [0, 8]), targets: entry([2], [8, 16]) }

const JSON_ROWS: Fault[] = [
  { id: 'J1', what: 'an empty body', body: '', status: 400, code: 'malformed-json' },
  { id: 'J1', what: 'a truncated body', body: '{"predictions":[1,2', status: 400, says: /byte 19/ },
  {
    id: 'J1',
    what: 'a trailing comma',
    body: '{"predictions":[1,],"targets":[1]}',
    status: 400,
    says: /byte 18/,
  },
  {
    id: 'J1',
    what: 'a NaN literal',
    body: '{"predictions":[NaN],"targets":[1]}',
    status: 400,
    says: /byte 16/,
  },
  {
    id: 'J2',
    what: '1e999',
    body: '{"predictions":[1,1e999],"targets":[1,2]}',
    status: 422,
    code: 'non-finite-input',
    pointer: '/predictions/1',
  },
  {
    id: 'J3',
    what: 'a string for a number',
    body: { ...pair, predictions: [1, '1'] },
    status: 422,
    code: 'invalid-value',
    pointer: '/predictions/1',
  },
  {
    id: 'J3',
    what: 'true for a number',
    body: { ...pair, predictions: [true, 1] },
    status: 422,
    pointer: '/predictions/0',
  },
  {
    id: 'J3',
    what: 'null for a number',
    body: { ...pair, targets: [[1, null]] },
    status: 422,
    pointer: '/targets/0/1',
  },
  {
    id: 'J4',
    what: 'a misspelt parameter',
    body: { ...pair, params: { dleta: 2 } },
    status: 422,
    code: 'unknown-name',
    pointer: '/params/dleta',
    says: 'Did you mean "delta"?',
  },
  {
    id: 'J4',
    what: 'a misspelt input',
    body: { predicions: [1], targets: [1] },
    status: 422,
    code: 'unknown-name',
    says: 'Did you mean "predictions"?',
  },
  {
    id: 'J4',
    what: 'a misspelt option',
    body: { ...pair, reducton: 'sum' },
    status: 422,
    says: 'Did you mean "reduction"?',
  },
  {
    id: 'J5',
    what: 'a key twice',
    body: '{"predictions":[1],"targets":[1],"targets":[2]}',
    status: 400,
    says: 'each key to occur only once',
  },
  { id: 'J6', what: 'nesting 100 000 deep', body: `{"predictions":${'['.repeat(100_000)}`, status: 400 },
  { id: 'J6', what: 'nesting deep in an option', body: `{"params":${'{"a":'.repeat(10_000)}`, status: 400 },
  { id: 'J7', what: '__proto__', body: '{"__proto__":{"a":1}}', status: 400 },
  {
    id: 'J7',
    what: 'constructor.prototype',
    body: '{"params":{"constructor":{"prototype":{"a":1}}}}',
    status: 400,
  },
  {
    id: 'J8',
    what: 'a label beyond 2^53',
    loss: 'cross_entropy',
    body: '{"predictions":[[1,2]],"targets":[9007199254740993]}',
    status: 422,
    code: 'label-out-of-range',
    pointer: '/targets/0',
  },
  {
    id: 'J9',
    what: 'ragged rows',
    body: { ...pair, predictions: [[1, 2], [3]] },
    status: 422,
    code: 'shape-mismatch',
    pointer: '/predictions/1',
  },
  {
    id: 'J9',
    what: 'numbers beside lists',
    body: { ...pair, predictions: [[1], 2] },
    status: 422,
    pointer: '/predictions/1',
  },
  {
    id: 'J10',
    what: 'more JSON than the limit',
    body: { predictions: Array(600_000).fill(1), targets: [1] },
    status: 413,
    code: 'payload-too-large',
  },
  { id: 'J11', what: 'a byte order mark', body: '\ufeff{}', status: 400, says: 'byte order mark' },
  {
    id: 'J11',
    what: 'UTF-16',
    body: new Uint8Array(Buffer.from('{"predictions":[1]}', 'utf16le')),
    status: 400,
  },
  {
    id: 'J11',
    what: 'invalid UTF-8 in a name',
    body: new Uint8Array(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
    status: 400,
  },
  {
    id: 'J12',
    what: 'a hundred thousand keys',
    body: `{${Array.from({ length: 50_000 }, (_, i) => `"k${i}":1`).join(',')}}`,
    status: 413,
  },
  {
    id: 'J13',
    what: 'zeros with huge exponents',
    body: `{"predictions":[${Array(100).fill('0e99999999')}],"targets":[${Array(100).fill(0)}]}`,
    status: 200,
  },
  { id: 'J', what: 'a body that is no object', body: '[1,2]', status: 400 },
  { id: 'J', what: 'two bodies', body: '{} {}', status: 400 },
  {
    id: 'J',
    what: 'an input that is a word',
    body: { ...pair, predictions: 'abc' },
    status: 422,
    code: 'invalid-value',
    pointer: '/predictions',
  },
  {
    id: 'J',
    what: 'base64 of the wrong length',
    body: { ...pair, predictions: { shape: [2], dtype: 'float32', data: 'AAAA' } },
    status: 422,
    code: 'shape-mismatch',
    says: 'has 3 bytes; float32 [2] needs 8',
  },
  {
    id: 'J',
    what: 'base64 that is none',
    body: { ...pair, predictions: { shape: [1], dtype: 'uint8', data: '!!!!' } },
    status: 422,
    code: 'invalid-value',
  },
  {
    id: 'J',
    what: 'a dtype that is none',
    body: { ...pair, predictions: { shape: [2], dtype: 'flaot32', data: [1, 2] } },
    status: 422,
    code: 'dtype-unsupported',
    says: 'Did you mean "float32"?',
  },
  {
    id: 'J',
    what: 'an unknown member beside data',
    body: { ...pair, predictions: { shape: [2], dytpe: 'float32', data: [1, 2] } },
    status: 422,
    code: 'unknown-name',
  },
]

const BINARY_ROWS: Fault[] = [
  { id: 'B1', what: 'a body shorter than its header length', body: Buffer.alloc(4), status: 400 },
  { id: 'B1', what: 'header length 0', body: safetensorsFrom('', f32(1)), status: 400 },
  { id: 'B1', what: 'header length beyond the body', body: file(good, f32(1), 5000n), status: 400 },
  { id: 'B1', what: 'header length beyond the limit', body: file(good, f32(1), 70_000n), status: 400 },
  { id: 'B1', what: 'header length 2^64 - 1', body: file(good, f32(1), 2n ** 64n - 1n), status: 400 },
  {
    id: 'B2',
    what: 'a header that is not UTF-8',
    body: safetensorsFrom(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), f32(1)),
    status: 400,
  },
  { id: 'B2', what: 'a header that is not an object', body: safetensorsFrom('[1]', f32(1)), status: 400 },
  {
    id: 'B2',
    what: 'text behind the header',
    body: safetensorsFrom(`${JSON.stringify(good)} x`, f32(1, 2, 3, 4)),
    status: 400,
  },
  {
    id: 'B2',
    what: 'blanks behind the header',
    body: safetensorsFrom(`${JSON.stringify(good)}   `, f32(1, 2, 3, 4)),
    status: 200,
  },
  { id: 'B3', what: 'offsets reversed', body: file({ ...good, targets: entry([2], [16, 8]) }), status: 400 },
  {
    id: 'B3',
    what: 'negative offsets',
    body: file({ ...good, predictions: entry([2], [-8, 0]) }),
    status: 400,
  },
  {
    id: 'B3',
    what: 'fractional offsets',
    body: file({ ...good, predictions: entry([2], [0.5, 8.5]) }),
    status: 400,
  },
  {
    id: 'B3',
    what: 'overlap',
    body: file({ ...good, targets: entry([2], [4, 12]) }, f32(1, 2, 3)),
    status: 400,
  },
  {
    id: 'B3',
    what: 'a hole',
    body: file({ ...good, targets: entry([2], [12, 20]) }, f32(1, 2, 3, 4, 5)),
    status: 400,
  },
  {
    id: 'B3',
    what: 'beyond the end',
    body: file({ ...good, targets: entry([2], [8, 16]) }, f32(1, 2, 3)),
    status: 400,
  },
  {
    id: 'B4',
    what: 'a tensor without bytes on another one',
    body: file({ ...good, sample_weight: entry([0], [4, 4]) }),
    status: 400,
  },
  {
    id: 'B5',
    what: 'a byte too many',
    body: Buffer.concat([file(good), Buffer.alloc(1)]),
    status: 400,
    says: /cover 16 bytes of data, the body has 17/,
  },
  { id: 'B5', what: 'a byte too few', body: file(good).subarray(0, -1), status: 400 },
  {
    id: 'B5',
    what: 'bytes that are no multiple of the element',
    body: file({ ...good, targets: entry([2], [8, 15]) }, f32(1, 2, 3, 4).subarray(0, 15)),
    status: 400,
    says: 'has 7 bytes; F32 [2] needs 8',
  },
  {
    id: 'B6',
    what: 'unaligned data',
    body: safetensorsFrom(`${JSON.stringify(good)} `, f32(1, 2, 3, 4)),
    status: 200,
  },
  {
    id: 'B9',
    what: 'half precision over float bytes',
    body: file({ ...good, predictions: entry([2], [0, 8], 'F16') }),
    status: 400,
  },
  {
    id: 'B',
    what: 'a dtype that we have not',
    body: file({ ...good, predictions: entry([2], [0, 8], 'U32') }),
    status: 422,
    code: 'dtype-unsupported',
  },
  {
    id: 'B',
    what: 'a bool that is 2',
    body: safetensors({ ...two, targets: { dtype: 'BOOL', shape: [2], bytes: Uint8Array.of(1, 2) } }),
    status: 422,
    code: 'invalid-value',
    pointer: '/targets',
  },
  {
    id: 'B',
    what: 'an int64 beyond int32',
    body: safetensors({
      ...two,
      targets: { dtype: 'I64', shape: [1], bytes: new Uint8Array(BigInt64Array.of(2n ** 40n).buffer) },
    }),
    status: 422,
    code: 'invalid-value',
  },
  {
    id: 'B',
    what: 'metadata that is no JSON',
    body: safetensorsFrom(JSON.stringify({ ...good, __metadata__: { params: '{' } }), f32(1, 2, 3, 4)),
    status: 400,
    says: 'params',
  },
  {
    id: 'B',
    what: 'metadata that is no string',
    body: safetensorsFrom(JSON.stringify({ ...good, __metadata__: { params: {} } }), f32(1, 2, 3, 4)),
    status: 400,
  },
  {
    id: 'B',
    what: 'a word in metadata without quotes',
    body: safetensorsFrom(JSON.stringify({ ...good, __metadata__: { reduction: 'sum' } }), f32(1, 2, 3, 4)),
    status: 200,
  },
  {
    id: 'B',
    what: 'a name twice',
    body: safetensorsFrom('{"predictions":{},"predictions":{}}', f32(1)),
    status: 400,
  },
  {
    id: 'B15',
    what: 'ten thousand tensors',
    body: file(
      Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`t${i}`, entry([0], [0, 0])])),
      new Uint8Array(),
    ),
    status: 413,
  },
].map((row) => ({ ...row, headers: BINARY }))

const SHAPE_ROWS: Fault[] = [
  {
    id: 'S1',
    what: 'a product that wraps',
    headers: BINARY,
    body: file({ predictions: entry([4194305, 4194305, 211106198978564], [0, 16]) }),
    status: 422,
    code: 'shape-overflow',
  },
  {
    id: 'S2',
    what: '[65536, 65536] of nothing',
    body: { ...pair, predictions: { shape: [65536, 65536], data: [] } },
    status: 422,
    code: 'shape-overflow',
  },
  {
    id: 'S3',
    what: 'a product of negatives',
    body: { ...pair, predictions: { shape: [-1, -6], data: [1, 2, 3, 4, 5, 6] } },
    status: 422,
    code: 'shape-mismatch',
  },
  ...[1.5, '3', null, 1e300].map((size) => ({
    id: 'S4',
    what: `a length of ${size}`,
    body: { ...pair, predictions: { shape: [size], data: [1] } },
    status: 422,
  })),
  {
    id: 'S4',
    what: 'a length of -0',
    body: '{"predictions":{"shape":[-0],"data":[]},"targets":[]}',
    status: 422,
  },
  {
    id: 'S5',
    what: 'the mean of an empty batch',
    body: { predictions: [], targets: [] },
    status: 422,
    code: 'empty-batch',
  },
  {
    id: 'S5',
    what: 'the sum of an empty batch',
    body: { predictions: [], targets: [], reduction: 'sum' },
    status: 200,
  },
  {
    id: 'S5',
    what: 'the mean of an empty batch over a given denominator',
    body: { predictions: [], targets: [], denominator: 8 },
    status: 200,
  },
  { id: 'S5', what: 'a scalar', body: { predictions: 1, targets: 2 }, status: 200 },
  {
    id: 'S5',
    what: '[0, 1000000000]',
    body: {
      predictions: { shape: [0, 1e9], data: [] },
      targets: { shape: [0, 1e9], data: [] },
      reduction: 'sum',
    },
    status: 200,
  },
  {
    id: 'S5',
    what: 'no classes',
    loss: 'cross_entropy',
    body: { predictions: [[], []], targets: [0, 0] },
    status: 422,
  },
  {
    id: 'S6',
    what: 'rank 9',
    body: { ...pair, predictions: [[[[[[[[[1]]]]]]]]] },
    status: 422,
    code: 'shape-mismatch',
  },
  {
    id: 'S6',
    what: 'a shape of rank 1000',
    body: { ...pair, predictions: { shape: Array(1000).fill(1), data: [1] } },
    status: 422,
  },
  {
    id: 'S7',
    what: '(N, 1) against (N)',
    body: { predictions: [[1], [2]], targets: [1, 2] },
    status: 422,
    code: 'shape-mismatch',
    pointer: '/targets',
    says: 'inputs are not broadcast',
  },
  { id: 'S7', what: '(1, N) against (N)', body: { predictions: [[1, 2]], targets: [1, 2] }, status: 422 },
  {
    id: 'S7',
    what: 'class targets of shape (N, 1)',
    loss: 'cross_entropy',
    body: {
      predictions: [
        [1, 2],
        [3, 4],
      ],
      targets: [[0], [1]],
    },
    status: 422,
    pointer: '/targets',
  },
  {
    id: 'S7',
    what: 'one target too few',
    loss: 'cross_entropy',
    body: {
      predictions: [
        [1, 2],
        [3, 4],
      ],
      targets: [0],
    },
    status: 422,
    says: 'has 1 row, but predictions has 2',
  },
  {
    id: 'S8',
    what: 'a huge shape over a tiny body',
    headers: BINARY,
    body: file({ predictions: entry([1_000_000_000], [0, 16]) }),
    status: 422,
  },
  {
    id: 'S9',
    what: 'more elements than the limit, one byte each',
    headers: BINARY,
    body: safetensors({
      predictions: { dtype: 'U8', shape: [600_000], bytes: new Uint8Array(600_000) },
      targets: { dtype: 'U8', shape: [600_000], bytes: new Uint8Array(600_000) },
    }),
    status: 413,
  },
  {
    id: 'S11',
    what: 'a pairwise loss over too many rows',
    loss: 'nt_xent',
    body: { embeddings: Array(1100).fill([1]), labels: Array(1100).fill(0) },
    status: 422,
    code: 'too-expensive',
    says: '1210000 elements, the limit is 1000000',
  },
  {
    id: 'S12',
    what: 'weights of the wrong length',
    body: { ...pair, sample_weight: [1] },
    status: 422,
    code: 'shape-mismatch',
    pointer: '/sample_weight',
  },
  { id: 'S12', what: 'weights that are all zero', body: { ...pair, sample_weight: [0, 0] }, status: 200 },
  {
    id: 'S',
    what: 'a cotangent of the wrong shape',
    body: { ...pair, reduction: 'none', grad_output: [1] },
    status: 422,
    pointer: '/grad_output',
  },
  {
    id: 'S',
    what: 'a cotangent for a mean',
    body: { ...pair, grad_output: [1, 1] },
    status: 422,
    pointer: '/grad_output',
  },
  {
    id: 'S',
    what: 'class_axis in the middle',
    loss: 'cross_entropy',
    body: { predictions: [[[[1], [2]]]], targets: [[[0]]], params: { class_axis: 2 } },
    status: 422,
    pointer: '/params/class_axis',
  },
]

const NUMBER_ROWS: Fault[] = [
  {
    id: 'N1',
    what: 'a NaN under nonfinite: error',
    body: { ...pair, predictions: [1, 'NaN'], nonfinite: 'error' },
    status: 422,
    code: 'non-finite-input',
    pointer: '/predictions/1',
  },
  {
    id: 'N2',
    what: 'an overflow under nonfinite: error',
    loss: 'poisson_nll',
    body: { predictions: [1000], targets: [1], nonfinite: 'error' },
    status: 422,
    code: 'non-finite-result',
  },
  {
    id: 'N3',
    what: 'a probability above 1',
    loss: 'bce',
    body: { predictions: [1.0000001192092896], targets: [1] },
    status: 422,
    code: 'invalid-value',
    pointer: '/predictions/0',
  },
  {
    id: 'N4',
    what: '1e39 as float32',
    body: { ...pair, predictions: [1, 1e39] },
    status: 422,
    code: 'non-finite-input',
    says: 'float64',
  },
  {
    id: 'N10',
    what: 'label 10 of 10 classes',
    loss: 'cross_entropy',
    body: { predictions: [Array(10).fill(0)], targets: [10] },
    status: 422,
    code: 'label-out-of-range',
    pointer: '/targets/0',
    says: 'from 0 to 9 (or -100, which is ignored), got 10',
  },
  {
    id: 'N10',
    what: 'label -1',
    loss: 'cross_entropy',
    body: { predictions: [[1, 2]], targets: [-1] },
    status: 422,
    code: 'label-out-of-range',
  },
  {
    id: 'N10',
    what: 'label 1.5',
    loss: 'cross_entropy',
    body: { predictions: [[1, 2]], targets: [1.5] },
    status: 422,
    code: 'label-out-of-range',
  },
  {
    id: 'N',
    what: 'a sign that is 0',
    loss: 'hinge',
    body: { predictions: [1], targets: [0] },
    status: 422,
    says: 'must be -1 or 1, got 0',
  },
  {
    id: 'N',
    what: 'a negative count',
    loss: 'poisson_nll',
    body: { predictions: [1], targets: [-1] },
    status: 422,
    pointer: '/targets/0',
  },
  {
    id: 'N',
    what: 'float labels that say so',
    loss: 'cross_entropy',
    body: { predictions: [[1, 2]], targets: { dtype: 'float32', data: [1] } },
    status: 422,
    code: 'dtype-unsupported',
  },
]

const PARAM_ROWS: Fault[] = [
  ...[0, -1].map((delta) => ({
    id: 'C1',
    what: `delta = ${delta}`,
    body: { ...pair, params: { delta } },
    status: 422,
    code: 'param-invalid',
    pointer: '/params/delta',
    says: 'must be a number > 0',
  })),
  ...[0, 1].map((quantile) => ({
    id: 'C1',
    what: `quantile = ${quantile}`,
    loss: 'quantile',
    body: { ...pair, params: { quantile } },
    status: 422,
    says: 'a number > 0 and < 1',
  })),
  ...[1e300, 1e-300].map((delta) => ({
    id: 'C1',
    what: `delta = ${delta} in float32`,
    body: { ...pair, params: { delta } },
    status: 422,
    code: 'param-invalid',
    says: 'must fit into float32',
  })),
  {
    id: 'C1',
    what: 'delta = 1e300 in float64',
    body: { predictions: { dtype: 'float64', data: [1] }, targets: [2], params: { delta: 1e300 } },
    status: 200,
  },
  {
    id: 'C2',
    what: "another loss's parameter",
    body: { ...pair, params: { beta: 1 } },
    status: 422,
    code: 'unknown-name',
    says: 'is not a parameter of huber, which has delta',
  },
  {
    id: 'C2',
    what: 'a list for a number',
    body: { ...pair, params: { delta: [1] } },
    status: 422,
    says: 'got a list',
  },
  {
    id: 'C2',
    what: 'a number as a string',
    body: { ...pair, params: { delta: '1' } },
    status: 422,
    says: 'got "1"',
  },
  {
    id: 'C2',
    what: 'a word that is none',
    loss: 'cosine_similarity',
    body: { predictions: [[1]], targets: [[1]], params: { form: 'angle' } },
    status: 422,
    says: '"distance", "negative" or "similarity"',
  },
  { id: 'C2', what: 'params as a list', body: { ...pair, params: [1] }, status: 422, pointer: '/params' },
  {
    id: 'C2',
    what: 'a reduction that is none',
    body: { ...pair, reduction: 'avg' },
    status: 422,
    pointer: '/reduction',
  },
  {
    id: 'C2',
    what: 'a gradient of an unknown input',
    body: { ...pair, gradients: ['prediction'] },
    status: 422,
    pointer: '/gradients/0',
    says: 'Did you mean "predictions"?',
  },
  {
    id: 'C2',
    what: 'a gradient that is not offered',
    loss: 'hinge',
    body: { predictions: [1], targets: [1], gradients: ['targets'] },
    status: 422,
    pointer: '/gradients/0',
  },
  {
    id: 'C2',
    what: 'a denominator of 0',
    body: { ...pair, denominator: 0 },
    status: 422,
    pointer: '/denominator',
  },
  {
    id: 'C2',
    what: 'a denominator for a sum',
    body: { ...pair, denominator: 2, reduction: 'sum' },
    status: 422,
    pointer: '/denominator',
  },
  {
    id: 'C2',
    what: 'an integer gradient',
    body: { ...pair, gradient_dtype: 'int32' },
    status: 422,
    pointer: '/gradient_dtype',
  },
  {
    id: 'C3',
    what: 'an unknown loss',
    loss: 'hubr',
    body: pair,
    status: 404,
    code: 'unknown-loss',
    says: 'Did you mean "huber"?',
  },
  { id: 'C3', what: 'a path for a loss', loss: '..%2f..%2fetc', body: pair, status: 404 },
  { id: 'C3', what: '__proto__ for a loss', loss: '__proto__', body: pair, status: 404 },
  { id: 'C3', what: 'toString for a loss', loss: 'toString', body: pair, status: 404 },
  {
    id: 'C',
    what: 'a missing input',
    body: { predictions: [1] },
    status: 422,
    code: 'missing-input',
    pointer: '/targets',
  },
  {
    id: 'C',
    what: 'integers where a gradient is wanted',
    body: { predictions: { dtype: 'int32', data: [1] }, targets: { dtype: 'int32', data: [1] } },
    status: 422,
    code: 'dtype-unsupported',
  },
]

describe.each([
  ['JSON', JSON_ROWS],
  ['safetensors', BINARY_ROWS],
  ['shapes', SHAPE_ROWS],
  ['numbers', NUMBER_ROWS],
  ['parameters', PARAM_ROWS],
])('%s', (_, rows) => {
  it.each(rows.map((row) => [row.id, row.what, row.status, row] as const))(
    '%s %s: %d',
    async (_id, _what, _status, row) => {
      const before = await server.tensors()
      const response = await server.post(row.loss ?? 'huber', row.body, row.headers ?? JSON_TYPE)
      expect(response.status, await response.clone().text()).toBe(row.status)
      if (row.status >= 400) await expectProblem(row, response)
      else if (row.headers !== BINARY) await expectNumbers(response)
      expect((await fetch(`${server.url}/health/ready`)).status).toBe(200)
      expect(await server.tensors()).toBe(before)
      expect(({} as { a?: unknown }).a).toBeUndefined()
    },
  )
})

interface Problem {
  readonly type: string
  readonly detail: string
  readonly errors: readonly { readonly pointer: string }[]
}

async function expectProblem(row: Fault, response: Response) {
  expect(response.headers.get('content-type')).toContain('application/problem+json')
  const problem = (await response.json()) as Problem
  expect(problem.type).toMatch(/^urn:lossd:problem:[a-z0-9-]+$/)
  expect(problem).toMatchObject({
    status: row.status,
    retryable: false,
    requestId: response.headers.get('x-request-id'),
  })
  if (row.code !== undefined) expect(problem.type).toBe(`urn:lossd:problem:${row.code}`)
  if (row.pointer !== undefined) expect(problem.errors[0]?.pointer).toBe(row.pointer)
  if (row.says !== undefined) expect(problem.detail).toMatch(row.says)
  expect(JSON.stringify(problem)).not.toMatch(/node_modules|\/src\/|\.ts:|at Object/)
}

/** Zeros for an empty batch, otherwise finite numbers: never NaN, never null. */
async function expectNumbers(response: Response) {
  const answer = (await response.json()) as JsonAnswer
  expect(typeof answer.loss).toBe('number')
  expect(answer.finite).toBe(true)
}
