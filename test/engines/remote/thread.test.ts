/** Engines in a worker thread: they compute there, restart after a crash, and report why they cannot start. */
import type { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Engine, EngineLost } from '../../../src/engines/contract.ts'
import { openEngine } from '../../../src/engines/index.ts'
import { customLoss } from '../../../src/losses/custom.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { check, evaluate } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const huber = losses.find(({ name }) => name === 'huber')!
const job = (precision: 'float32' | 'float64' = 'float32') =>
  check(huber, sampleTensors(huber, { seed: 1, precision })).job
const ntXent = losses.find(({ name }) => name === 'nt_xent')!
const longJob = check(ntXent, sampleTensors(ntXent, { seed: 1, rows: 1000 })).job
const log = () => {}

/** Of ctc, kernels take only operands that all vary from row to row; here the lengths are the same for all. */
const alignment = customLoss({
  inputs: {
    x: { axes: 'rows,time,classes', kind: 'real', differentiable: true },
    labels: { axes: 'rows,labels', kind: 'index_list' },
  },
  formula: 'ctc(x, labels, 3, 1, 0, time, classes)',
})
const aligned = (precision: 'float32' | 'float64') =>
  check(alignment, sampleTensors(alignment, { seed: 1, precision })).job

describe('the compute thread', () => {
  let engine: Engine | undefined
  afterEach(async () => engine?.close())

  it('opens the selected engine and reports it', async () => {
    engine = await openEngine({ engine: 'cpu', log })
    expect(engine.info).toMatchObject({ name: 'cpu', reason: 'selected by name' })
    expect((await engine.run(assemble([job()]))).engine).toBe('cpu')
  })

  it('uses compiled kernels with auto', async () => {
    engine = await openEngine({ engine: 'auto', log })
    expect(engine.info).toMatchObject({ name: 'compiled' })
    expect(engine.info.reason).toMatch(/^the best available engine \(tensorflow: .+\)$/)
    const result = await engine.run(assemble([job()]))
    expect(result.engine).toBe('compiled')
    result.release?.()
  })

  it('is the fallback of the compiled engine, in both precisions', async () => {
    const started: unknown[] = []
    engine = await openEngine({
      engine: 'compiled',
      threads: 1,
      log,
      onStart: (worker) => started.push(worker),
    })
    for (const precision of ['float32', 'float64'] as const) {
      const { values } = await engine.run(assemble([aligned(precision)]))
      expect(values).toBeInstanceOf(precision === 'float64' ? Float64Array : Float32Array)
    }
    // Its own thread, and the one that it falls back to.
    expect(started).toHaveLength(2)
  })

  it('rejects an unknown engine in one line', async () => {
    await expect(openEngine({ engine: 'quantum', log })).rejects.toThrow(
      'there is no engine "quantum" (there are auto,',
    )
  })

  it('passes float64 to the interpreter, and caches that', async () => {
    engine = await openEngine({ engine: 'wasm', log })
    for (let i = 0; i < 2; i++)
      expect((await engine.run(assemble([job('float64')]))).engine).toBe('interpreter')
  })

  it('fails only the invalid batch', async () => {
    engine = await openEngine({ engine: 'wasm', log })
    const broken = { ...assemble([job()]), program: { ...job().program, value: 999 }, programKey: 'broken' }
    await expect(engine.run(broken)).rejects.toThrow()
    expect((await engine.run(assemble([job()]))).values.length).toBe(6)
  })

  it('that dies fails its batches, restarts, and learns its programs again', async () => {
    const workers: Worker[] = []
    engine = await openEngine({ engine: 'wasm', log, onStart: (worker) => workers.push(worker as Worker) })
    const before = await evaluate(engine, huber, sampleTensors(huber, { seed: 4 }))
    // Long enough that it still runs when its thread ends.
    const pending = engine.run(assemble([longJob]))
    await workers[0]!.terminate()
    await expect(pending).rejects.toBeInstanceOf(EngineLost)
    await expect(engine.run(assemble([job()]))).rejects.toBeInstanceOf(EngineLost)
    await until(() => engine!.isReady)
    const after = await evaluate(engine, huber, sampleTensors(huber, { seed: 4 }))
    expect(after).toEqual(before)
  })
})

async function until(condition: () => boolean) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20))
}
