/** GET /v1/engines: devices, supported losses, and fallbacks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { openHere } from '../engines/webgpu/support.ts'
import { startServer, type TestServer } from '../support/server.ts'

const { losses } = await loadCatalog()
const names = losses.map(({ name }) => name)

interface Engines {
  readonly engines: readonly {
    readonly name: string
    readonly device?: string
    readonly reason: string
    readonly isReady?: boolean
    readonly serves: { readonly float32: readonly string[]; readonly float64: readonly string[] }
    readonly holds?: { readonly tensors: number; readonly bytes: number }
  }[]
  readonly learned: readonly object[]
}

describe('the engines', () => {
  let server: TestServer
  let told: Engines
  beforeAll(async () => {
    server = await startServer({ engine: 'auto' })
    told = (await (await fetch(`${server.url}/v1/engines`)).json()) as Engines
  })
  afterAll(() => server.close())

  it('that were opened are listed with their device and the reason', () => {
    const [first] = told.engines
    expect(first).toMatchObject({ name: 'compiled', isReady: true, holds: { tensors: 0 } })
    expect(first).toMatchObject({ compiled: { capacity: 192 }, limits: { memoryBytes: 2 ** 30 } })
    expect(first!.device).toMatch(/^fused wasm/)
    expect(first!.reason).toMatch(/tensorflow: .+; webgpu: .+/)
  })

  it('support every loss in float32 and in float64, together', () => {
    for (const precision of ['float32', 'float64'] as const) {
      const served = new Set(told.engines.flatMap(({ serves }) => serves[precision]))
      expect([...served].sort()).toEqual([...names].sort())
    }
  })

  it('that are fallbacks have no loss to run: every one is a compiled kernel', () => {
    const { serves } = told.engines.find(({ name }) => name === 'compiled')!
    for (const precision of ['float32', 'float64'] as const)
      expect([...serves[precision]].sort()).toEqual([...names].sort())
    expect(told.engines.map(({ name }) => name)).toEqual(['compiled'])
  })

  it('that are compiled serve the same losses in float64', () => {
    const { serves } = told.engines.find(({ name }) => name === 'compiled')!
    expect(serves.float64).toEqual(serves.float32)
  })

  it('compute a float64 request in compiled kernels, whatever its other inputs are', async () => {
    const [predictions, targets] = [
      [0.1, 1.7, -2.3],
      [0.3, 0.5, 0.1],
    ]
    const double = (data: readonly number[]) => ({ shape: [3], dtype: 'float64', data })
    const post = (body: object) =>
      fetch(`${server.url}/v1/losses/huber`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ reduction: 'sum', ...body }),
      })
    for (const beside of [double(targets!), { ...double(targets!), dtype: 'float32' }, targets]) {
      const response = await post({ predictions: double(predictions!), targets: beside })
      const answer = (await response.json()) as {
        loss: { data: number[] } & number
        gradients: { predictions: { data: number[] } }
      }
      expect(response.headers.get('server-timing')).toContain('compiled')
      expect(answer.gradients.predictions.data).toHaveLength(3)
      const isExact = (beside as { dtype?: string }).dtype === 'float64'
      const wide = isExact ? targets! : targets!.map(Math.fround)
      const terms = predictions!.map((x, i) => {
        const size = Math.abs(x - wide[i]!)
        return size <= 1 ? size ** 2 / 2 : size - 0.5
      })
      expect(answer.loss).toBeCloseTo(terms[0]! + terms[1]! + terms[2]!, 14)
    }
  })

  it('report the same in the metrics', async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text()
    expect(text).toMatch(/lossd_engine_info\{engine="compiled",device="fused wasm.*"\} 1/)
    expect(text).toContain('lossd_engine_ready{engine="compiled"} 1')
    expect(text).toMatch(/^lossd_engine_tensors 0$/m)
  })
})

const device = await openHere()
await device?.close()

describe.skipIf(device === undefined)('with a GPU', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer({ engine: 'webgpu' })
    await until(async () => (await ready(server)) === 200)
  }, 60_000)
  afterAll(() => server.close())

  const post = (dtype: string) =>
    server.post('huber', {
      predictions: { shape: [2], dtype, data: [0.1, 3] },
      targets: { shape: [2], dtype, data: [0, 0] },
      reduction: 'sum',
    })
  const engineOf = (response: Response) =>
    /engine;desc="([^"]*)"/.exec(response.headers.get('server-timing')!)![1]

  it('a float32 request runs there, and a float64 request elsewhere: Server-Timing says where', async () => {
    expect(engineOf(await post('float32'))).toBe('webgpu')
    const wide = await post('float64')
    expect(engineOf(wide)).toBe('compiled')
    const { loss } = (await wide.json()) as { loss: number }
    expect(loss).toBeCloseTo(0.1 ** 2 / 2 + 2.5, 15)
  })

  it('the metrics count both where they ran', async () => {
    await post('float32')
    await post('float64')
    const text = await (await fetch(`${server.url}/metrics`)).text()
    const launches = (engine: string) =>
      Number(new RegExp(`^lossd_compute_seconds_count\\{engine="${engine}"\\} (\\d+)$`, 'm').exec(text)?.[1])
    expect(launches('webgpu')).toBeGreaterThan(0)
    expect(launches('compiled')).toBeGreaterThan(0)
  })

  it('the engines list float64 for those that compute it', async () => {
    const told = (await (await fetch(`${server.url}/v1/engines`)).json()) as Engines
    const servesOf = (engine: string) => told.engines.find(({ name }) => name === engine)!.serves
    expect(servesOf('webgpu').float64).toEqual([])
    expect(servesOf('webgpu').float32.length).toBeGreaterThan(0)
    expect([...servesOf('compiled').float64].sort()).toEqual([...names].sort())
  })
})

const ready = async ({ url }: TestServer) => (await fetch(`${url}/health/ready`)).status

async function until(holds: () => Promise<boolean>) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 50))
}
