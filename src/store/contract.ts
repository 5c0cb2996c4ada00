/**
 * What the store of registered losses promises, whichever database keeps it. A version never changes once it is registered, so
 * it may be cached for ever; what can change is which version is the latest, and whether a name is retired.
 */
import { many } from '../errors.ts'

/** A registered name, without its version: `acme/robust_log`. */
export interface LossName {
  readonly namespace: string
  readonly name: string
}

/** What is registered. The store does not look into the document. */
export interface Draft extends LossName {
  /** SHA-256 of what the loss computes, in hex. */
  readonly id: string
  /** SHA-256 of the whole document, in hex: equal documents are recognised by it. */
  readonly digest: string
  /** The definition, JSON text, kept as it is. */
  readonly document: string
  readonly createdBy: string | null
}

/** One version of a loss. It never changes. */
export interface StoredVersion extends Draft {
  /** Counts from 1 for each name, and is never given twice, not even after a purge. */
  readonly version: number
  /** When it was registered: ISO 8601, UTC. */
  readonly created: string
}

/** What can change about a name. */
export interface StoredLoss extends LossName {
  readonly latest: number
  /** Since when it is retired (ISO 8601, UTC), or null. */
  readonly retired: string | null
}

export interface FoundVersion {
  readonly stored: StoredVersion
  readonly loss: StoredLoss
}

export interface Registered {
  readonly stored: StoredVersion
  /** False where the latest version is the same document already: that version is `stored`. */
  readonly isNew: boolean
}

/** `onlyCreate`: the name must not be there, or be retired. `follows`: this must be the latest version, and not retired. */
export type Condition = { readonly onlyCreate: true } | { readonly follows: number }

export interface VersionPage {
  readonly limit: number
  /** Only versions below this one. */
  readonly before?: number
}

export interface LossPage {
  readonly limit: number
  /** Only names behind this one; the last of the page before. */
  readonly after?: LossName
  /** Retired names as well. */
  readonly withRetired?: boolean
}

/** The name whose latest version or retirement has changed; `all` where any may have, unheard. */
export type Change = LossName | 'all'

/** A name in an export. Its versions follow. */
export interface LossRecord extends LossName {
  readonly kind: 'loss'
  /** Null for a purged one, of which only its last number is left. */
  readonly latest: number | null
  /** The highest version that was ever given. */
  readonly numbered: number
  readonly retired: string | null
}

export interface VersionRecord extends StoredVersion {
  readonly kind: 'version'
}

export type ExportRecord = LossRecord | VersionRecord

/** Every method rejects with {@link StoreDown} where the database does not do its part. */
export interface LossStore {
  /**
   * Registers a document as the next version of its name. It is on disk when this resolves. A retired name comes back
   * with the next version.
   *
   * @throws PreconditionFailed when the condition does not hold
   * @throws NamespaceFull when the name is new and its namespace has as many as are allowed
   * @example
   * const { stored, isNew } = await store.register(draft, { follows: 2 }) // stored.version === 3
   */
  register(draft: Draft, condition?: Condition): Promise<Registered>
  /** A version, by default the latest; undefined where there is none. Retired ones are found too: `loss.retired` says so. */
  find(namespace: string, name: string, version?: number): Promise<FoundVersion | undefined>
  /** Newest first. */
  versions(namespace: string, name: string, page: VersionPage): Promise<readonly StoredVersion[]>
  /** Names with their latest versions, in the order of namespaces and names. */
  list(namespace: string | undefined, page: LossPage): Promise<readonly FoundVersion[]>
  /** @returns whether it was there and not retired yet */
  retire(namespace: string, name: string): Promise<boolean>
  /**
   * Removes all versions. The number of the last one is kept: registered again, the name goes on behind it.
   *
   * @returns whether it was there
   */
  purge(namespace: string, name: string): Promise<boolean>
  /**
   * Tells of changes, those made through this store included, before the call that made them resolves.
   *
   * A reader who caches the latest version drops it then. A `find` that began before the change may still answer with
   * what was there before: its answer must not be cached when a change came in the meantime.
   *
   * @returns ends it
   */
  onChange(listener: (change: Change) => void): () => void
  /**
   * Whether changes made elsewhere are heard now: at once from PostgreSQL, and within half a second from another process
   * that has the same file open. While false, do not cache which version is the latest. It turns false at most five
   * seconds after a connection has died in silence, and listeners are then told `all`.
   */
  readonly hearsChanges: boolean
  /** Resolves when the database answers. */
  health(): Promise<void>
  export(): AsyncIterable<ExportRecord>
  /**
   * Adds what is missing, with its version numbers, all of it or nothing. `maxLosses` does not count here.
   *
   * @returns how many versions are new
   * @throws ImportRefused when a version is there with another document
   */
  import(records: Iterable<ExportRecord>): Promise<number>
  /** Waits for what is under way. Afterwards nothing else may be asked. */
  close(): Promise<void>
}

/** The database does not do its part now. The message names the cause, and no credentials. */
export class StoreDown extends Error {
  override readonly name = 'StoreDown'
}

/** The setting names no store. The message repeats nothing of it that may be a password. */
export class InvalidAddress extends Error {
  override readonly name = 'InvalidAddress'
}

/** The condition of a registration does not hold. */
export class PreconditionFailed extends Error {
  override readonly name = 'PreconditionFailed'
  /** The latest version that is not retired, where there is one. */
  readonly latest: number | undefined

  constructor(message: string, latest: number | undefined) {
    super(message)
    this.latest = latest
  }
}

/** A namespace has as many names as are allowed. */
export class NamespaceFull extends Error {
  override readonly name = 'NamespaceFull'
  readonly limit: number

  constructor(namespace: string, limit: number) {
    super(`${namespace} has ${many(limit, 'losses')}, which is the limit`)
    this.limit = limit
  }
}

/** An import contradicts what is stored. */
export class ImportRefused extends Error {
  override readonly name = 'ImportRefused'
  /** Which record it was, from 0. */
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}
