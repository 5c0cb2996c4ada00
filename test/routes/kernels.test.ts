/** Portable kernels over HTTP. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { KernelHost } from '../support/kernel-host.ts'
import { sharedServer } from '../support/server.ts'

const server = sharedServer()

const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
  fetch(`${server.url}/v1/losses/${path}`, { headers })
const moduleOf = async (response: Response): Promise<Uint8Array<ArrayBuffer>> => {
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('application/wasm')
  return new Uint8Array(await response.arrayBuffer())
}
const tensor = (...data: number[]) => ({ shape: [data.length], data })
const problemOf = async (path: string) => {
  const response = await get(path)
  return { status: response.status, ...((await response.json()) as { type: string; detail: string }) }
}

describe('a kernel over HTTP', () => {
  it('computes what its loss computes', async () => {
    const host = new KernelHost(await moduleOf(await get('huber/kernel.wasm')))
    const inputs = new Map([
      ['predictions', tensor(1, 5)],
      ['targets', tensor(1, 2)],
    ])
    const result = host.run(inputs, { reduction: 'mean', params: { delta: 2 } })
    const answer = await server.post('huber', {
      predictions: [1, 5],
      targets: [1, 2],
      params: { delta: 2 },
    })
    const { loss, gradients } = (await answer.json()) as { loss: number; gradients: Record<string, number[]> }
    expect(result.value).toBe(loss)
    expect([...result.outputs['gradients.predictions']!]).toEqual(gradients.predictions)
  })

  it('has the hash of its content as its ETag, and is not sent twice', async () => {
    const first = await get('huber/kernel.wasm')
    const etag = first.headers.get('etag')!
    const hash = createHash('sha256')
      .update(await moduleOf(first))
      .digest('hex')
    expect(etag).toBe(`"${hash}"`)
    expect(first.headers.get('cache-control')).toBe('no-cache')
    const again = await get('huber/kernel.wasm', { 'if-none-match': etag })
    expect(again.status).toBe(304)
    expect(await again.text()).toBe('')
  })

  it('is for inputs whose axes have names, or sizes in their place', async () => {
    const named = await get('cross_entropy/kernel.wasm?inputs=predictions:float64[n,c];targets:int32[n]')
    const sized = await get('cross_entropy/kernel.wasm?inputs=predictions:float64[8,5];targets:int64[8]')
    const bytes = await moduleOf(named)
    expect(await moduleOf(sized)).toEqual(bytes)
    const { manifest } = new KernelHost(bytes)
    expect(manifest.precision).toBe('float64')
    expect(manifest.inputs.map(({ axes }) => axes)).toEqual([
      ['rows', 'classes'],
      ['rows'],
      ['rows'],
      ['rows'],
    ])
  })

  it('computes the gradients that are asked for', async () => {
    const of = async (query: string) =>
      new KernelHost(await moduleOf(await get(`huber/kernel.wasm?${query}`))).manifest.outputs.map(
        ({ name }) => name,
      )
    expect(await of('gradients=targets')).toEqual(['values', 'gradients.targets'])
    expect(await of('gradients=false')).toEqual(['values'])
    expect(await of('gradients=predictions&hessian=diagonal')).toEqual([
      'values',
      'gradients.predictions',
      'hessian.predictions',
    ])
  })

  it('is made of a formula that is sent with the request', async () => {
    const response = await fetch(`${server.url}/v1/losses:kernel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        formula: 'log1p(((predictions - targets) / scale)^2)',
        params: { scale: 2 },
        gradients: 'predictions',
      }),
    })
    const host = new KernelHost(await moduleOf(response))
    const inputs = new Map([
      ['predictions', tensor(1, 5)],
      ['targets', tensor(0, 0)],
    ])
    const result = host.run(inputs)
    expect(result.value).toBeCloseTo(1.1020725, 6)
    expect([...result.outputs['gradients.predictions']!]).toEqual([Math.fround(0.2), Math.fround(5 / 29)])
  })
})

describe('a request for a kernel that cannot be met', () => {
  it('says that a kernel would be too large', async () => {
    const steps = Array.from({ length: 70 }, (_, i) => `x${i + 1} = log1p(x${i}) * exp(x${i} * y)`)
    const response = await fetch(`${server.url}/v1/losses:kernel`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        formula: ['x0 = predictions', 'y = targets', ...steps, 'x70'],
        axes: { predictions: 'rows,classes', targets: 'rows,classes' },
      }),
    })
    expect(response.status).toBe(409)
    expect(await response.json()).toMatchObject({
      type: 'urn:lossd:problem:kernel-unavailable',
      detail: expect.stringMatching(/its kernel has \d+ bytes, the limit is 524288/),
    })
  })

  it.each([
    ['huber/kernel.wasm?feature=simd', '/feature: is not an option of a kernel'],
    ['huber/kernel.wasm?a/b~=1', '/a~1b~0: is not an option of a kernel'],
    ['huber/kernel.wasm?features=avx512', '/features: must be simd or relaxed-simd or scalar, got "avx512"'],
    ['huber/kernel.wasm?inputs=predictions', '/inputs: must be inputs with their dtype and axes'],
    ['huber/kernel.wasm?inputs=predictions:float32[n];targets:float99[n]', 'float99'],
    ['huber/kernel.wasm?inputs=predictions:float32[n];targets:float32[m]', '/targets: has shape'],
    ['huber/kernel.wasm?inputs=predictions:float32[n]', '/targets: is required by huber'],
    ['huber/kernel.wasm?params={"delta":-1}', '/params/delta: must be a number > 0, got -1'],
    ['huber/kernel.wasm?params={"dleta":1}', 'Did you mean "delta"?'],
    ['huber/kernel.wasm?params=[1]', '/params: must be a JSON object'],
    ['huber/kernel.wasm?gradients=prediction', 'Did you mean "predictions"?'],
  ])('refuses %s', async (path, words) => {
    const { status, detail } = await problemOf(path)
    expect(status).toBe(422)
    expect(detail).toContain(words)
  })

  it('names the loss that was probably meant', async () => {
    expect(await problemOf('hubr/kernel.wasm')).toMatchObject({ status: 404 })
  })
})
