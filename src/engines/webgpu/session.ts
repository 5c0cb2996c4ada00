/**
 * One device from its opening to its loss: its buffers, its pipelines, and its op-by-op fallback. All of these are
 * lost with the device; engine.ts opens the next one.
 */
import { type Batch, type BatchResult, DeviceLost, OutOfMemory, UnsupportedByEngine } from '../contract.ts'
import { BufferPool, type PoolOptions } from './buffer-pool.ts'
import { type OpenDevice, openDevice } from './device.ts'
import { DeviceLostSignal } from './device-lost.ts'
import { type LaunchContext, launch } from './launch.ts'
import { type Fallback, openFallback } from './op-by-op.ts'
import { PipelineCache } from './pipelines.ts'

export interface Session extends LaunchContext {
  readonly opened: OpenDevice
  /** @throws DeviceLost if the device is lost in the meantime */
  run(batch: Batch): Promise<BatchResult>
  close(): void
}

/**
 * The launch itself may fail before Dawn reports that the device is lost. This is how long to wait for that report.
 */
const LOSS_NOTICE_MS = 100

/**
 * @param name the name under which results are reported
 * @param onLost called once, but not when the session is closed
 * @throws NoDevice if there is none
 */
export async function openSession(
  name: string,
  options: PoolOptions,
  onLost: (why: string) => void,
): Promise<Session> {
  const opened = await openDevice()
  const { device } = opened
  const loss = new DeviceLostSignal()
  const pool = new BufferPool(device, options)
  let isClosed = false
  void device.lost.then(({ message }) => {
    loss.declare(new DeviceLost(`the device was lost: ${message}`))
    pool.close()
    if (!isClosed) onLost(message)
  })
  const station = { device, pool, pipelines: new PipelineCache(device), loss }
  const runner = new Runner(name, station, opened)
  return {
    ...station,
    opened,
    run: (batch) => runner.run(batch),
    close: () => {
      isClosed = true
      runner.close()
      pool.close()
      device.destroy()
    },
  }
}

class Runner {
  readonly #name: string
  readonly #station: LaunchContext
  readonly #opened: OpenDevice
  #fallback: Promise<Fallback> | undefined

  constructor(name: string, station: LaunchContext, opened: OpenDevice) {
    this.#name = name
    this.#opened = opened
    this.#station = station
  }

  async run(batch: Batch): Promise<BatchResult> {
    try {
      return await this.#either(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine || error instanceof OutOfMemory) throw error
      // When a device is lost, the first failure may be any of a dozen errors.
      await this.#station.loss.unless(later())
      throw error
    }
  }

  async #either(batch: Batch): Promise<BatchResult> {
    try {
      return await launch(this.#station, batch, this.#name)
    } catch (error) {
      if (!(error instanceof UnsupportedByEngine)) throw error
      this.#fallback ??= openFallback(this.#opened, this.#name)
      const { run } = await this.#fallback
      return await this.#station.loss.unless(run(batch))
    }
  }

  close() {
    void this.#fallback?.then(({ close }) => close())
  }
}

function later(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOSS_NOTICE_MS))
}
