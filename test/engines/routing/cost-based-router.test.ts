/** Cost-based routing: each batch goes to the side that is expected to finish first, and the costs are learned. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Batch, type BatchResult, EngineLost } from '../../../src/engines/contract.ts'
import { costBasedRouter } from '../../../src/engines/routing/cost-based-router.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check } from '../../support/evaluate.ts'
import { fakeEngine } from '../../support/fakes.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const huber = losses.find(({ name }) => name === 'huber')!
const batchOf = (rows: number, precision: 'float32' | 'float64' = 'float32'): Batch =>
  assemble([check(huber, sampleTensors(huber, { seed: 1, rows, precision })).job])

const [SMALL, LARGE] = [batchOf(2), batchOf(20_000)]
const elementsOf = (batch: Batch) => batch.inputs.predictions![0]!.length * 2

/** An engine that takes this many milliseconds per launch and per million elements. */
function timed(
  name: string,
  launch: number,
  million: number,
  fail: () => Error | undefined = () => undefined,
) {
  const run = async (batch: Batch): Promise<BatchResult> => {
    await sleep(launch + (million * elementsOf(batch)) / 1e6)
    const error = fail()
    if (error !== undefined) throw error
    return { values: new Float32Array(0), gradients: {}, computeMs: 0, engine: name }
  }
  return fakeEngine({ name, run })
}

/** Runs until both sides have been measured. */
async function learn(engine: ReturnType<typeof costBasedRouter>) {
  for (let i = 0; i < 8; i++) for (const batch of [SMALL, LARGE]) await engine.run(batch)
}

describe('the router', () => {
  it('sends small batches to the CPU and large ones to the device', async () => {
    const engine = costBasedRouter(timed('device', 20, 0), timed('processor', 1, 2000), () => {})
    await learn(engine)
    expect((await engine.run(SMALL)).engine).toBe('processor')
    expect((await engine.run(LARGE)).engine).toBe('device')
  })

  it('runs programs that the device has not compiled yet on the CPU, and warms up the device', async () => {
    const device = timed('device', 0, 0)
    const engine = costBasedRouter(device, timed('processor', 5, 0), () => {})
    expect((await engine.run(LARGE)).engine).toBe('processor')
    expect(device.batches).toEqual([LARGE])
    expect((await engine.run(LARGE)).engine).toBe('device')
  })

  it('does not fail a request if the warm-up fails', async () => {
    const logged: string[] = []
    const lost = () => new EngineLost('the process ended')
    const engine = costBasedRouter(timed('device', 0, 0, lost), timed('processor', 5, 0), (line) =>
      logged.push(line),
    )
    expect((await engine.run(LARGE)).engine).toBe('processor')
    expect(logged).toEqual(['the device failed to warm up for a program'])
  })

  it('reports its cost models, by engine and program', async () => {
    const engine = costBasedRouter(timed('device', 20, 0), timed('processor', 1, 2000), () => {})
    await learn(engine)
    const learned = engine.learned!()
    expect(learned.map((one) => one.engine).sort()).toEqual(['device', 'processor'])
    const device = learned.find((one) => one.engine === 'device')!
    expect(device.programKey).toBe(SMALL.programKey)
    expect(device.observations).toBeGreaterThan(0)
    expect(device.launch).toBeGreaterThan(5)
  })

  it('never sends float64 to the device', async () => {
    const device = timed('device', 0, 0)
    const engine = costBasedRouter(device, timed('processor', 0, 0), () => {})
    for (let i = 0; i < 3; i++) await engine.run(batchOf(4, 'float64'))
    expect(device.batches).toEqual([])
  })

  it('sends new batches to the idle side while the other one is busy', async () => {
    const device = timed('device', 30, 0)
    const processor = timed('processor', 40, 0)
    const engine = costBasedRouter(device, processor, () => {})
    await learn(engine)
    const answers = await Promise.all(Array.from({ length: 4 }, () => engine.run(LARGE)))
    expect(new Set(answers.map((answer) => answer.engine))).toEqual(new Set(['device', 'processor']))
  })
})
