/**
 * Negative cache of programs that an engine does not support, by program and precision, so that it is not asked
 * again.
 */
import type { Batch, UnsupportedByEngine } from '../contract.ts'

/** More than the number of cached programs. */
const MAX_REMEMBERED = 4096

type Asked = Pick<Batch, 'programKey' | 'precision'>

export class UnsupportedCache {
  readonly #known = new Map<string, UnsupportedByEngine>()

  /** The error of the engine; undefined if it may be asked. */
  of(batch: Asked): UnsupportedByEngine | undefined {
    return this.#known.get(keyOf(batch))
  }

  remember(batch: Asked, error: UnsupportedByEngine) {
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear()
    this.#known.set(keyOf(batch), error)
  }
}

function keyOf({ programKey, precision }: Asked): string {
  return `${precision} ${programKey}`
}
