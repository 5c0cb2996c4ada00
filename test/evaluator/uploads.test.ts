/** Uploads over real connections: quotas, deadlines, broken connections, and what is left of them on the disk. */
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { FORMATS } from '../../src/evaluator/formats/index.ts'
import { Uploads } from '../../src/evaluator/uploads.ts'
import { bearer, startGuarded } from '../support/access.ts'
import { type Kept, type Sent, startKeeper } from '../support/custom.ts'
import { KeyRing } from '../support/key-ring.ts'

const EXAMPLE = readFileSync(
  fileURLToPath(new URL('../../examples/data/predictions.parquet', import.meta.url)),
)
const CSV = 'y,y_hat\n1,2\n3,5\n'
const WAIT = { timeout: 40_000, interval: 50 }
const MiB = 1024 * 1024

let folder: string
let server: Kept
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-uploads-'))
  server = await startKeeper({
    datasets: folder,
    uploadBytes: 8 * MiB,
    uploadTotalBytes: 12 * MiB,
    headersTimeoutMs: 300,
    bodyTimeoutMs: 400,
    uploadTimeoutMs: 3000,
  })
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

interface Put {
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
  readonly at?: Kept
}

async function put(
  id: string,
  body: string | Uint8Array,
  { headers, query = '', at = server }: Put = {},
): Promise<Sent> {
  const response = await fetch(`${at.url}/v1/datasets/${id}${query}`, {
    method: 'PUT',
    headers: { 'content-type': 'text/csv', ...headers },
    body: body as string,
  })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

/** Files that have been uploaded, or are arriving. */
function filesIn(place = folder): string[] {
  const top = join(place, '.uploads')
  if (!existsSync(top)) return []
  return readdirSync(top, { recursive: true, withFileTypes: true, encoding: 'utf8' })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
}

const evaluation = (dataset: string | string[]) => ({
  source: { dataset },
  losses: [{ loss: 'l1' }],
  columns: { predictions: 'y_hat', targets: 'y' },
})

// biome-ignore lint/suspicious/noExplicitAny: tests read many shapes
async function finished(sent: Sent, headers = {}, at = server): Promise<any> {
  expect(sent.body.detail).toBeUndefined()
  return vi.waitFor(async () => {
    const { body } = await at.send('GET', `/v1/evaluations/${sent.body.id}`, undefined, headers)
    expect(['done', 'failed', 'cancelled']).toContain(body.state)
    return body
  }, WAIT)
}

describe('a dataset', () => {
  it('is uploaded, found, listed, evaluated and deleted', async () => {
    const made = await put('monday', EXAMPLE, {
      headers: { 'content-type': 'application/vnd.apache.parquet' },
    })
    const digest = createHash('sha256').update(EXAMPLE).digest('hex')
    expect([made.status, made.headers.get('location'), made.headers.get('etag')]).toEqual([
      201,
      '/v1/datasets/monday',
      `"${digest}"`,
    ])
    expect(made.body).toMatchObject({
      id: 'monday',
      format: 'parquet',
      bytes: EXAMPLE.length,
      digest: `sha256:${digest}`,
    })
    const found = await server.send('GET', '/v1/datasets/monday')
    expect(found.body).toEqual(made.body)
    const head = await server.send('HEAD', '/v1/datasets/monday')
    expect([head.status, head.headers.get('etag'), head.body]).toEqual([200, `"${digest}"`, ''])
    expect((await server.send('GET', '/v1/datasets')).body).toEqual({ datasets: [made.body] })
    const { state, result } = await finished(
      await server.send('POST', '/v1/evaluations', evaluation('monday')),
    )
    expect([state, result.used, result.files]).toEqual(['done', 10_000, ['monday']])
    expect((await server.send('DELETE', '/v1/datasets/monday')).body).toEqual({ removed: true })
    for (const method of ['GET', 'DELETE'])
      expect((await server.send(method, '/v1/datasets/monday')).status).toBe(404)
    const gone = await server.send('POST', '/v1/evaluations', evaluation('monday'))
    expect([gone.status, gone.body.detail]).toEqual([404, 'there is no dataset "monday"'])
    expect(filesIn()).toEqual([])
  })

  it('is one file of several', async () => {
    await put('a', CSV)
    await put('b', 'y,y_hat\n1,1\n')
    const { result } = await finished(await server.send('POST', '/v1/evaluations', evaluation(['a', 'b'])))
    expect([result.used, result.losses[0].overall.mean]).toEqual([3, 1])
  })

  it('is replaced by the next one of its id, and only created if that is asked for', async () => {
    expect((await put('a', CSV)).status).toBe(200)
    const again = await put('a', 'y,y_hat\n7,7\n', {
      query: '?format=csv',
      headers: { 'content-type': 'application/octet-stream' },
    })
    expect(again.status).toBe(200)
    const refused = await put('a', CSV, { headers: { 'if-none-match': '*' } })
    expect([refused.status, refused.body.detail]).toEqual([412, 'there is a dataset "a" already'])
    expect((await server.send('GET', '/v1/datasets/a')).body.digest).toBe(again.body.digest)
    expect(filesIn().filter((name) => name.endsWith('.csv'))).toHaveLength(2)
    for (const id of ['a', 'b']) await server.send('DELETE', `/v1/datasets/${id}`)
  })

  it('may be compressed on its way', async () => {
    const sent = await put('packed', gzipSync(CSV), { headers: { 'content-encoding': 'gzip' } })
    expect([sent.status, sent.body.bytes]).toEqual([201, CSV.length])
    await server.send('DELETE', '/v1/datasets/packed')
  })

  it('is one of those that many processes put at the same time, whole', async () => {
    const bodies = Array.from({ length: 8 }, (_, i) => `y,y_hat\n${`${i},2\n`.repeat(1000)}`)
    const sent = await Promise.all(bodies.map((body) => put('race', body)))
    for (const { status } of sent) expect([200, 201]).toContain(status)
    const { digest } = (await server.send('GET', '/v1/datasets/race')).body
    const digests = bodies.map((body) => `sha256:${createHash('sha256').update(body).digest('hex')}`)
    expect(digests).toContain(digest)
    expect(filesIn()).toHaveLength(1)
    await server.send('DELETE', '/v1/datasets/race')
  })

  it.each<[string, string, string | Uint8Array, Put, number, string]>([
    ['an id that is a path', '..%2Fx', CSV, {}, 422, '/id: must have 1 to 128 letters'],
    ['an id that is hidden', '.x', CSV, {}, 422, '/id: must have'],
    ['an id that is too long', 'x'.repeat(100), CSV, {}, 201, ''],
    [
      'a type that is not known',
      'x',
      CSV,
      { headers: { 'content-type': 'image/png' } },
      415,
      'say what the body is: ?format=',
    ],
    [
      'a format that is not known',
      'x',
      CSV,
      { query: '?format=xlsx' },
      422,
      '/format: must be one of arrow, csv',
    ],
    ['no bytes', 'x', '', {}, 422, 'the body is empty'],
    [
      'another digest',
      'x',
      CSV,
      { headers: { 'content-digest': `sha-256=:${Buffer.alloc(32).toString('base64')}:` } },
      422,
      'not 0000',
    ],
    [
      'a digest that is none',
      'x',
      CSV,
      { headers: { 'content-digest': 'sha-256=:AA:' } },
      422,
      'Content-Digest must have',
    ],
    ['a body that is something else', 'x', CSV, { query: '?format=parquet' }, 422, 'the body is not Parquet'],
    [
      'Parquet that says it is npz',
      'x',
      EXAMPLE,
      { query: '?format=npz' },
      422,
      'the body is not npz; it looks like Parquet',
    ],
    ['gzip that is none', 'x', CSV, { headers: { 'content-encoding': 'gzip' } }, 400, 'the body is not gzip'],
    [
      'more bytes than its caller has',
      'x',
      new Uint8Array(9 * MiB),
      {},
      507,
      `at most ${8 * MiB} bytes together (LOSSD_UPLOAD_BYTES)`,
    ],
  ])('leaves nothing, or a whole file, with %s', async (_, id, body, more, status, detail) => {
    const before = filesIn()
    const sent = await put(id, body, more)
    expect([sent.status, sent.body.detail ?? '']).toEqual([status, expect.stringContaining(detail)])
    if (status === 201) await server.send('DELETE', `/v1/datasets/${id}`)
    await vi.waitFor(() => expect(filesIn()).toEqual(before), WAIT)
  })
})

describe('an upload', () => {
  /** A request that has begun; what the service says is in `text`. */
  function begin(length: number | 'chunked', id = 'slow'): { socket: Socket; text: () => string } {
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => {})
    const size = length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
    socket.write(`PUT /v1/datasets/${id} HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n${size}\r\n\r\n`)
    return { socket, text: () => text }
  }

  it('may take longer than other bodies, as long as bytes arrive', async () => {
    const { socket, text } = begin(CSV.length)
    for (const letter of CSV) {
      socket.write(letter)
      await sleep(80)
    }
    await vi.waitFor(() => expect(text()).toContain('HTTP/1.1 201'), WAIT)
    // The connection goes on.
    socket.write('GET /v1/datasets/slow HTTP/1.1\r\nHost: x\r\n\r\n')
    await vi.waitFor(() => expect(text()).toContain('HTTP/1.1 200'), WAIT)
    socket.destroy()
    await server.send('DELETE', '/v1/datasets/slow')
  })

  it('without a byte for a while ends with 408, and leaves nothing', async () => {
    const { socket, text } = begin(1000)
    socket.write('y,y_hat\n')
    await vi.waitFor(() => expect(text()).toMatch(/^HTTP\/1.1 408 .*request-timeout/s), WAIT)
    expect(filesIn()).toEqual([])
    socket.destroy()
  })

  it('that takes too long ends with 408, although bytes arrive', async () => {
    const { socket, text } = begin(100_000)
    const timer = setInterval(() => socket.write('1'), 100)
    await vi.waitFor(() => expect(text()).toMatch(/^HTTP\/1.1 408 /), WAIT)
    clearInterval(timer)
    socket.destroy()
    await vi.waitFor(() => expect(filesIn()).toEqual([]), WAIT)
  })

  it('that breaks leaves nothing', async () => {
    for (const kind of [100_000, 'chunked'] as const) {
      const { socket } = begin(kind)
      socket.write(kind === 'chunked' ? '8\r\ny,y_hat\n\r\n' : 'y,y_hat\n')
      await vi.waitFor(() => expect(filesIn()).toHaveLength(1), WAIT)
      socket.destroy()
      await vi.waitFor(() => expect(filesIn()).toEqual([]), WAIT)
    }
    expect((await server.send('GET', '/v1/datasets/slow')).status).toBe(404)
  })

  it('of more than is left is refused before it is read, or as soon as it is too long', async () => {
    const { socket, text } = begin(100 * MiB)
    await vi.waitFor(() => expect(text()).toMatch(/^HTTP\/1.1 507 .*storage-full/s), WAIT)
    socket.destroy()
    const chunked = begin('chunked')
    const part = Buffer.alloc(MiB, '1')
    for (let i = 0; i < 9; i++)
      chunked.socket.write(Buffer.concat([Buffer.from('100000\r\n'), part, Buffer.from('\r\n')]))
    await vi.waitFor(() => expect(chunked.text()).toMatch(/^HTTP\/1.1 507 /), WAIT)
    chunked.socket.destroy()
    await vi.waitFor(() => expect(filesIn()).toEqual([]), WAIT)
  })

  it('does not end because of the time that other bodies have, and other bodies still do', async () => {
    const { port } = new URL(server.url)
    const socket = connect(Number(port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(
      'POST /v1/losses/huber HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
    )
    await vi.waitFor(() => expect(text).toMatch(/^HTTP\/1.1 408 /), WAIT)
    socket.destroy()
  })
})

describe('with keys', () => {
  const ring = new KeyRing()
  let guarded: Kept
  let own: string
  let [acme, other] = ['', '']
  beforeAll(async () => {
    own = mkdtempSync(join(tmpdir(), 'lossd-uploads-'))
    acme = await ring.add({ grants: ['evaluate:acme'] })
    other = await ring.add({ grants: ['evaluate:acme'] })
    guarded = await startGuarded(ring, { datasets: own, uploadBytes: 1000, uploadTotalBytes: 1500 })
  })
  afterAll(async () => {
    await guarded.close()
    ring.remove()
    rmSync(own, { recursive: true })
  })
  const as = (key: string): Put => ({ headers: { ...bearer(key) }, at: guarded })

  it('datasets belong to who uploaded them, and do not exist for others', async () => {
    expect((await put('mine', CSV, as(acme))).status).toBe(201)
    expect((await guarded.send('GET', '/v1/datasets/mine', undefined, bearer(acme))).status).toBe(200)
    for (const method of ['GET', 'DELETE'])
      expect((await guarded.send(method, '/v1/datasets/mine', undefined, bearer(other))).status).toBe(404)
    expect((await guarded.send('GET', '/v1/datasets', undefined, bearer(other))).body).toEqual({
      datasets: [],
    })
    expect((await guarded.send('POST', '/v1/evaluations', evaluation('mine'), bearer(other))).status).toBe(
      404,
    )
    expect((await put('mine', 'y,y_hat\n0,0\n', as(other))).status).toBe(201)
    const mine = await guarded.send('POST', '/v1/evaluations', evaluation('mine'), bearer(acme))
    expect((await finished(mine, bearer(acme), guarded)).result.used).toBe(2)
    expect((await put('mine', CSV, { at: guarded })).status).toBe(401)
  })

  it('callers have quotas of their own, and one together', async () => {
    const big = `y,y_hat\n${'1,2\n'.repeat(230)}`
    expect((await put('big', big, as(acme))).status).toBe(201)
    expect((await put('more', big, as(acme))).body.detail).toContain('LOSSD_UPLOAD_BYTES')
    expect((await put('big', big, as(other))).body.detail).toContain('LOSSD_UPLOAD_TOTAL_BYTES')
    await guarded.send('DELETE', '/v1/datasets/big', undefined, bearer(acme))
    expect((await put('big', big, as(other))).status).toBe(201)
  })

  it('no path leads to uploads', async () => {
    const everyone = await ring.add({ grants: ['evaluate:*'] })
    for (const path of [
      '.uploads',
      '.uploads/**/*.csv',
      '**/*.csv',
      `.uploads/${readdirSync(join(own, '.uploads')).at(-1)}`,
    ]) {
      const { status } = await vi.waitFor(async () => {
        const sent = await guarded.send(
          'POST',
          '/v1/evaluations',
          { ...evaluation('x'), source: { path } },
          bearer(everyone),
        )
        expect(sent.status).not.toBe(401)
        return sent
      }, WAIT)
      expect([path, status]).toEqual([path, 422])
    }
  })
})

describe('the folder of uploads', () => {
  const limits = { bytes: 1000, totalBytes: 1000, expiryMs: 60_000, timeoutMs: 1000 }
  const upload = (id: string) => ({
    id,
    format: FORMATS.get('csv')!,
    length: undefined,
    digest: undefined,
    onlyCreate: false,
    chunks: (async function* () {
      yield Buffer.from(CSV)
    })(),
  })

  it('loses what has expired, and what dead processes have left', async () => {
    const place = mkdtempSync(join(tmpdir(), 'lossd-uploads-'))
    const uploads = new Uploads(place, limits)
    const { upload: old } = (await uploads.put('a', upload('old')))!
    await uploads.put('a', upload('new'))
    const past = new Date(Date.now() - 120_000)
    utimesSync(old.path, past, past)
    const left = join(place, '.uploads/.arriving/dead.1')
    writeFileSync(left, 'x')
    utimesSync(left, past, past)
    expect(await uploads.find('a', 'old')).toBeUndefined()
    expect((await uploads.list('a')).map(({ id }) => id)).toEqual(['new'])
    await uploads.sweep()
    expect(filesIn(place)).toHaveLength(1)
    // Another process sees the same.
    const other = new Uploads(place, limits)
    expect((await other.find('a', 'new'))?.bytes).toBe(CSV.length)
    uploads.close()
    other.close()
    rmSync(place, { recursive: true })
  })
})

it('a service without datasets, or without room for uploads, takes none', async () => {
  for (const [settings, missing] of [
    [{}, 'LOSSD_DATASETS'],
    [{ datasets: folder, uploadBytes: 0 }, 'LOSSD_UPLOAD_BYTES'],
  ] as const) {
    const other = await startKeeper(settings)
    const sent = await put('x', CSV, { at: other })
    expect([sent.status, sent.body.detail]).toEqual([501, expect.stringContaining(missing)])
    await other.close()
  }
})
