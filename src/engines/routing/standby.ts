/**
 * Failover: a device with a standby. Whatever the device cannot run, or cannot run at the moment, the standby runs,
 * and the client only gets a slower response. A batch that was running when the device's process died is not
 * retried, because it may be the cause.
 */

import type { Program } from '../../language/ir.ts'
import type { Precision } from '../../tensor.ts'
import {
  type Batch,
  type BatchResult,
  DeviceLost,
  type Engine,
  type EngineInfo,
  type EngineStats,
  leafEngines,
  OutOfMemory,
  UnsupportedByEngine,
} from '../contract.ts'
import { halve, rejoin } from './halve-batch.ts'
import { UnsupportedCache } from './unsupported-cache.ts'

type Log = (message: string, details?: object) => void

/** @example const engine = withStandby(await openProcess(options), processor, console.log) */
export function withStandby(device: Engine, standby: Engine, log: Log): Engine {
  return new StandbyEngine(device, standby, log)
}

class StandbyEngine implements Engine {
  readonly #device: Engine
  readonly #standby: Engine
  readonly #log: Log
  /** Programs that the device does not support. */
  readonly #refusals = new UnsupportedCache()

  constructor(device: Engine, standby: Engine, log: Log) {
    this.#device = device
    this.#standby = standby
    this.#log = log
  }

  /** The engine that would compute now. */
  get info(): EngineInfo {
    if (this.#device.isReady) return this.#device.info
    return {
      ...this.#standby.info,
      reason: `in place of ${this.#device.info.name}, which is being restarted`,
    }
  }

  get isReady(): boolean {
    return this.#device.isReady || this.#standby.isReady
  }

  get width(): number {
    return (this.#device.isReady ? this.#device : this.#standby).width ?? 2
  }

  get members(): readonly Engine[] {
    return [this.#device, ...leafEngines(this.#standby)]
  }

  async run(batch: Batch): Promise<BatchResult> {
    if (!this.#device.isReady || this.#refusals.of(batch) !== undefined) return this.#standby.run(batch)
    try {
      return await this.#device.run(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) this.#refusals.remember(batch, error)
      else if (error instanceof OutOfMemory) return this.#runHalves(batch, error)
      else if (!(error instanceof DeviceLost)) throw error
      else this.#log('the device was lost', { engine: this.#device.info.name, why: error.message })
      return this.#standby.run(batch)
    }
  }

  serving(program: Program, precision: Precision): readonly string[] {
    return [
      ...new Set([...this.#device.serving(program, precision), ...this.#standby.serving(program, precision)]),
    ]
  }

  async stats(): Promise<EngineStats> {
    const [device, standby] = await Promise.all([this.#device.stats(), this.#standby.stats()])
    return { tensors: device.tensors + standby.tensors, bytes: device.bytes + standby.bytes }
  }

  async close(): Promise<void> {
    await Promise.all([this.#device.close(), this.#standby.close()])
  }

  /** Tries each half once. If that fails too, or the batch cannot be split, the standby runs it. */
  async #runHalves(batch: Batch, error: OutOfMemory): Promise<BatchResult> {
    this.#log('the device is out of memory', {
      engine: this.#device.info.name,
      why: error.message,
    })
    const halves = halve(batch)
    if (halves === undefined) return this.#standby.run(batch)
    try {
      const first = await this.#device.run(halves[0])
      return rejoin([first, await this.#device.run(halves[1])])
    } catch (again) {
      if (again instanceof OutOfMemory || again instanceof DeviceLost) return this.#standby.run(batch)
      throw again
    }
  }
}
