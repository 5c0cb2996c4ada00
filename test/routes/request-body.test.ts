/** Request bodies: complete whatever their size and chunks, rejected beyond the limit, with memory from a pool. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { type Body, BodyPool, POOLED_BYTES, receiveBody } from '../../src/routes/request-body.ts'

const MiB = 2 ** 20
const LIMIT = 4 * MiB

let server: Server
let port: number
let heard: (raw: IncomingMessage) => void
beforeAll(async () => {
  server = createServer((raw, response) => {
    response.on('error', () => {})
    heard(raw)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** The result of one body; `speak` writes to the connection after the headers. */
function receive(pool: BodyPool, head: string, speak: (socket: Socket) => void): Promise<Body | Error> {
  return new Promise((resolve) => {
    heard = (raw) => receiveBody(raw, LIMIT, pool, { take: resolve, fail: resolve })
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`POST / HTTP/1.1\r\nHost: lossd\r\n${head}\r\n\r\n`)
    speak(socket)
  })
}

const bytesOf = (length: number) => Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 31) ^ (i >> 8)))
const whole = (pool: BodyPool, body: Buffer) =>
  receive(pool, `Content-Length: ${body.length}`, (socket) => socket.write(body)) as Promise<Body>

describe('a body', () => {
  it.each([0, 1, 1000, POOLED_BYTES - 1, POOLED_BYTES, 300_000, 3 * MiB + 5, LIMIT])(
    'of %i bytes arrives as it was sent',
    async (length) => {
      const sent = bytesOf(length)
      expect(sent.equals((await whole(new BodyPool(16 * MiB), sent)).bytes)).toBe(true)
    },
  )

  it('leaves nothing behind of the pieces in which a large one arrived', async () => {
    const pieces: Buffer[] = []
    const sent = bytesOf(3 * MiB)
    const got = await new Promise<Body | Error>((resolve) => {
      heard = (raw) => {
        raw.on('data', (piece: Buffer) => pieces.push(piece))
        receiveBody(raw, LIMIT, new BodyPool(16 * MiB), { take: resolve, fail: resolve })
      }
      connect(port, '127.0.0.1').end(
        Buffer.concat([
          Buffer.from(`POST / HTTP/1.1\r\nHost: lossd\r\nContent-Length: ${sent.length}\r\n\r\n`),
          sent,
        ]),
      )
    })
    expect(sent.equals((got as Body).bytes)).toBe(true)
    expect(pieces.length).toBeGreaterThan(10)
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThan(4096)
  })

  it('arrives in chunks as in one piece', async () => {
    const sent = bytesOf(200_000)
    const got = await receive(new BodyPool(16 * MiB), 'Transfer-Encoding: chunked', (socket) => {
      for (let at = 0; at < sent.length; at += 50_000) {
        socket.write(`${(50_000).toString(16)}\r\n`)
        socket.write(sent.subarray(at, at + 50_000))
        socket.write('\r\n')
      }
      socket.write('0\r\n\r\n')
    })
    expect(sent.equals((got as Body).bytes)).toBe(true)
  })

  it('arrives among many others without mixing them up', async () => {
    const pool = new BodyPool(4 * MiB)
    const sent = Array.from({ length: 6 }, (_, i) => Buffer.alloc(MiB + i, i + 1))
    const waiting = new Map<number, (body: Body) => void>()
    heard = (raw) => {
      const take = (body: Body) => waiting.get(Number(raw.headers['x-place']))!(body)
      receiveBody(raw, LIMIT, pool, { take, fail: () => {} })
    }
    const got = sent.map((body, i) => {
      const socket = connect(port, '127.0.0.1')
      socket.write(
        `POST / HTTP/1.1\r\nHost: lossd\r\nX-Place: ${i}\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      socket.write(body)
      return new Promise<Body>((resolve) => waiting.set(i, resolve))
    })
    for (const [i, body] of (await Promise.all(got)).entries()) expect(sent[i]!.equals(body.bytes)).toBe(true)
    expect(pool.bytes).toBeLessThanOrEqual(4 * MiB)
  })

  it('beyond the limit is rejected at once', async () => {
    const pool = new BodyPool(16 * MiB)
    const chunk = `${MiB.toString(16)}\r\n${'x'.repeat(MiB)}\r\n`
    const got = await receive(pool, 'Transfer-Encoding: chunked', (socket) => socket.write(chunk.repeat(5)))
    expect(got).toBeInstanceOf(Problem)
    expect((got as Problem).code).toBe('payload-too-large')
  })

  it('whose client disconnects releases its memory', async () => {
    const pool = new BodyPool(16 * MiB)
    const got = await receive(pool, `Content-Length: ${MiB}`, (socket) => {
      socket.write(Buffer.alloc(MiB / 2), () => socket.destroy())
    })
    expect(got).toBeInstanceOf(Error)
    const held = pool.bytes
    await whole(pool, bytesOf(MiB))
    expect(pool.bytes).toBe(held)
  })
})

describe('the buffer pool', () => {
  it('reuses memory that nobody reads, and never memory that somebody may read', () => {
    const pool = new BodyPool(4 * MiB)
    const first = pool.take(MiB)!
    pool.giveBack(first)
    expect(pool.take(MiB - 1) === first).toBe(true)
    pool.forget(first)
    expect(pool.take(MiB) === first).toBe(false)
  })

  it('is bounded, and drops idle memory for other sizes', () => {
    const pool = new BodyPool(4 * MiB)
    const first = pool.take(3 * MiB)!
    expect(pool.take(2 * MiB)).toBeUndefined()
    pool.giveBack(first)
    expect(pool.take(2 * MiB)).toBeDefined()
    expect(pool.bytes).toBe(2 * MiB)
  })
})
