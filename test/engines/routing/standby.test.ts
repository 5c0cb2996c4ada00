/** Failover: a device that is lost, full or unable is replaced by its standby, and clients do not notice. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import {
  type Batch,
  type BatchResult,
  DeviceLost,
  EngineLost,
  OutOfMemory,
  UnsupportedByEngine,
} from '../../../src/engines/contract.ts'
import { withStandby } from '../../../src/engines/routing/standby.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check, openInterpreter } from '../../support/evaluate.ts'
import { fakeEngine } from '../../support/fakes.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const interpreter = await openInterpreter()
const batchOf = (name: string, rows = 6): Batch => {
  const loss = losses.find((one) => one.name === name)!
  return assemble([check(loss, sampleTensors(loss, { seed: 1, rows })).job])
}

const computes = async (name: string, batch: Batch): Promise<BatchResult> => ({
  ...(await interpreter.run(batch)),
  engine: name,
})

function pair(run: (batch: Batch, call: number) => Promise<BatchResult>, isReady = () => true) {
  let calls = 0
  const device = fakeEngine({ name: 'device', run: (batch) => run(batch, ++calls), isReady, isGpu: true })
  const processor = fakeEngine({ name: 'processor', run: (batch) => computes('processor', batch) })
  const logged: string[] = []
  const engine = withStandby(device, processor, (message) => logged.push(message))
  return { device, processor, engine, logged }
}

describe('a device with a standby', () => {
  it('computes what it supports', async () => {
    const { engine, processor } = pair((batch) => computes('device', batch))
    expect((await engine.run(batchOf('huber'))).engine).toBe('device')
    expect(processor.batches).toEqual([])
  })

  it('is asked only once for a program that it does not support', async () => {
    const { engine, device } = pair(async () => {
      throw new UnsupportedByEngine('it has no such op')
    })
    for (let i = 0; i < 3; i++) expect((await engine.run(batchOf('huber'))).engine).toBe('processor')
    expect(device.batches.length).toBe(1)
  })

  it('that is lost causes one retry, on the standby', async () => {
    const { engine, logged } = pair(async () => {
      throw new DeviceLost('the driver was reset')
    })
    expect((await engine.run(batchOf('huber'))).engine).toBe('processor')
    expect(logged).toEqual(['the device was lost'])
  })

  it('that is restarting is reported, with the engine that replaces it', async () => {
    const { engine } = pair(
      (batch) => computes('device', batch),
      () => false,
    )
    expect((await engine.run(batchOf('huber'))).engine).toBe('processor')
    expect(engine.isReady).toBe(true)
    expect(engine.info).toMatchObject({
      name: 'processor',
      reason: 'in place of device, which is being restarted',
    })
  })

  it('that is out of memory gets two halves, once', async () => {
    const full = (limit: number) =>
      pair(async (batch) => {
        if (batch.sizes['...']! > limit) throw new OutOfMemory('no room')
        return computes('device', batch)
      })
    const batch = batchOf('huber')
    const whole = await interpreter.run(batch)
    const size = batch.sizes['...']!
    const halved = full(size / 2)
    const result = await halved.engine.run(batch)
    expect(result.engine).toBe('device')
    expect(result.values).toEqual(whole.values)
    expect(result.gradients).toEqual(whole.gradients)
    expect(halved.device.batches.length).toBe(3)
    const still = full(size / 3)
    expect((await still.engine.run(batch)).engine).toBe('processor')
    expect(still.device.batches.length).toBe(2)
  })

  it('that is out of memory passes a batch that cannot be split to the standby', async () => {
    const { engine, device } = pair(async () => {
      throw new OutOfMemory('no room')
    })
    expect((await engine.run(batchOf('nt_xent'))).engine).toBe('processor')
    expect(device.batches.length).toBe(1)
  })

  it('whose process dies does not pass the batch on, because it may be the cause', async () => {
    const { engine, processor } = pair(async () => {
      throw new EngineLost('the process ended (SIGABRT)')
    })
    await expect(engine.run(batchOf('huber'))).rejects.toBeInstanceOf(EngineLost)
    expect(processor.batches).toEqual([])
  })
})
