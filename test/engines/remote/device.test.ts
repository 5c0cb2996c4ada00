/** Failover of a device: if it is killed, only the batches that it was computing fail. */
import type { ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Engine, EngineLost, leafEngines } from '../../../src/engines/contract.ts'
import { openEngine } from '../../../src/engines/index.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { isHere } from '../../support/engines.ts'
import { check } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const batchOf = (name: string, precision: 'float32' | 'float64' = 'float32') => {
  const loss = losses.find((one) => one.name === name)!
  return assemble([check(loss, sampleTensors(loss, { seed: 1, precision })).job])
}

describe.skipIf(!(await isHere('webgpu')))('webgpu, selected by name', () => {
  const children: ChildProcess[] = []
  let engine: Engine
  beforeAll(async () => {
    const onStart = (started: unknown) => {
      if (typeof started === 'object' && started !== null && 'stdio' in started)
        children.push(started as ChildProcess)
    }
    engine = await openEngine({ engine: 'webgpu', threads: 1, log: () => {}, onStart })
  })
  afterAll(() => engine.close())

  it('computes what it supports, and the CPU the rest', async () => {
    expect((await engine.run(batchOf('huber'))).engine).toBe('webgpu')
    expect((await engine.run(batchOf('huber', 'float64'))).engine).toBe('compiled')
    expect(leafEngines(engine).map(({ info }) => info.name)).toEqual(['webgpu', 'compiled'])
  })

  it('reports its device, its limits and what it has compiled', async () => {
    const details = (await leafEngines(engine)[0]!.describe!())!
    expect(details.driver).toBeTruthy()
    expect(details.limits!.maxBufferSize).toBeGreaterThan(0)
    expect(details.compiled!.entries).toBeGreaterThan(0)
  })

  it('loses its batches when it is killed, is replaced by the CPU, and restarts', async () => {
    const running = engine.run(batchOf('cross_entropy'))
    children[0]!.kill('SIGKILL')
    await expect(running).rejects.toBeInstanceOf(EngineLost)
    expect((await engine.run(batchOf('huber'))).engine).toBe('compiled')
    expect(engine.isReady).toBe(true)
    expect(engine.info.reason).toMatch(/in place of webgpu/)
    while (!leafEngines(engine)[0]!.isReady) await new Promise((resolve) => setTimeout(resolve, 20))
    expect((await engine.run(batchOf('huber'))).engine).toBe('webgpu')
  })
})

it('an unavailable engine is rejected in one line', async () => {
  if (await isHere('tensorflow')) return
  const opened = openEngine({ engine: 'tensorflow', log: () => {} })
  await expect(opened).rejects.toThrow(/^[^\n]*not (set up|installed)[^\n]*$/)
})
