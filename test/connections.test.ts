/** Connection draining loses no request in flight, and clients that stop reading are disconnected. */
import dns, { type LookupOptions } from 'node:dns'
import { once } from 'node:events'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type App, buildApp } from '../src/app.ts'
import { type Config, loadConfig } from '../src/config.ts'

interface Line {
  readonly level: string
  readonly message: string
}

interface Started {
  readonly app: App
  readonly port: number
  readonly lines: Line[]
}

const apps: App[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const { fastify } of apps.splice(0)) await fastify.close()
})

async function start(settings: Partial<Config> = {}, host = '127.0.0.1'): Promise<Started> {
  const lines: Line[] = []
  const log = Object.fromEntries(
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace'].map((level) => [
      level,
      (_: object, message: string) => lines.push({ level, message }),
    ]),
  )
  const app = await buildApp({ ...loadConfig({}), engine: 'wasm', ...settings }, { log: log as never })
  apps.push(app)
  const url = await app.fastify.listen({ port: 0, host })
  return { app, port: Number(new URL(url).port), lines }
}

type Lookup = [host: string, options: LookupOptions, done: (error: null, found: unknown) => void]

/** A connection that collects what it receives. */
async function dial(port: number, host = '127.0.0.1') {
  const socket = connect({ port, host, allowHalfOpen: true })
  sockets.push(socket)
  const heard = { text: '', ended: false, error: undefined as Error | undefined }
  socket.on('data', (data) => {
    heard.text += data.toString('latin1')
  })
  socket.on('end', () => {
    heard.ended = true
  })
  socket.on('error', (error) => {
    heard.error = error
  })
  await once(socket, 'connect')
  return { socket, heard }
}

const pair = { predictions: [1, 2], targets: [1, 3] }
const requestOf = (body: unknown, loss = 'mse') => {
  const text = JSON.stringify(body)
  const head = `POST /v1/losses/${loss} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
  return `${head}Content-Length: ${text.length}\r\n\r\n${text}`
}
const answersIn = (text: string) => text.split('HTTP/1.1 200 OK').length - 1

async function until(holds: () => boolean | Promise<boolean>) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A number when it has not changed for a while: the system takes a part of a response before the rest waits. */
async function settled(read: () => number): Promise<number> {
  for (let last = Number.NaN; ; ) {
    if (read() === last) return last
    last = read()
    await new Promise((resolve) => setTimeout(resolve, 300))
  }
}

/** Waits until the connection is accepted, not only established. */
async function welcomed(port: number, host?: string) {
  const line = await dial(port, host)
  line.socket.write(requestOf(pair))
  await until(() => answersIn(line.heard.text) === 1)
  return line
}

describe('a drained server', () => {
  it('responds on open connections one last time, and accepts no new ones', async () => {
    const { app, port } = await start({ shutdownGraceMs: 60_000 })
    const { socket, heard } = await welcomed(port)
    expect(heard.text).not.toMatch(/connection: close/i)
    const drained = app.drain()
    await until(() => !app.fastify.server.listening)
    await expect(dial(port)).rejects.toThrow('ECONNREFUSED')
    socket.write(requestOf(pair))
    await until(() => heard.ended)
    expect(answersIn(heard.text)).toBe(2)
    expect(heard.text).toMatch(/connection: close/i)
    expect(heard.error).toBeUndefined()
    socket.end()
    await drained
  })

  it('responds to all pipelined requests, and closes with the last response', async () => {
    const { app, port } = await start({ shutdownGraceMs: 60_000 })
    const { socket, heard } = await welcomed(port)
    const drained = app.drain()
    await until(() => !app.fastify.server.listening)
    const slow = {
      embeddings: Array.from({ length: 200 }, (_, i) => [Math.sin(i), 1]),
      labels: Array(200).fill(0),
    }
    socket.write(requestOf(slow, 'nt_xent') + requestOf(pair) + requestOf(pair))
    await until(() => heard.ended)
    expect(answersIn(heard.text)).toBe(4)
    expect(heard.text.match(/connection: close/gi)).toHaveLength(1)
    socket.end()
    await drained
  })

  it('closes idle connections after the grace period, without a reset', async () => {
    const { app, port } = await start({ shutdownGraceMs: 100 })
    const { socket, heard } = await welcomed(port)
    const drained = app.drain()
    await until(() => heard.ended)
    // A request that is sent while the server closes the connection.
    socket.write(requestOf(pair))
    await drained
    expect(heard.error).toBeUndefined()
    expect(answersIn(heard.text)).toBe(1)
  })

  it('waits for an upload in progress when the grace period ends, and responds to it', async () => {
    const { app, port } = await start({ shutdownGraceMs: 100 })
    const { socket, heard } = await dial(port)
    const request = requestOf(pair)
    socket.write(request.slice(0, -5))
    await until(() => app.context.connections.count === 1)
    const other = await welcomed(port)
    const drained = app.drain()
    await until(() => other.heard.ended)
    other.socket.end()
    socket.write(request.slice(-5))
    await until(() => heard.ended)
    expect(answersIn(heard.text)).toBe(1)
    socket.end()
    await drained
  })

  it('closes both addresses of localhost without losing requests', async () => {
    // Not every machine has both.
    const addresses = ['127.0.0.1', '::1'].map((address, i) => ({ address, family: i === 0 ? 4 : 6 }))
    const { lookup } = dns
    vi.spyOn(dns, 'lookup').mockImplementation(((...[host, options, done]: Lookup) =>
      options.all === true ? done(null, addresses) : lookup(host, options, done as never)) as never)
    const { app, port } = await start({ shutdownGraceMs: 60_000 }, 'localhost')
    vi.restoreAllMocks()
    const hosts = app.fastify.addresses().map((address) => (address as AddressInfo).address)
    expect(hosts.sort()).toEqual(['127.0.0.1', '::1'])
    const lines = await Promise.all(hosts.map((host) => welcomed(port, host)))
    const drained = app.drain()
    await until(() => !app.fastify.server.listening)
    for (const [i, { socket, heard }] of lines.entries()) {
      await expect(dial(port, hosts[i])).rejects.toThrow('ECONNREFUSED')
      socket.write(requestOf(pair))
      await until(() => heard.ended)
      expect(answersIn(heard.text)).toBe(2)
      expect(heard.error).toBeUndefined()
      socket.end()
    }
    await drained
  })
})

/** Its response is larger than the socket buffers of the system. */
const large = { predictions: Array(1_500_000).fill(0.123), targets: Array(1_500_000).fill(0) }
const statusCount = async (port: number, status: number) => {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  return Number(new RegExp(`lossd_requests_total{.*status="${status}"} (\\d+)`).exec(text)?.[1] ?? 0)
}

describe('a client that reads nothing', () => {
  const settings = {
    writeTimeoutMs: 1000,
    jsonBodyLimit: 2 ** 25,
    outboundBytes: 2 ** 20,
    compressBytes: 2 ** 30,
  }

  async function stalled({ port, app }: Started) {
    const { socket } = await dial(port)
    socket.pause()
    socket.write(requestOf({ ...large, reduction: 'none' }))
    await until(() => app.context.responses.unread > 0)
    return socket
  }

  it('is disconnected, counted as 499 and logged in one line', async () => {
    const started = await start(settings)
    await stalled(started)
    await until(() => started.app.context.responses.unread === 0)
    await until(() => started.app.context.connections.count <= 1)
    expect(await statusCount(started.port, 499)).toBe(1)
    expect(started.lines.filter(({ message }) => message.includes('stopped reading'))).toHaveLength(1)
  })

  it('blocks others only until then, and rejected bodies are not read', async () => {
    const started = await start(settings)
    await stalled(started)
    const { socket, heard } = await dial(started.port)
    // Nothing of the body is sent.
    socket.write(`${requestOf(pair).split('\r\n\r\n')[0]}\r\n\r\n`)
    await until(() => heard.text.includes('503'))
    expect(heard.text).toMatch(/retry-after: 1/i)
    expect(heard.text).toContain('answers-unread')
    await until(() => started.app.context.responses.unread === 0)
    await welcomed(started.port)
  })

  it('frees its memory even if its responses were queued on one connection', async () => {
    // Nobody is disconnected while a busy machine still computes.
    const started = await start({ ...settings, outboundBytes: 2 ** 30, writeTimeoutMs: 60_000 })
    const single = await stalled(started)
    const one = await settled(() => started.app.context.responses.unread)
    const { socket } = await dial(started.port)
    socket.pause()
    // Node stops reading when a request begins while a response waits, so both are sent at once.
    socket.write(requestOf({ ...large, reduction: 'none' }).repeat(2))
    await until(() => started.app.context.responses.unread > 2.8 * one)
    for (const line of [single, socket]) line.destroy()
    await until(() => started.app.context.responses.unread === 0)
  })

  it('is not the same as a client that reads slowly', async () => {
    const { port, lines } = await start({ ...settings, writeTimeoutMs: 500 })
    const { socket, heard } = await dial(port)
    socket.pause()
    socket.write(requestOf(large))
    for (let i = 0; i < 8; i++) {
      await new Promise((resolve) => setTimeout(resolve, 250))
      // The system reports writable space only when there is enough of it.
      const before = heard.text.length
      socket.resume()
      await until(() => heard.text.length > before + 2 ** 20 || heard.text.endsWith('}'))
      socket.pause()
    }
    expect(lines.filter(({ message }) => message.includes('stopped reading'))).toEqual([])
  })
})

it('an aborted upload is logged in one line as 499, not as an error', async () => {
  const { port, lines } = await start()
  const { socket } = await dial(port)
  socket.write(requestOf(pair).slice(0, -5))
  await new Promise((resolve) => setTimeout(resolve, 50))
  socket.resetAndDestroy()
  await until(async () => (await statusCount(port, 499)) === 1)
  expect(lines.map(({ level, message }) => `${level}: ${message}`)).toEqual(['info: the client disconnected'])
})
