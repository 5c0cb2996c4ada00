/** The WebGPU engine in addition to the conformance suite: no leaks, loss of the device, limits. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Batch, DeviceLost, OutOfMemory, UnsupportedByEngine } from '../../../src/engines/contract.ts'
import type { WebGpuEngine } from '../../../src/engines/webgpu/engine.ts'
import { copyBandwidth, measureKernel } from '../../../src/engines/webgpu/measure.ts'
import { openFallback } from '../../../src/engines/webgpu/op-by-op.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { bitsOf, expectClose } from '../../support/close.ts'
import { definition } from '../../support/definition.ts'
import { sampled } from '../../support/depth.ts'
import { check } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'
import { openHere } from './support.ts'

const { losses } = await loadCatalog()
const probe = await openHere()
await probe?.close()

function batchOf(
  name: string,
  rows: number,
  seed = 1,
  options: Readonly<Record<string, unknown>> = {},
): Batch {
  const loss = losses.find((one) => one.name === name)!
  return assemble([check(loss, sampleTensors(loss, { seed, rows }), options).job])
}

describe.skipIf(probe === undefined)('webgpu', () => {
  let engine: WebGpuEngine
  beforeEach(async () => {
    engine = (await openHere())!
  })
  afterEach(() => engine.close())

  it('gives concurrent batches the same results as one at a time', async () => {
    const batches = [1, 2, 3, 4, 5, 6].map((seed) => batchOf('cross_entropy', 40 * seed, seed))
    const together = await Promise.all(batches.map((batch) => engine.run(batch)))
    for (const [i, batch] of batches.entries()) {
      const alone = await engine.run(batch)
      expect(bitsOf(together[i]!.values)).toBe(bitsOf(alone.values))
      expect(bitsOf(together[i]!.gradients.predictions!)).toBe(bitsOf(alone.gradients.predictions!))
    }
  })

  it('uses no buffers after a batch, and creates none for the next one like it', async () => {
    const batch = batchOf('cross_entropy', 100)
    await engine.run(batch)
    await settled(engine)
    const kept = engine.session!.pool.idleBytes
    for (let i = 0; i < 5; i++) {
      await engine.run(batch)
      await settled(engine)
    }
    expect(engine.session!.pool.idleBytes).toBe(kept)
    expect(await engine.stats()).toMatchObject({ bytes: 0 })
    expect(engine.session!.loss.waiting).toBe(0)
  })

  it('leaves out what a parameter switches off, and compiles again if it is switched on', async () => {
    const run = async (gamma: number) => {
      const batch = batchOf('sigmoid_focal', 30, 1, { params: { gamma } })
      const [found, { values }] = [await engine.run(batch), definition(batch)]
      expectClose(found.values, values, { relative: 1e-5, what: `gamma ${gamma}` })
      return (await engine.describe!()).compiled!.entries
    }
    const [square, other] = [await run(2), await run(3)]
    expect(other).toBe(square + 1)
    expect([await run(0.5), await run(2)]).toEqual([other, other])
  })

  it('compiles a program once for all sizes of one class, and reports the compile time', async () => {
    const first = await engine.run(batchOf('cross_entropy', 3))
    const second = await engine.run(batchOf('cross_entropy', 500))
    expect(first.compileMs).toBeGreaterThan(second.compileMs!)
    const { compiled } = await engine.describe!()
    expect(compiled).toMatchObject({ entries: 1, misses: 1, hits: 1 })
  })

  it('rejects pending batches when the device is lost, and continues with the next device', async () => {
    const batch = batchOf('cross_entropy', 2000)
    const want = await engine.run(batch)
    const lost = [engine.run(batch), engine.run(batch)]
    engine.session!.device.destroy()
    for (const outcome of await Promise.allSettled(lost)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(DeviceLost) })
    }
    expect(engine.isReady).toBe(false)
    await expect(engine.run(batch)).rejects.toBeInstanceOf(DeviceLost)
    await expect.poll(() => engine.isReady, { timeout: 20_000 }).toBe(true)
    expect(bitsOf((await engine.run(batch)).values)).toBe(bitsOf(want.values))
    expect(await engine.stats()).toMatchObject({ bytes: 0 })
  })

  it('rejects what exceeds its memory, accepts less right after, and leaks nothing', async () => {
    const small = (await openHere({ memoryBytes: 2 ** 20, idleBytes: 2 ** 18 }))!
    try {
      await expect(small.run(batchOf('multilabel_soft_margin', 100_000))).rejects.toBeInstanceOf(OutOfMemory)
      await settled(small)
      expect(await small.stats()).toMatchObject({ bytes: 0 })
      expect((await small.run(batchOf('multilabel_soft_margin', 100))).values).toHaveLength(100)
    } finally {
      await small.close()
    }
  })

  it('reports out of memory for a batch beyond the binding limit, before it allocates anything', async () => {
    const { maxStorageBufferBindingSize } = engine.session!.device.limits
    const count = maxStorageBufferBindingSize / 4 / 2 + 64
    // Untouched pages of zeros cost nothing.
    const x = new Float32Array(count)
    const batch = batchOf('mse', 1)
    const large = {
      ...batch,
      sizes: { ...batch.sizes, [batch.program.axes[0]!]: count },
      inputs: { predictions: [x], targets: [x] },
    }
    await expect(engine.run(large)).rejects.toBeInstanceOf(OutOfMemory)
    expect(await engine.stats()).toMatchObject({ bytes: 0 })
  })

  it('rejects float64 as unsupported', async () => {
    const batch: Batch = { ...batchOf('mse', 2), precision: 'float64' }
    await expect(engine.run(batch)).rejects.toBeInstanceOf(UnsupportedByEngine)
    expect(engine.serving(batch.program, 'float64')).toEqual([])
  })

  it.each(
    sampled(
      ['cross_entropy', 'huber', 'sigmoid_focal', 'dice', 'nt_xent', 'triplet_margin', 'iou', 'approx_ndcg'],
      2,
    ),
  )('%s gives the same result op by op in tfjs as fused', async (name) => {
    const fallback = await openFallback(engine.session!.opened, 'webgpu')
    const batch = batchOf(name, 5)
    const [slow, fused] = [await fallback.run(batch), await engine.run(batch)]
    expectClose(slow.values, fused.values, { relative: 2e-5 })
    for (const [input, gradient] of Object.entries(fused.gradients)) {
      expectClose(slow.gradients[input]!, gradient, { relative: 2e-5 })
    }
    expect(await engine.stats()).toMatchObject({ bytes: 0 })
    fallback.close()
  })

  it('runs op by op if a program is too large to be fused', async () => {
    const { program, ...rest } = batchOf('huber', 3)
    // Nodes that nothing reads: only their number counts.
    const spare = Array.from(
      { length: 4097 },
      () => ({ op: 'constant', args: [], type: 'real', axes: [], value: 1 }) as const,
    )
    const padded = {
      ...rest,
      programKey: 'padded',
      program: { ...program, nodes: [...program.nodes, ...spare] },
    }
    const want = await engine.run({ ...rest, program })
    expectClose((await engine.run(padded)).values, want.values, { relative: 1e-6 })
  })

  it('dispatches more rows than fit into one dimension of workgroups', async () => {
    const count = 128 * 65535 + 1000
    const batch = batchOf('half_squared', 1)
    const x = Float32Array.from({ length: count }, (_, i) => i % 1000)
    const zeros = new Float32Array(count)
    const { values } = await engine.run({
      ...batch,
      sizes: { ...batch.sizes, [batch.program.axes[0]!]: count },
      inputs: { predictions: [x], targets: [zeros] },
    })
    for (const i of [0, 999, 128 * 65535 - 1, 128 * 65535, count - 1])
      expect(values[i]).toBe((i % 1000) ** 2 / 2)
  })

  it('measures kernels with the data on the device, and the copy bandwidth', async () => {
    const batch = batchOf('cross_entropy', 1000)
    const { milliseconds, bytes } = await measureKernel(engine.session!, batch, 5)
    expect(milliseconds).toBeGreaterThan(0)
    const [inputs, gradient] = [batch.inputs.predictions![0]!, batch.inputs.targets![0]!]
    expect(bytes).toBeGreaterThanOrEqual(2 * inputs.byteLength + gradient.byteLength)
    expect(await copyBandwidth(engine.session!, 2 ** 20, 5)).toBeGreaterThan(0)
    expect(await engine.stats()).toMatchObject({ bytes: 0 })
  })

  it('reports device, driver and limits', async () => {
    expect(engine.info).toMatchObject({ name: 'webgpu', device: expect.stringContaining('through WebGPU') })
    const { driver, limits } = await engine.describe!()
    expect(driver).toMatch(/\w/)
    expect(limits!.maxBufferSize).toBeGreaterThan(2 ** 27)
  })
})

describe('without a GPU', () => {
  const program = `
    const { default: webgpu } = await import(${JSON.stringify(fileURLToPath(new URL('../../../src/engines/webgpu.ts', import.meta.url)))})
    const opened = await webgpu.open('test')
    console.log('unavailable' in opened ? opened.unavailable : 'opened')
    if (!('unavailable' in opened)) await opened.close()`

  function runAlone(environment: Readonly<Record<string, string>>) {
    const args = ['--import', 'tsx', '--input-type=module', '-e', program]
    return spawnSync(process.execPath, args, {
      env: { ...process.env, ...environment },
      encoding: 'utf8',
      timeout: 50_000,
    })
  }

  it('the reason is reported in one line, and the process ends by itself', () => {
    const { stdout, status } = runAlone({ VK_DRIVER_FILES: '/nonexistent.json' })
    expect(stdout.trim()).toMatch(/^(no adapter: .+|libvulkan.so.1 is missing .+|the package webgpu .+)$/)
    expect(status).toBe(0)
  })

  it.skipIf(probe === undefined)('a process ends by itself after the engine is closed', () => {
    expect(runAlone({})).toMatchObject({ stdout: 'opened\n', status: 0 })
  })
})

/** Upload buffers count as used until the device has read them. */
async function settled(engine: WebGpuEngine) {
  await engine.session!.device.queue.onSubmittedWorkDone()
  await new Promise((resolve) => setTimeout(resolve, 20))
}
