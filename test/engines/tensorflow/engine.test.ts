/** The TensorFlow engine around its executables: compilation, caching, and no leaks. */
import { readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as tf from '@tensorflow/tfjs-core'
import { describe, expect, it } from 'vitest'
import {
  type Batch,
  DeviceLost,
  type Engine,
  OutOfMemory,
  UnsupportedByEngine,
} from '../../../src/engines/contract.ts'
import { tensorflowEngine } from '../../../src/engines/tensorflow/engine.ts'
import { type LoadedModel, loadNative } from '../../../src/engines/tensorflow/native.ts'
import { readSetup, type Setup } from '../../../src/engines/tensorflow/setup.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { closedAfterEach } from '../../support/engines.ts'
import { openTensorflow, untested } from '../../support/tensorflow.ts'

const AXES = ['rows', 'columns']
const scope: Scope = {
  inputs: { x: { type: 'real', axes: AXES } },
  absent: [],
  params: { s: { kind: 'scalar' } },
  axes: AXES,
}
const program = lower(parse('sum(exp(x) * s, columns)'), scope, ['x'])
/** A program that couples its rows, so that they cannot be padded. */
const coupled = lower(parse('sum(max(x, columns)[rows -> others], others) + sum(x, columns)'), scope, ['x'])

let keys = 0
const newKey = () => `engine ${keys++}`

function batchOf(programKey: string, rows: number, columns: number, of = program): Batch {
  return {
    programKey,
    program: of,
    precision: 'float32',
    sizes: { rows, columns },
    inputs: { x: [Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i))] },
    scalars: { s: 2 },
    cotangent: [Float32Array.of(1)],
  }
}

describe.skipIf(untested !== undefined)('the TensorFlow engine', () => {
  const closed = closedAfterEach()
  const open = async () => closed(await openTensorflow())
  const compiled = async (engine: Engine) => (await engine.describe!()).compiled!

  it('compiles a program at its first request, and reports the compile time separately', async () => {
    const engine = await open()
    const key = newKey()
    const [first, second] = [await engine.run(batchOf(key, 3, 4)), await engine.run(batchOf(key, 3, 4))]
    expect(first.compileMs).toBeGreaterThan(0)
    expect(first.compileMs).toBeGreaterThan(second.compileMs!)
    expect(await compiled(engine)).toMatchObject({ entries: 1, hits: 1, misses: 1 })
  })

  it('runs any number of rows of one shape bucket on one executable', async () => {
    const engine = await open()
    const key = newKey()
    for (const rows of [1, 5, 16, 2]) {
      const { values, gradients } = await engine.run(batchOf(key, rows, 4))
      expect([values.length, gradients.x!.length]).toEqual([rows, rows * 4])
    }
    expect(await compiled(engine)).toMatchObject({ entries: 1, hits: 3, misses: 1 })
  })

  it('compiles another shape when it is seen for the second time, and runs op by op until then', async () => {
    const engine = await open()
    const key = newKey()
    await engine.run(batchOf(key, 6, 3, coupled))
    const [op, fused] = [
      await engine.run(batchOf(key, 7, 3, coupled)),
      await engine.run(batchOf(key, 7, 3, coupled)),
    ]
    expect(await compiled(engine)).toMatchObject({ entries: 2, misses: 2 })
    fused.values.forEach((value, i) => {
      expect(value).toBeCloseTo(op.values[i]!, 4)
    })
  })

  it('compiles once for several concurrent batches', async () => {
    const engine = await open()
    const key = newKey()
    const results = await Promise.all([1, 2, 3, 4].map((rows) => engine.run(batchOf(key, rows, 5))))
    expect(results.map(({ values }) => values.length)).toEqual([1, 2, 3, 4])
    expect(await compiled(engine)).toMatchObject({ entries: 1, misses: 1 })
  })

  it('limits its cache of executables (LRU), and recompiles evicted ones', async () => {
    const engine = await open()
    const { capacity } = await compiled(engine)
    const simple = lower(parse('sum(x, columns)'), scope, [])
    const first = batchOf(newKey(), 2, 2, simple)
    await engine.run(first)
    for (let i = 0; i < capacity; i++) await engine.run(batchOf(newKey(), 2, 2, simple))
    expect((await compiled(engine)).entries).toBe(capacity)
    await engine.run(first)
    const { values } = await engine.run(first)
    expect(values[0]).toBeCloseTo(Math.sin(0) + Math.sin(1), 5)
  }, 120_000)

  it('leaks no tensor and no file, whether a batch succeeds or fails', async () => {
    const engine = await open()
    const files = () => readdirSync(tmpdir()).filter((name) => name.startsWith('lossd-xla-')).length
    const before = [(await engine.stats()).tensors, files()]
    const key = newKey()
    await engine.run(batchOf(key, 3, 4))
    await expect(engine.run({ ...batchOf(key, 3, 4), inputs: {} })).rejects.toThrow()
    // Too few elements for the shape: tfjs rejects the second of two tensors.
    const short = { ...batchOf(key, 16, 4), inputs: { x: [new Float32Array(3)] } }
    await expect(engine.run(short)).rejects.toThrow()
    expect([(await engine.stats()).tensors, files()]).toEqual(before)
  })

  it('rejects float64 as unsupported', async () => {
    const engine = await open()
    await expect(engine.run({ ...batchOf(newKey(), 2, 2), precision: 'float64' })).rejects.toThrow(
      UnsupportedByEngine,
    )
  })

  it('shares one backend registry with all other users of tfjs', async () => {
    await open()
    expect(tf.findBackend('tensorflow')).not.toBeNull()
    expect(tf.getBackend()).toBe('tensorflow')
  })

  it('can be opened again after it was closed', async () => {
    await (await open()).close()
    const { values } = await (await open()).run(batchOf(newKey(), 1, 1))
    expect(values[0]).toBeCloseTo(2, 5)
  })

  describe('when TensorFlow fails', () => {
    /** An engine whose models are modified by `change`. */
    async function openWith(change: (model: LoadedModel) => LoadedModel): Promise<Engine> {
      const native = loadNative(readSetup() as Setup)
      const loadSavedModel: typeof native.loadSavedModel = async (...of) =>
        change(await native.loadSavedModel(...of))
      return closed(await tensorflowEngine({ ...native, loadSavedModel }, 'test'))
    }

    /** Throws at one of its runs; the first of all is the one that compiles. */
    const failingAt = (run: number, message: string) => (model: LoadedModel) => {
      let runs = 0
      const predict: LoadedModel['predict'] = (inputs) => {
        if (++runs === run) throw new Error(message)
        return model.predict(inputs)
      }
      return { predict, dispose: () => model.dispose() }
    }

    it('to compile, the program runs op by op, and is not compiled again', async () => {
      let models = 0
      const engine = await openWith((model) => {
        models++
        return failingAt(1, 'Session fail to run with error: INVALID_ARGUMENT: not for XLA')(model)
      })
      const key = newKey()
      const results = [await engine.run(batchOf(key, 2, 3)), await engine.run(batchOf(key, 2, 3))]
      expect(results.map(({ compileMs }) => compileMs)).toEqual([undefined, undefined])
      expect(results[1]!.values[0]).toBeCloseTo(2 * (1 + Math.exp(Math.sin(1)) + Math.exp(Math.sin(2))), 4)
      expect(models).toBe(1)
    })

    it('for lack of memory, the error says so, nothing leaks, and the next batch runs', async () => {
      const message = 'Session fail to run with error: OOM when allocating tensor with shape[9]'
      const engine = await openWith(failingAt(2, message))
      const { tensors } = await engine.stats()
      const key = newKey()
      await expect(engine.run(batchOf(key, 2, 3))).rejects.toThrow(OutOfMemory)
      expect((await engine.stats()).tensors).toBe(tensors)
      expect((await engine.run(batchOf(key, 2, 3))).values.length).toBe(2)
      expect(engine.isReady).toBe(true)
    })

    it('to compile for lack of memory, it tries again later', async () => {
      let models = 0
      const engine = await openWith((model) => {
        const isFirst = models++ === 0
        return isFirst ? failingAt(1, 'Session fail to run with error: RESOURCE_EXHAUSTED: x')(model) : model
      })
      const key = newKey()
      await expect(engine.run(batchOf(key, 2, 3))).rejects.toThrow(OutOfMemory)
      await engine.run(batchOf(key, 2, 3))
      expect((await engine.run(batchOf(key, 2, 3))).compileMs).toBeDefined()
    })

    it('because the device is lost, the error says so, and it is no longer ready', async () => {
      const message = 'Session fail to run with error: INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS'
      const engine = await openWith(failingAt(2, message))
      await expect(engine.run(batchOf(newKey(), 2, 3))).rejects.toThrow(DeviceLost)
      expect(engine.isReady).toBe(false)
    })
  })
})
