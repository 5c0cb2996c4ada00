/** Engines in a process of their own: results, typed errors, and the death of the process. */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { type Engine, EngineLost, UnsupportedByEngine } from '../../../src/engines/contract.ts'
import { definitionOf, engineDefinitions } from '../../../src/engines/engine-registry.ts'
import { openProcess } from '../../../src/engines/remote/process.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { bitsOf } from '../../support/close.ts'
import { check, evaluate, openInterpreter } from '../../support/evaluate.ts'
import { sampleTensors } from '../../support/sample.ts'

const { losses } = await loadCatalog()
const definitions = await engineDefinitions()
const huber = losses.find(({ name }) => name === 'huber')!
const job = (precision: 'float32' | 'float64' = 'float32') =>
  check(huber, sampleTensors(huber, { seed: 1, precision })).job
const ntXent = losses.find(({ name }) => name === 'nt_xent')!
const longJob = check(ntXent, sampleTensors(ntXent, { seed: 1, rows: 600 })).job

describe('an engine in its own process', () => {
  let engine: Engine | undefined
  const children: ChildProcess[] = []
  const logged: string[] = []
  const open = async (name: string, environment: Readonly<Record<string, string>> = {}) => {
    const definition = { ...definitionOf(name, definitions), environment: () => environment }
    const log = (message: string) => logged.push(message)
    const onStart = (child: ChildProcess) => children.push(child)
    engine = await openProcess({ definition, reason: 'test', log, onStart })
    return engine
  }
  afterEach(async () => {
    await engine?.close()
    engine = undefined
    children.length = 0
    logged.length = 0
  })

  it('gives the same results as in this process', async () => {
    const remote = await open('interpreter')
    const tensors = sampleTensors(huber, { seed: 4 })
    expect(await evaluate(remote, huber, tensors)).toEqual(
      await evaluate(await openInterpreter(), huber, tensors),
    )
    expect(remote.info).toMatchObject({ name: 'interpreter', reason: 'test' })
    expect(await remote.stats()).toEqual({ tensors: 0, bytes: 0 })
  })

  it('exchanges megabytes in both directions', async () => {
    const remote = await open('compiled')
    const tensors = sampleTensors(huber, { seed: 4, rows: 300_000 })
    const got = await evaluate(remote, huber, tensors)
    expect(got.gradients.get('predictions')!.data.length).toBe(600_000)
    const want = await evaluate(await openCompiledHere(), huber, tensors)
    expect(bitsOf(got.loss.data)).toBe(bitsOf(want.loss.data))
    for (const [name, { data }] of want.gradients)
      expect(bitsOf(got.gradients.get(name)!.data), name).toBe(bitsOf(data))
  })

  it('keeps the class of UnsupportedByEngine', async () => {
    const remote = await open('cpu')
    await expect(remote.run(assemble([job('float64')]))).rejects.toBeInstanceOf(UnsupportedByEngine)
  })

  it('fails only the invalid batch', async () => {
    const remote = await open('cpu')
    const broken = { ...assemble([job()]), program: { ...job().program, value: 999 }, programKey: 'broken' }
    await expect(remote.run(broken)).rejects.toThrow()
    expect((await remote.run(assemble([job()]))).values.length).toBe(6)
  })

  it('that aborts fails its batches, restarts, and learns its programs again', async () => {
    const remote = await open('cpu')
    const before = await evaluate(remote, huber, sampleTensors(huber, { seed: 4 }))
    // Long enough that it still runs when its process ends.
    const pending = remote.run(assemble([longJob]))
    children[0]!.kill('SIGABRT')
    await expect(pending).rejects.toBeInstanceOf(EngineLost)
    await expect(remote.run(assemble([job()]))).rejects.toBeInstanceOf(EngineLost)
    expect(logged).toEqual(['the cpu process ended, starting another'])
    while (!remote.isReady) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await evaluate(remote, huber, sampleTensors(huber, { seed: 4 }))).toEqual(before)
  })

  it('ends when it is closed, and when the pipe is closed', async () => {
    const remote = await open('cpu')
    const gone = once(children[0]!, 'exit')
    await remote.close()
    expect((await gone)[0]).toBe(0)
    engine = undefined
    await open('cpu')
    const orphan = children[1]!
    const left = once(orphan, 'exit')
    ;(orphan.stdio[3] as unknown as { destroy(): void }).destroy()
    await left
  })

  it('reports in one line why it cannot be opened', async () => {
    const definition = { ...definitionOf('cpu', definitions), name: 'quantum' }
    const opened = openProcess({ definition, reason: 'test', log: () => {} })
    await expect(opened).rejects.toThrow('there is no engine "quantum"')
  })
})

async function openCompiledHere(): Promise<Engine> {
  return (await definitionOf('compiled', definitions).open('test')) as Engine
}
