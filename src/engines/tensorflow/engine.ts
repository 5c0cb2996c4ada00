/**
 * The TensorFlow engine: a program is one XLA executable if possible. Programs that XLA cannot compile, and shapes
 * that are not worth compiling yet, run op by op.
 */
import * as tf from '@tensorflow/tfjs-core'
import {
  type Batch,
  type BatchResult,
  DeviceLost,
  type Engine,
  type EngineDetails,
  UnsupportedByEngine,
} from '../contract.ts'
import { execute } from '../tfjs/execute.ts'
import { classifyError } from './classify-error.ts'
import { ExecutableCache } from './executable-cache.ts'
import { queryNvidiaSmi } from './gpu.ts'
import type { Native } from './native.ts'
import { runExecutable } from './run-executable.ts'

const NAME = 'tensorflow'
/** Maximum number of remembered programs that XLA cannot compile; more than the number of cached programs. */
const MAX_REFUSED = 4096

/** @param native the loaded addon; its backend becomes the one that tfjs uses */
export async function tensorflowEngine(native: Native, reason: string): Promise<Engine> {
  if (!(await tf.setBackend(NAME))) throw new Error('the tfjs backend "tensorflow" did not start')
  tf.enableProdMode()
  return new TensorflowEngine(native, reason)
}

class TensorflowEngine implements Engine {
  readonly info
  readonly #version: string
  readonly #forms: ExecutableCache
  readonly #refused = new Set<string>()
  #isLost = false

  constructor(native: Native, reason: string) {
    const { setup, isUsingGpu } = native
    const device = `TensorFlow ${setup.version}, XLA, ${isUsingGpu ? 'GPU' : 'CPU'}`
    this.info = { name: NAME, device, reason, isGpu: isUsingGpu }
    this.#version = setup.version
    this.#forms = new ExecutableCache(native)
  }

  /**
   * A lost CUDA context cannot be recreated in the same process, so the owner of the process has to start another
   * one.
   */
  get isReady() {
    return !this.#isLost
  }

  async run(batch: Batch): Promise<BatchResult> {
    if (batch.precision !== 'float32')
      throw new UnsupportedByEngine(`TensorFlow does not support ${batch.precision} here`)
    try {
      return (await this.#runFused(batch)) ?? (await execute(batch, NAME))
    } catch (error) {
      const meaning = classifyError(error)
      this.#isLost ||= meaning instanceof DeviceLost
      throw meaning
    }
  }

  serving(_: unknown, precision: Batch['precision']): readonly string[] {
    return precision === 'float32' ? [NAME] : []
  }

  async stats() {
    const { numTensors, numBytes } = tf.memory()
    return { tensors: numTensors, bytes: numBytes }
  }

  async describe(): Promise<EngineDetails> {
    const compiled = this.#forms.describe()
    const library = `TensorFlow ${this.#version}`
    const gpu = this.info.isGpu ? await queryNvidiaSmi() : undefined
    if (gpu === undefined) return { driver: library, compiled }
    const { name, driver, memoryBytes } = gpu
    return { driver: `${library}, NVIDIA ${driver}, ${name}`, limits: { memoryBytes }, compiled }
  }

  /** The backend stays registered: tfjs-node registers it once per process. */
  async close() {
    this.#forms.close()
  }

  /** Undefined if XLA cannot compile it, or if compiling is not worthwhile yet. */
  async #runFused(batch: Batch): Promise<BatchResult | undefined> {
    if (this.#refused.has(batch.programKey)) return undefined
    try {
      const before = performance.now()
      const form = await this.#forms.of(batch)
      if (form === undefined) return undefined
      const started = performance.now()
      const arrays = runExecutable(form, batch)
      return { ...arrays, computeMs: performance.now() - started, compileMs: started - before, engine: NAME }
    } catch (error) {
      if (!(classifyError(error) instanceof UnsupportedByEngine)) throw error
      if (this.#refused.size >= MAX_REFUSED) this.#refused.clear()
      this.#refused.add(batch.programKey)
      return undefined
    }
  }
}
