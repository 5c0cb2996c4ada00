/** Keys for tests, in a file. Also for programs that vitest does not run. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { keySourceOf } from '../../src/access/key-source.ts'
import { generateKey, type KeyRecord } from '../../src/access/keys.ts'

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
