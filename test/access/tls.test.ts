/** TLS: with and without client certificates, renewed while connections are open. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request as open, type RequestOptions } from 'node:https'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { startServer, type TestServer } from '../support/server.ts'

const made = (file: string) => new URL(`../support/certificates/${file}`, import.meta.url)
const read = (file: string) => readFileSync(made(file))
let folder: string
let server: TestServer
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-tls-'))
})
afterEach(() => server.close())
afterAll(() => rmSync(folder, { recursive: true }))

function use(name: string) {
  copyFileSync(made(`${name}.pem`), join(folder, 'cert.pem'))
  copyFileSync(made(`${name}.key`), join(folder, 'key.pem'))
}

const settings = () => ({ tlsCert: join(folder, 'cert.pem'), tlsKey: join(folder, 'key.pem') })
const mutual = () => ({ ...settings(), tlsClientCa: made('ca.pem').pathname })
const client = { cert: read('client.pem'), key: read('client.key') }

interface Answer {
  readonly status: number
  readonly text: string
  readonly connection: string | undefined
  /** The common name of the server's certificate. */
  readonly server: string
}

function ask(options: RequestOptions = {}, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const base = { host: '127.0.0.1', port: server.port, ca: read('ca.pem'), path: '/v1/losses/huber' }
    const type = body === undefined ? {} : { 'content-type': 'application/json' }
    const method = body === undefined ? 'GET' : 'POST'
    const sent = open({ ...base, method, agent: false, ...options, headers: type }, async (response) => {
      const name = (response.socket as TLSSocket).getPeerCertificate().subject?.CN as string
      const text = await textOf(response)
      resolve({ status: response.statusCode!, text, connection: response.headers.connection, server: name })
    })
    sent.on('error', reject)
    sent.end(body && JSON.stringify(body))
  })
}

const pair = { predictions: [1, 2], targets: [1, 4] }

describe('a service with a certificate', () => {
  it('speaks HTTPS: small and large bodies, and problems', async () => {
    use('server')
    server = await startServer(settings())
    expect((await ask({}, pair)).text).toContain('"loss":0.75')
    const large = { predictions: Array(200_000).fill(1.5), targets: Array(200_000).fill(1) }
    expect(JSON.parse((await ask({}, large)).text).loss).toBe(0.125)
    expect((await ask({ path: '/v1/losses/hubber' })).status).toBe(404)
  })

  it('closes connections that do not speak TLS, and serves others', async () => {
    use('server')
    server = await startServer(settings())
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    // What TLS says is an alert, not HTTP.
    expect(await textOf(socket).catch(() => '')).not.toContain('HTTP/')
    expect((await ask()).status).toBe(200)
  })

  it('does not speak versions that are not safe', async () => {
    use('server')
    server = await startServer(settings())
    const old = {
      ca: read('ca.pem'),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    } as const
    await expect(ask(old)).rejects.toThrow()
  })

  it('closes a connection that never finishes its handshake', async () => {
    use('server')
    server = await startServer({ ...settings(), headersTimeoutMs: 300 })
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.on('error', () => {})
    const since = performance.now()
    await new Promise((resolve) => socket.on('close', resolve).resume())
    expect(performance.now() - since).toBeLessThan(3000)
  })

  it('uses a renewed certificate for new connections, while open ones go on', async () => {
    use('server')
    server = await startServer(settings())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    expect((await ask({ agent })).server).toBe('server')
    use('renewed')
    await server.app.reload()
    expect((await ask({ agent })).server).toBe('server')
    expect((await ask()).server).toBe('renewed')
    agent.destroy()
  })

  it.each([
    ['is half replaced', () => copyFileSync(made('renewed.pem'), join(folder, 'cert.pem'))],
    ['is no certificate', () => writeFileSync(join(folder, 'cert.pem'), 'nonsense')],
    ['is gone', () => rmSync(join(folder, 'cert.pem'))],
  ])('keeps the certificate that it has if the new one %s', async (_, spoil) => {
    use('server')
    server = await startServer(settings())
    spoil()
    await server.app.reload()
    expect((await ask()).server).toBe('server')
  })

  it('drains: an idle connection is told to close, a request on its way is answered', async () => {
    use('server')
    server = await startServer(settings())
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    expect((await ask({ agent })).connection).toBe('keep-alive')
    const drained = server.app.drain()
    await new Promise((resolve) => setTimeout(resolve, 30))
    const last = await ask({ agent }, pair)
    expect([last.status, last.connection]).toEqual([200, 'close'])
    await drained
    agent.destroy()
    expect(server.app.context.connections.count).toBe(0)
  })

  it('drains connections that say nothing, before and after their handshake', async () => {
    use('server')
    server = await startServer({ ...settings(), shutdownGraceMs: 200 })
    const before = connectTcp(server.port, '127.0.0.1')
    before.on('error', () => {})
    const after = connect({ port: server.port, host: '127.0.0.1', ca: read('ca.pem') })
    await new Promise((resolve) => after.on('secureConnect', resolve))
    expect(server.app.context.connections.count).toBe(2)
    const ended = Promise.all(
      [before, after].map((one) => new Promise((resolve) => one.resume().on('end', resolve))),
    )
    await server.app.drain()
    await ended
    expect(server.app.context.connections.count).toBe(0)
  })
})

describe('a service that wants client certificates', () => {
  it('serves clients that have one of its authority, and no others', async () => {
    use('server')
    server = await startServer(mutual())
    expect((await ask(client, pair)).status).toBe(200)
    await expect(ask({}, pair)).rejects.toThrow()
    expect(server.app.isOpen).toBe(false)
  })
})

it.each([
  [
    'a certificate that does not exist',
    { tlsCert: '/nonexistent.pem' },
    /nonexistent\.pem cannot be read: ENOENT/,
  ],
  ['a key of another certificate', { tlsKey: made('renewed.key').pathname }, /cannot be used/],
])('a service with %s does not start, and says which file it is', async (_, wrong, why) => {
  use('server')
  server ??= await startServer()
  const config = { ...loadConfig({}), engine: 'interpreter' as const, ...settings(), ...wrong }
  await expect(buildApp(config)).rejects.toThrow(why)
})
