/** What an engine could not do once, it is not asked again: by program and precision. It asks nobody itself. */
import type { Batch, UnsupportedByEngine } from '../contract.ts'

/** More than the programs that are kept. */
const MAX_REMEMBERED = 4096

type Asked = Pick<Batch, 'programKey' | 'precision'>

export class UnsupportedCache {
  readonly #known = new Map<string, UnsupportedByEngine>()

  /** What the engine said; undefined where it may be asked. */
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
