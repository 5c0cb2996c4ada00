/**
 * The loss of a device, told to all who wait for it to do something: a promise of Dawn's may never settle then. Not one
 * promise that everybody races against, because that would keep a note of every race until the device goes.
 */
import type { DeviceLost } from '../contract.ts'

export class DeviceLostSignal {
  readonly #waiting = new Set<(error: DeviceLost) => void>()
  #error: DeviceLost | undefined

  get isDeclared(): boolean {
    return this.#error !== undefined
  }

  /** For how many this would end the waiting. */
  get waiting(): number {
    return this.#waiting.size
  }

  declare(error: DeviceLost) {
    this.#error = error
    for (const reject of this.#waiting) reject(error)
    this.#waiting.clear()
  }

  /**
   * As the promise goes, or `DeviceLost` when the device goes first.
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
