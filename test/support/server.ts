/** A real server on a real socket, in this process. */
import { afterAll, beforeAll } from 'vitest'
import { type App, buildApp } from '../../src/app.ts'
import { type Config, loadConfig } from '../../src/config.ts'

export interface TestServer {
  readonly url: string
  readonly port: number
  readonly app: App
  /** Number of tensors that the engine holds. */
  tensors(): Promise<number>
  post(loss: string, body: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>
  /** Posts JSON to a path below /v1/. */
  ask(path: string, body: unknown): Promise<Response>
  close(): Promise<void>
}

/** Starts a server on a free port of the loopback interface, with the given settings. */
export async function startServer(settings: Partial<Config> = {}): Promise<TestServer> {
  const app = await buildApp({ ...loadConfig({}), engine: 'wasm', ...settings })
  const url = await app.fastify.listen({ port: 0, host: '127.0.0.1' })
  const json = { 'content-type': 'application/json' }
  return {
    url,
    port: Number(new URL(url).port),
    app,
    tensors: async () => (await app.context.engine.stats()).tensors,
    post: (loss, body, headers = json) => {
      const payload = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
      return fetch(`${url}/v1/losses/${loss}`, { method: 'POST', headers, body: payload as string })
    },
    ask: (path, body) =>
      fetch(`${url}/v1/${path}`, { method: 'POST', headers: json, body: JSON.stringify(body) }),
    close: () => app.fastify.close(),
  }
}

/** One server for all tests of a file: started before the first of them, closed after the last. */
export function sharedServer(settings: Partial<Config> = {}): Omit<TestServer, 'close'> {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer(settings)
  })
  afterAll(() => server.close())
  return {
    get url() {
      return server.url
    },
    get port() {
      return server.port
    },
    get app() {
      return server.app
    },
    tensors: () => server.tensors(),
    post: (...request) => server.post(...request),
    ask: (...request) => server.ask(...request),
  }
}

/** Numbers at any nesting depth; the test knows which. */
type Numbers = number & number[] & number[][] & number[][][]

/** A JSON response. */
export interface JsonAnswer {
  readonly loss: Numbers
  readonly gradients: Readonly<Record<string, Numbers>>
  readonly denominator: number
  readonly count: number
  readonly finite: boolean
}

/** A safetensors file, written independently of the service. */
export function safetensors(
  tensors: Readonly<Record<string, { dtype: string; shape: readonly number[]; bytes: Uint8Array }>>,
  metadata: Readonly<Record<string, unknown>> = {},
): Buffer {
  const strings = Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [name, JSON.stringify(value)]),
  )
  const header: Record<string, object> = { __metadata__: strings }
  let offset = 0
  for (const [name, { dtype, shape, bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  return safetensorsFrom(
    JSON.stringify(header),
    Buffer.concat(Object.values(tensors).map(({ bytes }) => bytes)),
  )
}

/** A safetensors file with any header text, valid or not. */
export function safetensorsFrom(header: string | Buffer, data: Uint8Array, length?: bigint): Buffer {
  const text = Buffer.from(header as string)
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(length ?? BigInt(text.length))
  return Buffer.concat([size, text, data])
}

export function f32(...numbers: number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(numbers).buffer)
}

/** Reads a response: float32 and float64 tensors by name, and the parsed metadata. */
export function readSafetensors(body: Buffer): {
  tensors: Map<string, number[]>
  members: Record<string, unknown>
} {
  const length = Number(body.readBigUInt64LE(0))
  const header = JSON.parse(body.subarray(8, 8 + length).toString())
  const tensors = new Map<string, number[]>()
  for (const [name, entry] of Object.entries<{ dtype: string; data_offsets: [number, number] }>(header)) {
    if (name === '__metadata__') continue
    const [from, to] = entry.data_offsets
    const bytes = Uint8Array.from(body.subarray(8 + length + from, 8 + length + to)).buffer
    tensors.set(name, Array.from(entry.dtype === 'F64' ? new Float64Array(bytes) : new Float32Array(bytes)))
  }
  const strings: Record<string, string> = header.__metadata__ ?? {}
  const members = Object.fromEntries(Object.entries(strings).map(([name, text]) => [name, JSON.parse(text)]))
  return { tensors, members }
}
