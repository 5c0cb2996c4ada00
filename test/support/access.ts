/** Keys for tests, and a server that asks for them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySourceOf } from '../../src/access/key-source.ts'
import { generateKey, type KeyRecord } from '../../src/access/keys.ts'
import type { Config } from '../../src/config.ts'
import { type Kept, startKeeper } from './custom.ts'

/** What a key may do, and how much of it. */
export interface KeyOf {
  readonly grants?: readonly string[]
  readonly quotas?: readonly string[]
  readonly expires?: string
}

/** A file of keys in a folder of its own. */
export class KeyRing {
  readonly folder = mkdtempSync(join(tmpdir(), 'lossd-keys-'))
  readonly path = join(this.folder, 'keys.json')
  readonly #source = keySourceOf(`file:${this.path}`, undefined)
  readonly #records = new Map<string, KeyRecord>()

  /** @returns the text of the key */
  async add({ grants = [], quotas = [], expires }: KeyOf = {}): Promise<string> {
    const wanted = { name: 'test', grants, quotas, createdBy: 'tester', expires: expires ?? null }
    const { text, record } = generateKey(wanted)
    await this.#source.put(record)
    this.#records.set(text, record)
    return text
  }

  idOf(key: string): string {
    return this.#records.get(key)!.id
  }

  recordOf(key: string): KeyRecord {
    return this.#records.get(key)!
  }

  async revoke(key: string) {
    const revoked = { revoked: new Date().toISOString(), revokedBy: 'reviser' }
    await this.#source.put({ ...this.#records.get(key)!, ...revoked })
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** A server with a store that asks for the keys of a ring. */
export function startGuarded(ring: KeyRing, settings: Partial<Config> = {}): Promise<Kept> {
  return startKeeper({ keys: `file:${ring.path}`, ...settings })
}

export function bearer(key: string): { readonly authorization: string } {
  return { authorization: `Bearer ${key}` }
}
