/** The stores that tests run on: one of each kind that this machine has. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LossStore } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'

/** A database, empty at first, to which stores can be opened, also several at once. */
export interface Place {
  open(options?: { maxLosses?: number }): LossStore
  /** Closes what was opened, and removes it all. */
  remove(): Promise<void>
}

export interface StoreKind {
  readonly title: string
  make(): Promise<Place>
}

const DEFAULTS = { maxLosses: 1000 }

/** Opens stores at an address, and closes them at the end. */
export function placeAt(url: string, removeIt: () => void | Promise<void>): Place {
  const opened: LossStore[] = []
  return {
    open: (options) => {
      const store = openStore(url, { ...DEFAULTS, ...options })!
      opened.push(store)
      return store
    },
    remove: async () => {
      await Promise.all(opened.map((store) => store.close()))
      await removeIt()
    },
  }
}

export const sqlite: StoreKind = {
  title: 'SQLite',
  make: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-store-'))
    return placeAt(`file:${folder}/data/lossd.db`, () => rmSync(folder, { recursive: true }))
  },
}
