/** Where keys are kept: in a file, or in the store of registered losses, which replicas share. */
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyStore } from '../store/contract.ts'
import { InvalidAccess } from './grants.ts'
import { checkRecord, type KeyRecord } from './keys.ts'

export interface KeySource {
  /** What it is, in messages. */
  readonly title: string
  /** @throws InvalidAccess if what is kept are not keys, StoreDown, or an error of the file system */
  read(): Promise<readonly KeyRecord[]>
  /** Adds a key, or replaces the one with its id. */
  put(record: KeyRecord): Promise<void>
}

/**
 * @param setting `file:path`, or `store`
 * @param store undefined if there is none
 * @throws InvalidAccess if the keys are to be in a store that there is not
 */
export function keySourceOf(setting: string, store: KeyStore | undefined): KeySource {
  if (setting.startsWith('file:')) return new KeyFile(setting.slice('file:'.length))
  if (store !== undefined) return new StoredKeys(store)
  throw new InvalidAccess('LOSSD_KEYS is store, but LOSSD_STORE is none')
}

/** How often a lock that somebody else holds is tried, and how long: then its holder must have died. */
const LOCK = { everyMs: 50, mostMs: 5000 } as const

/** A JSON file. It is replaced as a whole, so that readers always find all of it. */
class KeyFile implements KeySource {
  readonly title: string
  readonly #path: string

  constructor(path: string) {
    this.#path = resolve(path)
    this.title = path
  }

  async read(): Promise<readonly KeyRecord[]> {
    const text = await textAt(this.#path)
    if (text === undefined) throw new InvalidAccess('there is no such file; lossd keys add makes it')
    return recordsIn(text)
  }

  async put(record: KeyRecord) {
    await mkdir(dirname(this.#path), { recursive: true })
    await locked(`${this.#path}.lock`, async () => {
      const text = await textAt(this.#path)
      const others = (text === undefined ? [] : recordsIn(text)).filter(({ id }) => id !== record.id)
      await replaceFile(this.#path, `${JSON.stringify({ keys: [...others, record] }, null, 2)}\n`)
    })
  }
}

/** Undefined if there is no such file. */
async function textAt(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** @throws InvalidAccess */
function recordsIn(text: string): readonly KeyRecord[] {
  const { keys } = parsed(text)
  if (!Array.isArray(keys)) throw new InvalidAccess('it must be an object whose member "keys" is an array')
  const records = keys.map(checkRecord)
  if (new Set(records.map(({ id }) => id)).size < records.length)
    throw new InvalidAccess('two keys have the same id')
  return records
}

/** The message of JSON.parse would repeat the text. */
function parsed(text: string): { readonly keys?: unknown } {
  try {
    return Object(JSON.parse(text))
  } catch {
    throw new InvalidAccess('it is not valid JSON')
  }
}

/** Only the owner may read it, because hashes are nobody else's business either. */
async function replaceFile(path: string, text: string) {
  const made = `${path}.${randomUUID()}`
  try {
    const file = await open(made, 'wx', 0o600)
    await file.writeFile(text)
    await file.sync()
    await file.close()
    await rename(made, path)
  } finally {
    await rm(made, { force: true })
  }
}

/** Runs while no other process changes the file. */
async function locked<T>(path: string, run: () => Promise<T>): Promise<T> {
  const end = performance.now() + LOCK.mostMs
  while (!(await couldCreate(path))) {
    if (performance.now() > end)
      throw new InvalidAccess(`${path} is held by another process; if none runs, remove it`)
    await sleep(LOCK.everyMs)
  }
  try {
    return await run()
  } finally {
    await rm(path, { force: true })
  }
}

async function couldCreate(path: string): Promise<boolean> {
  try {
    await writeFile(path, '', { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

class StoredKeys implements KeySource {
  readonly title = 'the store'
  readonly #store: KeyStore

  constructor(store: KeyStore) {
    this.#store = store
  }

  async read(): Promise<readonly KeyRecord[]> {
    return (await this.#store.keys()).map(({ record }) => checkRecord(parsed(record)))
  }

  async put(record: KeyRecord) {
    await this.#store.putKey({ id: record.id, record: JSON.stringify(record) })
  }
}
