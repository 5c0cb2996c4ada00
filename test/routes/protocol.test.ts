/** Raw bytes on a real socket: requests that violate HTTP are rejected properly, and the next request is served. */
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { handleClientError } from '../../src/http.ts'
import { startServer, type TestServer } from '../support/server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({
    headersTimeoutMs: 600,
    bodyTimeoutMs: 1200,
    binaryBodyLimit: 100_000,
    jsonBodyLimit: 50_000,
  })
})
afterAll(() => server.close())

interface Spoken {
  readonly text: string
  readonly closed: boolean
}

/** Sends bytes and reads until the server closes the connection, or nothing arrives for `quietMs`. */
function speak(chunks: readonly (string | Buffer)[], { quietMs = 400, gapMs = 0 } = {}): Promise<Spoken> {
  return new Promise((resolve) => {
    const socket = connect(server.port, '127.0.0.1')
    let text = ''
    let quiet: NodeJS.Timeout
    const finish = (closed: boolean) => {
      clearTimeout(quiet)
      socket.destroy()
      resolve({ text, closed })
    }
    const restart = () => {
      clearTimeout(quiet)
      quiet = setTimeout(() => finish(false), quietMs)
    }
    socket.on('data', (data) => {
      text += data.toString('latin1')
      restart()
    })
    socket.on('close', () => finish(true))
    socket.on('error', () => finish(true))
    socket.on('connect', async () => {
      restart()
      for (const chunk of chunks) {
        socket.write(chunk)
        if (gapMs > 0) await new Promise((next) => setTimeout(next, gapMs))
      }
    })
  })
}

const BODY = '{"predictions":[1,2],"targets":[1,3]}'
const head = (lines: readonly string[], path = '/v1/losses/huber', method = 'POST') =>
  [`${method} ${path} HTTP/1.1`, 'Host: lossd', ...lines, '', ''].join('\r\n')
const json = (length: number | string = BODY.length) => [
  'Content-Type: application/json',
  `Content-Length: ${length}`,
]
const request = head(json()) + BODY
const statusesOf = (text: string) =>
  [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map((match) => Number(match[1]))

interface Row {
  readonly id: string
  readonly what: string
  readonly bytes: readonly string[]
  readonly status: number
  readonly closes?: boolean
  readonly has?: RegExp
}

const rows: Row[] = [
  {
    id: 'P1',
    what: 'length and chunks together',
    bytes: [`${head([...json(), 'Transfer-Encoding: chunked'])}0\r\n\r\n${request}`],
    status: 400,
    closes: true,
  },
  {
    id: 'P2',
    what: 'two lengths',
    bytes: [head([...json(3), 'Content-Length: 4'])],
    status: 400,
    closes: true,
  },
  { id: 'P2', what: 'a negative length', bytes: [head(json(-1))], status: 400, closes: true },
  {
    id: 'P2',
    what: 'a length beyond 2^64',
    bytes: [head(json('99999999999999999999999'))],
    status: 400,
    closes: true,
  },
  {
    id: 'P3',
    what: 'a length of 100 GB',
    bytes: [head(json(99_999_999_999)), 'x'],
    status: 413,
    closes: true,
  },
  {
    id: 'P4',
    what: 'a chunk size that is none',
    bytes: [`${head(['Content-Type: application/json', 'Transfer-Encoding: chunked'])}ZZ\r\n`],
    status: 400,
    closes: true,
  },
  {
    id: 'P5',
    what: 'a chunk extension of 70 kB',
    bytes: [
      `${head(['Content-Type: application/json', 'Transfer-Encoding: chunked'])}1;${'x'.repeat(70_000)}\r\n`,
    ],
    status: 413,
    closes: true,
  },
  {
    id: 'P5',
    what: 'more chunks than the limit',
    bytes: [
      `${head(['Content-Type: application/json', 'Transfer-Encoding: chunked'])}${'1\r\n \r\n'.repeat(60_000)}0\r\n\r\n`,
    ],
    status: 413,
    closes: true,
  },
  {
    id: 'P6',
    what: 'headers of 20 kB',
    bytes: [head([`X-Long: ${'x'.repeat(20_000)}`], '/health/live', 'GET')],
    status: 431,
    closes: true,
  },
  {
    id: 'P6',
    what: 'a URL of 20 kB',
    bytes: [head([], `/${'x'.repeat(20_000)}`, 'GET')],
    status: 431,
    closes: true,
  },
  {
    id: 'P7',
    what: '500 tiny headers',
    bytes: [
      head(
        Array.from({ length: 500 }, (_, i) => `a${i}: 1`),
        '/health/live',
        'GET',
      ),
    ],
    status: 431,
  },
  { id: 'P8', what: 'no Host', bytes: ['GET /health/live HTTP/1.1\r\n\r\n'], status: 400, closes: true },
  {
    id: 'P8',
    what: 'a folded header',
    bytes: ['GET /health/live HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n'],
    status: 400,
    closes: true,
  },
  { id: 'P8', what: 'a TLS hello', bytes: ['\x16\x03\x01\x02\x00\x01\x00'], status: 400, closes: true },
  {
    id: 'P8',
    what: 'an HTTP/2 preface',
    bytes: ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    status: 400,
    closes: true,
  },
  {
    id: 'P9',
    what: '100-continue for a body that is too large',
    bytes: [head([...json(99_999_999), 'Expect: 100-continue'])],
    status: 413,
    has: /^HTTP\/1\.1 413/,
  },
  {
    id: 'P9',
    what: '100-continue for one that is not',
    bytes: [head([...json(), 'Expect: 100-continue']), BODY],
    status: 100,
    has: /HTTP\/1\.1 100[\s\S]*HTTP\/1\.1 200/,
  },
  {
    id: 'P9',
    what: '100-continue for JSON that only a binary body may be as large as',
    bytes: [head([...json(60_000), 'Expect: 100-continue'])],
    status: 413,
    has: /^HTTP\/1\.1 413/,
  },
  {
    id: 'P9',
    what: '100-continue for what could not be answered',
    bytes: [head([...json(), 'Expect: 100-continue', 'Accept: image/png'])],
    status: 406,
    has: /^HTTP\/1\.1 406/,
  },
  {
    id: 'P12',
    what: 'POST without a Content-Type to where nothing is',
    bytes: [head([], '/nowhere')],
    status: 404,
  },
  {
    id: 'P10',
    what: 'an expectation that is magic',
    bytes: [head([...json(), 'Expect: magic'])],
    status: 417,
  },
  {
    id: 'P11',
    what: 'bad percent-encoding',
    bytes: [head([], '/v1/losses/%zz', 'GET')],
    status: 400,
    has: /bad-request/,
  },
  {
    id: 'P11',
    what: 'a name of 200 characters',
    bytes: [head([], `/v1/losses/${'x'.repeat(200)}`, 'GET')],
    status: 414,
    has: /uri-too-long/,
  },
  {
    id: 'P12',
    what: 'a wrong method',
    bytes: [head([], '/v1/losses', 'DELETE')],
    status: 405,
    has: /allow: GET, HEAD/i,
  },
  {
    id: 'P12',
    what: 'GET where a loss is posted, by an unknown method',
    bytes: [head([], '/v1/losses/huber', 'PUT')],
    status: 405,
    has: /allow: GET, HEAD, POST/i,
  },
  {
    id: 'P13',
    what: 'an Accept that is an image',
    bytes: [head([...json(), 'Accept: image/png']) + BODY],
    status: 406,
    has: /application\/json, application\/x-safetensors/,
  },
  {
    id: 'P14',
    what: 'no Content-Type',
    bytes: [head([`Content-Length: ${BODY.length}`]) + BODY],
    status: 415,
    has: /accept: application\/json, application\/x-safetensors/i,
  },
  {
    id: 'P14',
    what: 'two media types',
    bytes: [head(['Content-Type: application/json, text/plain', `Content-Length: ${BODY.length}`]) + BODY],
    status: 415,
  },
  {
    id: 'P14',
    what: 'another charset',
    bytes: [
      head(['Content-Type: application/json; charset=utf-16', `Content-Length: ${BODY.length}`]) + BODY,
    ],
    status: 415,
  },
  {
    id: 'P14',
    what: 'a charset that is fine',
    bytes: [head(['Content-Type: application/json; charset=UTF-8', `Content-Length: ${BODY.length}`]) + BODY],
    status: 200,
  },
  {
    id: 'CVE-2026-25223',
    what: 'a tab in Content-Type',
    bytes: [head(['Content-Type: application/json\t;x', `Content-Length: ${BODY.length}`]) + BODY],
    status: 415,
  },
  {
    id: 'B13',
    what: 'a transfer coding beside chunked',
    bytes: [`${head(['Content-Type: application/json', 'Transfer-Encoding: gzip, chunked'])}0\r\n\r\n`],
    status: 501,
    has: /only supported transfer coding is chunked/,
  },
  {
    id: 'B13',
    what: 'a content encoding',
    bytes: [head([...json(), 'Content-Encoding: compress']) + BODY],
    status: 415,
    has: /accept-encoding: .*gzip, deflate/i,
  },
  {
    id: 'B13',
    what: 'the content encoding that is none, in capitals',
    bytes: [head([...json(), 'Content-Encoding: Identity']) + BODY],
    status: 200,
  },
  {
    id: 'P15',
    what: 'a malformed traceparent',
    bytes: [head([...json(), 'traceparent: 00-zz', `tracestate: ${'x'.repeat(10_000)}`]) + BODY],
    status: 200,
  },
  {
    id: 'P15',
    what: 'an all-zero traceparent',
    bytes: [head([...json(), `traceparent: 00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`]) + BODY],
    status: 200,
  },
  {
    id: 'O',
    what: 'a deadline that is no number',
    bytes: [head([...json(), 'X-Request-Timeout-Ms: soon']) + BODY],
    status: 422,
  },
  {
    id: 'O7',
    what: 'headers that never end',
    bytes: ['POST /v1/losses/huber HTTP/1.1\r\nHost: x\r\n'],
    status: 408,
    closes: true,
  },
  {
    id: 'O7',
    what: 'a body that stalls',
    bytes: [head(json()), BODY.slice(0, 10)],
    status: 408,
    closes: true,
  },
]

describe('a request that violates HTTP', () => {
  it.each(rows.map((row) => [row.id, row.what, row.status, row] as const))(
    '%s %s: %d',
    async (_id, _what, _status, row) => {
      const { text, closed } = await speak(row.bytes, {
        quietMs: row.status === 408 || row.closes ? 5000 : 400,
      })
      expect(statusesOf(text)[0], text.slice(0, 300)).toBe(row.status)
      if (row.closes) expect(closed).toBe(true)
      if (row.has) expect(text).toMatch(row.has)
      if (row.status >= 400) {
        expect(text).toContain('application/problem+json')
        const id = /x-request-id: (.+)\r/i.exec(text)?.[1]
        expect(id, text).toMatch(/^[\w-]{8,}$/)
        expect(text).toContain(`"requestId":"${id}"`)
      }
      expect((await fetch(`${server.url}/health/live`)).status).toBe(200)
    },
  )

  it('P8 HTTP/0.9 is rejected', async () => {
    const { text } = await speak(['GET /health/live\r\n\r\n'])
    expect(text).not.toContain('"live"')
  })

  it('O7 a body that arrives too slowly is rejected', async () => {
    const drops = [head(json(1000)), ...Array(20).fill('x')]
    const { text } = await speak(drops, { gapMs: 150, quietMs: 3000 })
    expect(statusesOf(text)).toEqual([408])
  })
})

describe('a verb', () => {
  const routes = async (method: string, path: string) => {
    const response = await fetch(`${server.url}${path}`, { method })
    const { type } = (await response.json()) as { type: string }
    return [response.status, type.split(':').at(-1), response.headers.get('allow')]
  }

  it.each([
    ['GET', '/v1/losses/huber:check'],
    ['PUT', '/v1/losses/huber:check'],
    ['DELETE', '/v1/losses/acme/robust:constant'],
    ['GET', '/v1/losses/acme/robust@2:check?of=a:b'],
    ['GET', '/v1/losses:analyze'],
  ])('has no %s, and says which method it has: %s', async (method, path) => {
    expect(await routes(method, path)).toEqual([405, 'method-not-allowed', 'POST'])
  })

  it.each(['/v1/losses/huber:nothing', '/v1/losses/hubber?x=a:check'])(
    'that there is not is part of a name: %s',
    async (path) => {
      expect(await routes('GET', path)).toEqual([404, 'unknown-loss', null])
    },
  )
})

describe('a connection', () => {
  it('is cut off by bytes that are no request while a response is being sent, which nothing may get into', async () => {
    const streaming = createServer((_, response) => void response.write('begun'))
    streaming.on('clientError', (error, socket) => handleClientError(error, socket as Socket))
    await new Promise<void>((resolve) => streaming.listen(0, '127.0.0.1', resolve))
    const socket = connect((streaming.address() as AddressInfo).port, '127.0.0.1')
    let text = ''
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => {})
    socket.on('data', (data) => {
      if (text === '') socket.write('GARBAGE\r\n\r\n')
      text += data.toString('latin1')
    })
    socket.write('GET / HTTP/1.1\r\nHost: lossd\r\n\r\n')
    await closed
    streaming.close()
    expect(statusesOf(text)).toEqual([200])
  })

  it('P16 responds to 50 pipelined requests in order', async () => {
    const bodies = Array.from(
      { length: 50 },
      (_, i) => `{"predictions":[${i}],"targets":[0],"reduction":"sum"}`,
    )
    const { text } = await speak(
      [bodies.map((body) => head(json(body.length), '/v1/losses/l1') + body).join('')],
      { quietMs: 1000 },
    )
    const losses = [...text.matchAll(/"loss":(\d+)/g)].map((match) => Number(match[1]))
    expect(losses).toEqual(bodies.map((_, i) => i))
  })

  it('P17 stays in sync after an error in the middle of a body', async () => {
    const { text } = await speak([head([...json(40_000), 'Accept: image/png']), 'x'.repeat(40_000) + request])
    expect(statusesOf(text)).toEqual([406, 200])
  })

  it.each([
    ['more than a megabyte', json(2_000_000)],
    ['unknown size', [...json().slice(0, 1), 'Transfer-Encoding: chunked']],
    ['a client that waits for 100 Continue', [...json(40_000), 'Expect: 100-continue']],
  ])('P17 is closed after an error in the middle of a body of %s', async (_, lines) => {
    const { text, closed } = await speak(
      [head([...lines, 'Accept: image/png']), '3e8\r\n', 'x'.repeat(1000)],
      { quietMs: 4000 },
    )
    expect([statusesOf(text), closed]).toEqual([[406], true])
    expect(text).toMatch(/^connection: close/im)
  })

  it('P17 is closed after an error in the middle of a body whose rest never arrives', async () => {
    const { text, closed } = await speak([head([...json(40_000), 'Accept: image/png']), 'x'], {
      quietMs: 5000,
    })
    expect([statusesOf(text), closed]).toEqual([[406], true])
  })

  it('P17 is still read after an error, so that a client that writes first sees the response', async () => {
    const socket = connect(server.port, '127.0.0.1')
    const text = await new Promise<string>((resolve, reject) => {
      let answer = ''
      socket.once('error', reject)
      socket.on('close', () => resolve(answer))
      // Like Python's http.client, which reads nothing before it has written everything.
      socket.write(head(json(30_000_000)) + ' '.repeat(30_000_000), () => {
        socket.on('data', (data) => {
          answer += data
        })
      })
    })
    expect(statusesOf(text)).toEqual([413])
  })

  it('counts requests that were rejected before they were computed', async () => {
    await server.post('dice', BODY, { 'content-type': 'application/json', accept: 'image/png' })
    const text = await (await fetch(`${server.url}/metrics`)).text()
    expect(text).toContain('lossd_requests_total{loss="dice",format="json",status="406"} 1')
  })

  it('returns the request id, and creates one if there is none', async () => {
    const own = await server.post('mse', BODY, {
      'content-type': 'application/json',
      'x-request-id': 'job-42',
    })
    expect(own.headers.get('x-request-id')).toBe('job-42')
    const strange = await server.post('mse', BODY, {
      'content-type': 'application/json',
      'x-request-id': 'a b',
    })
    const next = await server.post('mse', BODY)
    expect(strange.headers.get('x-request-id')).toMatch(/^[\w-]{8}-\w+$/)
    expect(next.headers.get('x-request-id')).not.toBe(strange.headers.get('x-request-id'))
  })

  it('O10 a client that disconnects frees its place', async () => {
    const rows = Array.from({ length: 900 }, () => [0.5, 1.5])
    const body = JSON.stringify({ embeddings: rows, labels: rows.map((_, i) => i % 2) })
    const socket = connect(server.port, '127.0.0.1')
    socket.write(head(json(body.length), '/v1/losses/nt_xent') + body)
    await new Promise((resolve) => setTimeout(resolve, 15))
    socket.destroy()
    for (;;) {
      const text = await (await fetch(`${server.url}/metrics`)).text()
      if (text.includes('lossd_requests_total{loss="nt_xent",format="json",status="499"} 1')) break
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    expect(server.app.context.batcher.depth().jobs).toBe(0)
  })
})
