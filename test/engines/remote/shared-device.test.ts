/** An engine in a process that several processes share: results, merged launches, and the death of either side. */
import { existsSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { isThere } from '../../../load/process-info.ts'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Batch, type Engine, EngineLost, UnsupportedByEngine } from '../../../src/engines/contract.ts'
import { definitionOf, engineDefinitions } from '../../../src/engines/engine-registry.ts'
import { mergeBatches } from '../../../src/engines/remote/merge-batches.ts'
import { openConnection } from '../../../src/engines/remote/shared-connection.ts'
import { SharedDevice } from '../../../src/engines/remote/shared-device.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check, evaluate, openInterpreter } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const definitions = await engineDefinitions()
const lossOf = (name: string) => losses.find((loss) => loss.name === name)!
const huber = lossOf('huber')
const batchOf = (name: string, seed: number, rows = 3, params = {}) =>
  assemble([check(lossOf(name), sampleTensors(lossOf(name), { seed, rows }), params).job])
const MANY = 2 ** 22

/** An engine that notes its launches. */
async function counted(): Promise<{ engine: Engine; launches: Batch[] }> {
  const inner = await openInterpreter()
  const launches: Batch[] = []
  const run = (batch: Batch) => {
    launches.push(batch)
    return inner.run(batch)
  }
  return { engine: { ...inner, info: inner.info, isReady: true, run } as Engine, launches }
}

describe('batches of several processes', () => {
  it.each(losses.map((loss) => [loss.name] as const))(
    'of %s have the same results as alone',
    async (name) => {
      const { engine, launches } = await counted()
      const merged = mergeBatches(engine, MANY)
      const batches = [1, 2, 3].map((seed) => batchOf(name, seed, seed + 1))
      const together = await Promise.all(batches.map((batch) => merged.run(batch)))
      const isOne = launches.length === 1
      for (const [place, batch] of batches.entries()) {
        const { values, denominators, gradients } = await engine.run(batch)
        const { computeMs: _, ...found } = together[place]!
        expect(found).toMatchObject({ values, gradients, ...(denominators && { denominators }) })
      }
      if (lossOf(name).couples === 'batch') expect(isOne).toBe(false)
    },
  )

  it('share a launch if they run the same program on rows of the same shape', async () => {
    const { engine, launches } = await counted()
    const merged = mergeBatches(engine, MANY)
    const all = [
      batchOf('huber', 1),
      batchOf('huber', 2, 5),
      batchOf('huber', 3, 3, { params: { delta: 2 } }),
      batchOf('mse', 4),
      batchOf('huber', 5),
    ]
    await Promise.all(all.map((batch) => merged.run(batch)))
    expect(launches.map(({ sizes }) => Object.values(sizes)[0])).toEqual([22, 6, 6])
  })

  it('share launches of limited size', async () => {
    const { engine, launches } = await counted()
    const elements = Object.values(batchOf('huber', 1).inputs).flat()
    const merged = mergeBatches(engine, 2 * elements.reduce((sum, { length }) => sum + length, 0))
    await Promise.all([1, 2, 3, 4, 5].map((seed) => merged.run(batchOf('huber', seed))))
    expect(launches.map(({ sizes }) => Object.values(sizes)[0])).toEqual([12, 12, 6])
  })

  it('do not fail with one that fails', async () => {
    const { engine } = await counted()
    const run = (batch: Batch) =>
      batch.inputs.predictions!.some((chunk) => chunk.includes(7))
        ? Promise.reject(new Error('seven'))
        : engine.run(batch)
    const merged = mergeBatches({ ...engine, run } as Engine, MANY)
    const [good, bad] = [batchOf('huber', 1), batchOf('huber', 2)]
    const seven = { ...bad, inputs: { ...bad.inputs, predictions: [new Float32Array(6).fill(7)] } }
    const settled = await Promise.allSettled([merged.run(good), merged.run(seven)])
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
  })
})

describe('an engine in a shared process', () => {
  let shared: SharedDevice
  const users: Engine[] = []
  const logged: string[] = []
  const log = (message: string) => void logged.push(message)
  const open = async (name: string, count: number) => {
    const definition = { ...definitionOf(name, definitions), environment: () => ({}) }
    shared = await SharedDevice.start({ definition, reason: 'test', maxElements: MANY, log })
    for (let i = 0; i < count; i++) users.push(await openConnection({ path: shared.path, name, log }))
    return users
  }
  afterEach(async () => {
    await Promise.all(users.splice(0).map((engine) => engine.close()))
    shared.close()
    logged.length = 0
  })

  it('computes for all who are connected', async () => {
    const [one, other] = await open('interpreter', 2)
    const here = await openInterpreter()
    for (const [seed, engine] of [one!, other!, one!].entries()) {
      const tensors = sampleTensors(huber, { seed })
      expect(await evaluate(engine, huber, tensors)).toEqual(await evaluate(here, huber, tensors))
    }
    expect(one!.info).toMatchObject({ name: 'interpreter', reason: 'test', isShared: true })
    expect(shared.info).toEqual(one!.info)
    await one!.close()
    users.shift()
    expect((await other!.run(batchOf('huber', 1))).values.length, 'after one has left').toBe(6)
  })

  it('exchanges megabytes in both directions, through shared memory where there is any', async () => {
    const [engine] = await open('compiled', 1)
    const tensors = sampleTensors(huber, { seed: 4, rows: 40_000 })
    const here = (await definitionOf('compiled', definitions).open('test')) as Engine
    expect(await evaluate(engine!, huber, tensors)).toEqual(await evaluate(here, huber, tensors))
    await here.close()
    if (!existsSync('/dev/shm') || !existsSync('/proc/self/fd')) return
    const slots = readdirSync(`/proc/${shared.pid}/fd`).map((slot) => `/proc/${shared.pid}/fd/${slot}`)
    const held = slots.filter((slot) => readlinkSync(slot).startsWith('/dev/shm/lossd-'))
    expect(held).toHaveLength(8)
    expect(held.some((slot) => statSync(slot).size > 2 ** 18)).toBe(true)
  })

  it('that dies fails what it was computing, starts again, and is found again by all', async () => {
    const [one, other] = await open('cpu', 2)
    const job = check(huber, sampleTensors(huber, { seed: 1, precision: 'float64' })).job
    await expect(one!.run(assemble([job]))).rejects.toBeInstanceOf(UnsupportedByEngine)
    const before = await evaluate(one!, huber, sampleTensors(huber, { seed: 4 }))
    const pending = one!.run(batchOf('nt_xent', 1, 600))
    process.kill(shared.pid!, 'SIGABRT')
    await expect(pending).rejects.toBeInstanceOf(EngineLost)
    while (!one!.isReady || !other!.isReady) await sleep(20)
    for (const engine of [one!, other!])
      expect(await evaluate(engine, huber, sampleTensors(huber, { seed: 4 }))).toEqual(before)
    expect(logged).toContain('the cpu process ended, starting another')
  })

  it('that retires computes for those who are connected, and then ends', async () => {
    const [one] = await open('interpreter', 1)
    const { pid, path } = shared
    shared.retire()
    expect((await one!.run(batchOf('huber', 1))).values.length).toBe(6)
    await expect(openConnection({ path, name: 'interpreter', log })).rejects.toThrow(/before it opened/)
    await one!.close()
    users.shift()
    while (isThere(pid!)) await sleep(20)
    expect(existsSync(dirname(path))).toBe(false)
    expect(logged).toEqual([])
  })

  it('lets nobody else in, and leaves nothing behind', async () => {
    await open('interpreter', 1)
    const folder = dirname(shared.path)
    expect(statSync(folder).mode & 0o077).toBe(0)
    const { pid } = shared
    await Promise.all(users.splice(0).map((engine) => engine.close()))
    shared.close()
    while (isThere(pid!)) await sleep(20)
    expect(existsSync(folder)).toBe(false)
  })

  it('that cannot be opened says why', async () => {
    const missing = {
      ...definitionOf('cpu', definitions),
      name: 'cpu',
      environment: () => ({ NODE_OPTIONS: '--no-such' }),
    }
    await expect(
      SharedDevice.start({ definition: missing, reason: 'test', maxElements: MANY, log }),
    ).rejects.toThrow(/ended \(exit code 9\) before it opened an engine/)
    await open('interpreter', 0)
  })
})
