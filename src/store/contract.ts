/**
 * The contract of the store of custom losses, for every database. A registered version never changes, so it can be
 * cached for ever. What can change is which version is the latest, and whether a name is retired.
 */

/** A registered name, without its version: `acme/robust_log`. */
export interface LossName {
  readonly namespace: string
  readonly name: string
}

/** What is registered. The store does not look into the document. */
export interface Draft extends LossName {
  /** SHA-256 of what the loss computes, in hex. */
  readonly id: string
  /** SHA-256 of the whole document, in hex. It identifies equal documents. */
  readonly digest: string
  /** The definition as JSON text, stored unchanged. */
  readonly document: string
  readonly createdBy: string | null
}

/** One version of a loss. It never changes. */
export interface StoredVersion extends Draft {
  /** Counts from 1 for each name. A number is never reused, not even after a purge. */
  readonly version: number
  /** When it was registered: ISO 8601, UTC. */
  readonly created: string
}

/** What can change about a name. */
export interface StoredLoss extends LossName {
  readonly latest: number
  /** When it was retired (ISO 8601, UTC), or null. */
  readonly retired: string | null
}

export interface FoundVersion {
  readonly stored: StoredVersion
  readonly loss: StoredLoss
}

export interface Registered {
  readonly stored: StoredVersion
  /** False if the latest version already is the same document; `stored` is then that version. */
  readonly isNew: boolean
}

/**
 * `onlyCreate`: the name must not exist, or must be retired. `follows`: this must be the latest version, and not
 * retired.
 */
export type Condition = { readonly onlyCreate: true } | { readonly follows: number }

export interface VersionPage {
  readonly limit: number
  /** Only versions below this one. */
  readonly before?: number
}

export interface LossPage {
  readonly limit: number
  /** Only names after this one, which is the last name of the previous page. */
  readonly after?: LossName
  /** Includes retired names. */
  readonly withRetired?: boolean
}

/** The name whose latest version or retirement has changed; `all` if changes may have been missed. */
export type Change = LossName | 'all'

/** A name in an export. Its versions follow. */
export interface LossRecord extends LossName {
  readonly kind: 'loss'
  /** Null for a purged name, of which only the last version number is kept. */
  readonly latest: number | null
  /** The highest version number that was ever used. */
  readonly numbered: number
  readonly retired: string | null
}

export interface VersionRecord extends StoredVersion {
  readonly kind: 'version'
}

export type ExportRecord = LossRecord | VersionRecord

/** Every method rejects with {@link StoreDown} when the database fails. */
export interface LossStore {
  /**
   * Registers a document as the next version of its name. It is on disk when the promise resolves. A retired name
   * becomes available again with its next version.
   *
   * @throws PreconditionFailed if the condition is not met
   * @throws NamespaceFull if the name is new and its namespace has reached the limit
   * @example
   * const { stored, isNew } = await store.register(draft, { follows: 2 }) // stored.version === 3
   */
  register(draft: Draft, condition?: Condition): Promise<Registered>
  /**
   * A version, by default the latest; undefined if there is none. Retired versions are found too, with
   * `loss.retired` set.
   */
  find(namespace: string, name: string, version?: number): Promise<FoundVersion | undefined>
  /** Newest first. */
  versions(namespace: string, name: string, page: VersionPage): Promise<readonly StoredVersion[]>
  /** Names with their latest versions, in the order of namespaces and names. */
  list(namespace: string | undefined, page: LossPage): Promise<readonly FoundVersion[]>
  /** @returns whether it existed and was not retired yet */
  retire(namespace: string, name: string): Promise<boolean>
  /**
   * Removes all versions. The last version number is kept: if the name is registered again, its versions continue
   * after it.
   *
   * @returns whether it existed
   */
  purge(namespace: string, name: string): Promise<boolean>
  /**
   * Reports changes, including those made through this store, before the call that made them resolves.
   *
   * A reader that caches the latest version drops it then. A `find` that began before the change may still return
   * the previous version, so its result must not be cached if a change was reported in the meantime.
   *
   * @returns a function that removes the listener
   */
  onChange(listener: (change: Change) => void): () => void
  /**
   * Whether changes made elsewhere are received at the moment. While false, do not cache which version is the
   * latest.
   */
  readonly hearsChanges: boolean
  /** Resolves if the database responds. */
  health(): Promise<void>
  export(): AsyncIterable<ExportRecord>
  /**
   * Adds all missing records with their version numbers, in one transaction. `maxLosses` is not applied.
   *
   * @returns the number of new versions
   * @throws ImportRefused if a version exists with a different document
   */
  import(records: Iterable<ExportRecord>): Promise<number>
  /** Waits for pending calls. The store cannot be used afterwards. */
  close(): Promise<void>
}

/** The database is unavailable. The message names the cause, and contains no credentials. */
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
  /** The latest version that is not retired, if there is one. */
  readonly latest: number | undefined

  constructor(message: string, latest: number | undefined) {
    super(message)
    this.latest = latest
  }
}

/** The namespace has reached its maximum number of names. */
export class NamespaceFull extends Error {
  override readonly name = 'NamespaceFull'
  readonly limit: number

  constructor(namespace: string, limit: number) {
    super(`${namespace} already has ${limit} losses, which is the limit`)
    this.limit = limit
  }
}

/** An import contradicts what is stored. */
export class ImportRefused extends Error {
  override readonly name = 'ImportRefused'
  /** Index of the record, from 0. */
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}
