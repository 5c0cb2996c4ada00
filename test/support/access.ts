/** A server that asks for keys. */
import type { Config } from '../../src/config.ts'
import { type Kept, startKeeper } from './custom.ts'
import type { KeyRing } from './key-ring.ts'

/** A server with a store that asks for the keys of a ring. */
export function startGuarded(ring: KeyRing, settings: Partial<Config> = {}): Promise<Kept> {
  return startKeeper({ keys: `file:${ring.path}`, ...settings })
}

export function bearer(key: string): { readonly authorization: string } {
  return { authorization: `Bearer ${key}` }
}
