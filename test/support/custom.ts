/** Definitions of custom losses for tests, and a server with a store in a folder of its own. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../../src/config.ts'
import { startServer, type TestServer } from './server.ts'

export const ROBUST = {
  name: 'acme/robust_log',
  about: 'Cauchy-like, for prices with typos.',
  inputs: {
    predictions: { axes: '...', kind: 'real', differentiable: true },
    targets: { axes: '...', kind: 'real' },
  },
  params: {
    scale: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'In units of the targets.' },
  },
  formula: 'r = (predictions - targets) / scale\nlog1p(r^2)',
  examples: [
    {
      inputs: { predictions: [1], targets: [0] },
      loss: [0.6931471805599453],
      gradients: { predictions: [1] },
    },
  ],
}

/** A server, and helpers that send requests to it. */
export interface Kept extends TestServer {
  readonly folder: string
  send(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Sent>
}

export interface Sent {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: tests read many shapes
  readonly body: any
}

/** Stores losses in a temporary folder, which is deleted when the server is closed. */
export async function startKeeper(settings: Partial<Config> = {}): Promise<Kept> {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-custom-'))
  const server = await startServer({
    engine: 'compiled',
    threads: 1,
    store: `file:${folder}/lossd.db`,
    ...settings,
  })
  const send: Kept['send'] = async (method, path, body, headers = {}) => {
    const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const type = payload === undefined ? {} : { 'content-type': 'application/json' }
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: { ...type, ...headers },
      ...(payload === undefined ? {} : { body: payload }),
    })
    const text = await response.text()
    const isJson = text !== '' && /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text }
  }
  const close = async () => {
    await server.close()
    rmSync(folder, { recursive: true, force: true })
  }
  return { ...server, folder, send, close }
}
