/**
 * Reports the loss of a device to everyone who waits for it, because Dawn's promises may then never settle. It is
 * not a single promise that everybody races against, because that would keep a reference to every race until the
 * device is lost.
 */
import type { DeviceLost } from '../contract.ts'

export class DeviceLostSignal {
  readonly #waiting = new Set<(error: DeviceLost) => void>()
  #error: DeviceLost | undefined

  get isDeclared(): boolean {
    return this.#error !== undefined
  }

  /** How many waiters there are. */
  get waiting(): number {
    return this.#waiting.size
  }

  declare(error: DeviceLost) {
    this.#error = error
    for (const reject of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  /**
   * Settles like the promise, or rejects with `DeviceLost` if the device is lost first.
   *
   * @example
   * await loss.unless(buffer.mapAsync(GPUMapMode.READ))
   */
  async unless<T>(promise: Promise<T>): Promise<T> {
    if (this.#error !== undefined) throw this.#error
    let tell: ((error: DeviceLost) => void) | undefined
    const lost = new Promise<never>((_, reject) => {
      tell = reject
      this.#waiting.add(reject)
    })
    try {
      return await Promise.race([promise, lost])
    } finally {
      this.#waiting.delete(tell!)
    }
  }
}
