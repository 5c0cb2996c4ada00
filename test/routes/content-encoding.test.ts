/** Content encoding: compressed bodies and responses, and protection from decompression bombs. */
import { type IncomingMessage, request } from 'node:http'
import zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { codingFor, codings } from '../../src/routes/content-encoding.ts'
import { sharedServer } from '../support/server.ts'

const LIMIT = 1024 * 1024
const server = sharedServer({ jsonBodyLimit: LIMIT })

type Pack = (bytes: Buffer) => Buffer
const { zstdCompressSync } = zlib as typeof zlib & { zstdCompressSync?: Pack }
const PACKS: Readonly<Record<string, Pack>> = {
  gzip: zlib.gzipSync,
  'x-gzip': zlib.gzipSync,
  deflate: zlib.deflateSync,
  // The default is the slowest level, which takes seconds.
  br: (bytes) => zlib.brotliCompressSync(bytes, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
  ...(zstdCompressSync === undefined ? {} : { zstd: zstdCompressSync }),
}

const numbers = Array.from({ length: 20_000 }, (_, i) => Math.sin(i))
const body = Buffer.from(JSON.stringify({ predictions: numbers, targets: numbers.map((x) => x + 1) }))
const packed = (coding: string) => ({ 'content-type': 'application/json', 'content-encoding': coding })

interface Got {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly bytes: Buffer
}

/** fetch requests compression and decompresses automatically. */
function ask(method: string, path: string, headers: Record<string, string>, sent?: Buffer): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request(`${server.url}${path}`, { method, headers }, async (response) => {
      const parts: Buffer[] = []
      for await (const part of response) parts.push(part)
      resolve({ status: response.statusCode!, headers: response.headers, bytes: Buffer.concat(parts) })
    })
    asked.on('error', reject)
    asked.end(sent)
  })
}

const post = (headers: Record<string, string>, sent: Buffer) => ask('POST', '/v1/losses/mse', headers, sent)

describe.each(Object.entries(PACKS))('a body with Content-Encoding %s', (coding, pack) => {
  it('is decompressed', async () => {
    const plain = await post({ 'content-type': 'application/json' }, body)
    const got = await post(packed(coding), pack(body))
    expect(got.status).toBe(200)
    expect(got.bytes.equals(plain.bytes)).toBe(true)
  })

  it('is rejected beyond the limit on its decompressed size', async () => {
    const long = Buffer.from(JSON.stringify(Array.from({ length: 100_000 }, (_, i) => Math.sin(i))))
    expect(long.length).toBeGreaterThan(LIMIT)
    expect((await post(packed(coding), pack(long))).status).toBe(413)
  })

  it('is rejected if it expands more than a hundredfold, however small it is', async () => {
    const bomb = Buffer.concat([Buffer.from('{"predictions":['), Buffer.alloc(LIMIT / 2, '0,')])
    const got = await post(packed(coding), pack(bomb))
    expect(got.status).toBe(413)
    expect(got.bytes.toString()).toMatch(/100 bytes/)
  })

  it("that is truncated or invalid is the client's error", async () => {
    for (const wrong of [pack(body).subarray(0, -20), Buffer.from('{"predictions":[1]}')]) {
      const got = await post(packed(coding), wrong)
      expect(got.status).toBe(400)
      expect(got.bytes.toString()).toContain(`the body is not ${coding}`)
    }
  })
})

it.each([
  ['/v1/losses:analyze', { loss: 'huber', properties: ['symmetric'] }, 200],
  ['/v1/losses/huber:constant', { targets: [1, 2, 3] }, 200],
  ['/v1/losses/huber:check', {}, 200],
  ['/v1/losses/huber:analyse', { targets: [1, 2, 3] }, 404],
])('a compressed body of %s is decompressed', async (path, sent, status) => {
  const got = await ask('POST', path, packed('gzip'), zlib.gzipSync(JSON.stringify(sent)))
  expect(got.status, String(got.bytes)).toBe(status)
})

it('a compressed document that is too large or invalid is refused', async () => {
  const long = zlib.gzipSync(Buffer.from(JSON.stringify({ loss: 'huber', x: 'y'.repeat(2 * LIMIT) })))
  expect((await ask('POST', '/v1/losses:analyze', packed('gzip'), long)).status).toBe(413)
  const invalid = await ask('POST', '/v1/losses:analyze', packed('gzip'), Buffer.from('{}'))
  expect([invalid.status, JSON.parse(String(invalid.bytes)).type]).toEqual([
    400,
    'urn:lossd:problem:bad-request',
  ])
})

it('an unsupported encoding is rejected with the supported ones', async () => {
  const got = await post(packed('compress'), body)
  expect(got.status).toBe(415)
  expect(got.headers['accept-encoding']).toBe(codings.join(', '))
})

describe('a JSON response', () => {
  const plainly = { 'content-type': 'application/json' }
  const unpackers: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
    gzip: zlib.gunzipSync,
    deflate: zlib.inflateSync,
    br: zlib.brotliDecompressSync,
  }

  it.each(Object.entries(unpackers))(
    'is compressed with %s if the client accepts it',
    async (coding, unpack) => {
      const plain = await post(plainly, body)
      const got = await post({ ...plainly, 'accept-encoding': coding }, body)
      expect(got.headers['content-encoding']).toBe(coding)
      expect(got.headers.vary).toBe('Accept-Encoding')
      expect(got.bytes.length).toBeLessThan(plain.bytes.length)
      expect(unpack(got.bytes).equals(plain.bytes)).toBe(true)
    },
  )

  it('is not compressed otherwise, or if it is short', async () => {
    expect((await post(plainly, body)).headers['content-encoding']).toBeUndefined()
    const short = Buffer.from('{"predictions":[1],"targets":[2]}')
    const got = await post({ ...plainly, 'accept-encoding': 'gzip' }, short)
    expect(got.headers['content-encoding']).toBeUndefined()
  })

  it('that is a document is compressed, too', async () => {
    const got = await ask('GET', '/v1/losses', { 'accept-encoding': 'gzip' })
    expect(got.headers['content-encoding']).toBe('gzip')
    expect(JSON.parse(zlib.gunzipSync(got.bytes).toString())).toHaveProperty('losses')
  })

  it('in another format is not compressed', async () => {
    const accept = { accept: 'application/x-safetensors', 'accept-encoding': 'gzip' }
    expect((await post({ ...plainly, ...accept }, body)).headers['content-encoding']).toBeUndefined()
  })
})

it.each([
  ['gzip', 'gzip'],
  ['deflate, gzip;q=0.5', 'deflate'],
  ['gzip;q=0', undefined],
  ['identity', undefined],
  ['identity;q=1, gzip;q=0.5', undefined],
  ['*', codings[0]],
  ['snappy', undefined],
  ['', undefined],
])('Accept-Encoding "%s" means %s', (accept, coding) => {
  expect(codingFor(accept)).toBe(coding)
})
