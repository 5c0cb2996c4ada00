/**
 * The WebGPU engine: batches go to the session of the current device. When the device is lost, pending batches
 * reject with `DeviceLost`, and the device is reopened with exponential backoff.
 */

import * as tf from '@tensorflow/tfjs-core'
import { Backoff } from '../../backoff.ts'
import {
  type Batch,
  DeviceLost,
  type DeviceTiming,
  type Engine,
  type EngineDetails,
  UnsupportedByEngine,
} from '../contract.ts'
import type { PoolOptions } from './buffer-pool.ts'
import { limitsOf } from './device.ts'
import { timeOnDevice } from './measure.ts'
import { openSession, type Session } from './session.ts'

const NAME = 'webgpu'

/** Two batches at once: one is copied while the other is computed (double buffering). */
const WIDTH = 2

/** Exponential backoff: the delay before a lost device is reopened doubles with each failure. */
const REOPEN_MS = { first: 20, most: 5000 } as const

export interface WebGpuOptions extends Partial<PoolOptions> {
  readonly reason: string
}

export interface WebGpuEngine extends Engine {
  /** For tests and measurements: the current device; undefined if there is none. */
  readonly session: Session | undefined
}

const DEFAULTS: PoolOptions = { memoryBytes: Number.POSITIVE_INFINITY, idleBytes: 2 ** 32 }

/** @throws NoDevice if there is none */
export async function openWebGpu({ reason, ...options }: WebGpuOptions): Promise<WebGpuEngine> {
  const engine = new OpenedEngine(reason, { ...DEFAULTS, ...options })
  await engine.start()
  return engine
}

class OpenedEngine implements WebGpuEngine {
  readonly width = WIDTH
  readonly #reason: string
  readonly #options: PoolOptions
  #session: Session | undefined
  #info: Engine['info'] | undefined
  readonly #backoff = new Backoff(REOPEN_MS)
  #isClosed = false

  constructor(reason: string, options: PoolOptions) {
    this.#reason = reason
    this.#options = options
  }

  async start(): Promise<void> {
    const session = await openSession(NAME, this.#options, () => this.#onLost())
    if (this.#isClosed) return session.close()
    this.#session = session
    const { vendor, architecture, description, isSoftware } = session.opened.info
    const device = `${[vendor, architecture].filter(Boolean).join(' ')} (${description}) through WebGPU`
    this.#info = { name: NAME, device, reason: this.#reason, isGpu: !isSoftware }
  }

  #onLost() {
    this.#session = undefined
    if (!this.#isClosed) void this.#reopen()
  }

  async #reopen(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.#backoff.next()).unref())
    if (this.#isClosed) return
    try {
      await this.start()
      this.#backoff.reset()
    } catch {
      void this.#reopen()
    }
  }

  get session(): Session | undefined {
    return this.#session
  }

  get info(): Engine['info'] {
    return this.#info!
  }

  get isReady(): boolean {
    return this.#session !== undefined && !this.#session.loss.isDeclared
  }

  async run(batch: Batch) {
    if (batch.precision !== 'float32')
      throw new UnsupportedByEngine(`WebGPU does not support ${batch.precision}`)
    if (this.#session === undefined) throw new DeviceLost('the device was lost and is being reopened')
    return this.#session.run(batch)
  }

  serving(_: Batch['program'], precision: Batch['precision']): readonly string[] {
    return precision === 'float32' ? [NAME] : []
  }

  async stats() {
    const { count, bytes } = this.#session?.pool.used ?? { count: 0, bytes: 0 }
    // Not `tf.memory()`, which would open a backend if none is in use.
    const { numTensors, numBytes } = tf.engine().state
    return { tensors: count + numTensors, bytes: bytes + numBytes }
  }

  async describe(): Promise<EngineDetails> {
    if (this.#session === undefined) return {}
    const { opened, device, pipelines } = this.#session
    const { vendor, description } = opened.info
    return { driver: `${vendor} ${description}`, limits: limitsOf(device), compiled: pipelines.state }
  }

  time(batch: Batch, launches: number): Promise<DeviceTiming> {
    return timeOnDevice(this.#session!, batch, launches)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#session?.close()
    this.#session = undefined
  }
}
