/** The rest of the service: catalog, documentation, health, metrics, deadlines. */
import { beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { formats } from '../../src/wire/index.ts'
import { expectClose } from '../support/close.ts'
import { oracleNumbers } from '../support/oracles.ts'
import { type JsonAnswer, sharedServer } from '../support/server.ts'

const server = sharedServer()

const { losses } = await loadCatalog()
const get = async <T = unknown>(path: string): Promise<T> => {
  const response = await fetch(server.url + path)
  expect(response.status).toBe(200)
  return (await response.json()) as T
}

describe('the catalog', () => {
  it('lists every loss', async () => {
    const listed = (await get<{ losses: { name: string }[] }>('/v1/losses')).losses
    expect(listed.map(({ name }) => name).sort()).toEqual(losses.map(({ name }) => name).sort())
  })

  it.each(losses.map(({ name, aliases }) => [name, aliases] as const))(
    'describes %s, by its aliases, too',
    async (name, aliases) => {
      const described = await get(`/v1/losses/${name}`)
      for (const key of [
        'formula',
        'latex',
        'inputs',
        'params',
        'defaults',
        'references',
        'aliases',
        'examples',
      ])
        expect(described).toHaveProperty(key)
      for (const alias of aliases) expect(await get(`/v1/losses/${alias}`)).toEqual(described)
    },
  )
})

/** They take questions about a loss, which have domains and parameters with names of the client's. */
const PROOFS = [
  '/v1/losses:analyze',
  '/v1/losses:check',
  '/v1/losses:constant',
  '/v1/losses/{name}:check',
  '/v1/losses/{name}:constant',
  '/v1/losses/{namespace}/{name}:check',
  '/v1/losses/{namespace}/{name}:constant',
]
/** Their tensors have names that the client chooses. */
const OWN_NAMES = ['/v1/losses:compose', '/v1/losses:evaluate', '/v1/losses/{namespace}/{name}']

describe('OpenAPI', () => {
  interface Operation {
    operationId: string
    requestBody?: {
      content: Record<string, { schema: object; examples?: Record<string, { value: { loss?: unknown } }> }>
    }
    responses: Record<
      string,
      { content: Record<string, { examples: Record<string, { value: JsonAnswer }> }> }
    >
  }
  /** A route of `registerExchange`; the others take a document, if they take a body. */
  const takesTensors = ({ requestBody }: Operation) => Object.keys(requestBody?.content ?? {}).length > 1
  let document: {
    openapi: string
    paths: Record<string, { post?: Operation }>
    components: { schemas: Record<string, unknown>; responses: Record<string, unknown> }
  }
  beforeAll(async () => {
    document = await get<typeof document>('/openapi.json')
  })

  it('is version 3.1, with one typed operation per loss, and only aliases are hidden', () => {
    expect(document.openapi).toBe('3.1.0')
    const posts = Object.entries(document.paths).filter(([, { post }]) => post !== undefined)
    const named = posts.map(([path]) => path).filter((path) => /^\/v1\/losses\/[^/{]+$/.test(path))
    expect(named.sort()).toEqual(losses.map(({ name }) => `/v1/losses/${name}`).sort())
    for (const path of [...named, ...OWN_NAMES])
      expect(takesTensors(document.paths[path]!.post!), path).toBe(true)
    expect(takesTensors(document.paths['/v1/losses']!.post!)).toBe(false)
  })

  it('accepts a body in every format, or a document in JSON', () => {
    const types = formats.map(({ mediaTypes }) => mediaTypes[0])
    for (const [path, { post }] of Object.entries(document.paths))
      if (post?.requestBody !== undefined)
        expect([types, ['application/json']], path).toContainEqual(Object.keys(post.requestBody.content))
  })

  it('has no dangling references', () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map((match) => match[1]!)
    expect(references.length).toBeGreaterThan(0)
    for (const reference of new Set(references)) {
      const [, kind, name] = /^#\/components\/(schemas|responses)\/(\w+)$/.exec(reference)!
      expect(document.components[kind as 'schemas' | 'responses']).toHaveProperty([name!])
    }
  })

  it('describes each input and each header', () => {
    for (const { post } of Object.values(document.paths)) {
      if (post === undefined || !takesTensors(post)) continue
      const schema = post.requestBody!.content['application/json']!.schema as {
        required?: string[]
        properties: Record<string, { description?: string }>
      }
      for (const name of schema.required ?? []) expect(schema.properties[name]!.description).toBeTruthy()
      expect(JSON.stringify(post)).toContain('"x-request-timeout-ms"')
    }
  })

  it('lists all possible responses, and no other occurs', () => {
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const { operationId, responses } of Object.values(operations)) {
        expect(operationId, path).toBeTruthy()
        expect(Object.keys(responses), path).toEqual(
          expect.arrayContaining(['200', '400', '408', '500', '501', '503']),
        )
      }
      const { post } = operations
      if (post === undefined) continue
      expect(Object.keys(post.responses), path).toEqual(
        expect.arrayContaining(['406', '413', '415', '422', '429', '499', '504']),
      )
    }
    const open = (schema: unknown): object[] => {
      if (typeof schema !== 'object' || schema === null) return []
      const { type, properties, additionalProperties } = schema as Record<string, unknown>
      const own =
        type === 'object' && properties !== undefined && additionalProperties !== false ? [schema] : []
      return [...own, ...Object.values(schema).flatMap(open)]
    }
    expect(open(document.components.schemas)).toEqual([])
    const others = Object.entries(document.paths).filter(
      ([path]) => !OWN_NAMES.includes(path) && !PROOFS.includes(path),
    )
    expect(open(Object.fromEntries(others))).toEqual([])
  })

  it('closes every request body and its parameters', () => {
    for (const [path, { post }] of Object.entries(document.paths)) {
      if (post === undefined || !takesTensors(post) || OWN_NAMES.includes(path)) continue
      const schema = post.requestBody!.content['application/json']!.schema as {
        additionalProperties: boolean
        properties: { params: { additionalProperties: boolean } }
      }
      expect(schema.additionalProperties, post.operationId).toBe(false)
      expect(schema.properties.params.additionalProperties, post.operationId).toBe(false)
    }
  })

  it.each(losses.map((loss) => [loss.name, loss] as const))(
    'has examples for %s that run',
    async (name, loss) => {
      const examples = Object.values(
        document.paths[`/v1/losses/${name}`]!.post!.requestBody!.content['application/json']!.examples!,
      )
      expect(examples).toHaveLength(loss.examples.length)
      const answers =
        document.paths[`/v1/losses/${name}`]!.post!.responses['200']!.content['application/json']!.examples
      for (const [place, { value }] of examples.entries()) {
        const response = await server.post(name, value)
        expect(response.status, await response.clone().text()).toBe(200)
        const answer = (await response.json()) as JsonAnswer
        expectClose(oracleNumbers(answer.loss), oracleNumbers(loss.examples[place]!.loss), { relative: 1e-5 })
        // The responses in the document (npm run docs).
        const { value: told } = answers[`example${place + 1}`]!
        expectClose(oracleNumbers(answer.loss), oracleNumbers(told.loss), { relative: 1e-5 })
        expect(Object.keys(answer.gradients ?? {})).toEqual(Object.keys(told.gradients ?? {}))
        for (const [input, gradient] of Object.entries(answer.gradients ?? {}))
          expectClose(oracleNumbers(gradient), oracleNumbers(told.gradients[input]), {
            relative: 1e-4,
            what: input,
          })
      }
    },
  )
})

describe('the docs page', () => {
  it('works without network access', async () => {
    const page = await (await fetch(`${server.url}/docs`)).text()
    expect(page).toContain('swagger-ui')
    expect(page).not.toMatch(/(src|href)="https?:/)
  })
})

describe('health', () => {
  it('is live, and ready, with the engine and the reason', async () => {
    expect(await get('/health/live')).toEqual({ status: 'live' })
    expect(await get('/health/ready')).toMatchObject({
      status: 'ready',
      engine: 'wasm',
      reason: 'selected by name',
    })
  })
})

describe('a response', () => {
  it('has a Server-Timing header', async () => {
    const response = await server.post('mse', { predictions: [1], targets: [2] })
    const timing = response.headers.get('server-timing')!
    for (const part of ['decode', 'queue', 'compute', 'encode'])
      expect(timing).toMatch(new RegExp(`${part};dur=\\d+(\\.\\d{1,3})?(,|$)`))
    expect(timing).toMatch(/batch;desc="n=1", engine;desc="wasm"/)
    expect(response.headers.get('cache-control')).toBe('no-store')
  })

  it('arrives before its deadline, otherwise a 504 does', async () => {
    const headers = { 'content-type': 'application/json', 'x-request-timeout-ms': '1' }
    const rows = Array.from({ length: 1500 }, (_, i) => [Math.sin(i), Math.cos(i)])
    const response = await server.post(
      'nt_xent',
      { embeddings: rows, labels: rows.map((_, i) => i % 3) },
      headers,
    )
    expect(response.status).toBe(504)
    expect(await response.json()).toMatchObject({
      type: 'urn:lossd:problem:deadline-exceeded',
      retryable: true,
    })
  })
})

describe('metrics', () => {
  it('count requests, batches, shed requests and non-finite results', async () => {
    await server.post('mse', { predictions: ['NaN'], targets: [2] })
    await server.post('mse', { predictions: [1] })
    const text = await (await fetch(`${server.url}/metrics`)).text()
    expect(text).toMatch(/lossd_requests_total\{loss="mse",format="json",status="200"\} \d+/)
    expect(text).toMatch(/lossd_requests_total\{loss="mse",format="json",status="422"\} 1/)
    expect(text).toMatch(/lossd_nonfinite_total\{loss="mse"\} 1/)
    expect(text).toMatch(/lossd_compute_seconds_count\{engine="wasm"\} \d+/)
    expect(text).toMatch(/lossd_shed_total\{reason="deadline"\} 1/)
    expect(text).toMatch(/lossd_engine_info\{engine="wasm",device="[^"]+"\} 1/)
    for (const name of [
      'lossd_queue_elements',
      'lossd_queue_wait_seconds',
      'lossd_batch_jobs',
      'nodejs_eventloop_lag_p99_seconds',
      'lossd_engine_tensors 0',
    ]) {
      expect(text).toContain(name)
    }
  })
})

describe('the event loop', () => {
  it('is not blocked while the engine computes', async () => {
    const rows = Array.from({ length: 1500 }, (_, i) => [Math.sin(i), Math.cos(i)])
    const slow = server.post('nt_xent', { embeddings: rows, labels: rows.map((_, i) => i % 3) })
    let done = false
    void slow.then(() => {
      done = true
    })
    let turns = 0
    while (!done) {
      await get('/health/live')
      turns++
    }
    expect((await slow).status).toBe(200)
    expect(turns).toBeGreaterThan(3)
  })
})
