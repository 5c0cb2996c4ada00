/**
 * The interface of the store of registered losses, the same for every database. A registered version never changes, so it
 * may be cached for ever. What can change is which version is the latest and whether a name is retired.
 */
import { pluralize } from '../errors.ts'

/** A registered name, without its version: `acme/robust_log`. */
export interface LossName {
  readonly namespace: string
  readonly name: string
}

/** A loss to register. The store does not look into the document. */
export interface Draft extends LossName {
  /** SHA-256 of what the loss computes, in hex. */
  readonly id: string
  /** SHA-256 of the whole document, in hex. Equal documents have equal digests. */
  readonly digest: string
  /** The definition as JSON text, stored unchanged. */
  readonly document: string
  readonly createdBy: string | null
}

/** One version of a loss. It never changes. */
export interface StoredVersion extends Draft {
  /** Counts from 1 for each name. A number is never used twice, not even after a purge. */
  readonly version: number
  /** When it was registered: ISO 8601, UTC. */
  readonly created: string
}

/** The state of a name, which can change. */
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
  /** False if the latest version already has the same document. `stored` is then that version. */
  readonly isNew: boolean
}

/** `onlyCreate`: the name must not exist, or be retired. `follows`: this must be the latest version, and not retired. */
export type Condition = { readonly onlyCreate: true } | { readonly follows: number }

export interface VersionPage {
  readonly limit: number
  /** Only versions below this one. */
  readonly before?: number
}

export interface LossPage {
  readonly limit: number
  /** The cursor: only names after this one, the last name of the previous page. */
  readonly after?: LossName
  /** Include retired names. */
  readonly withRetired?: boolean
}

/** The name whose latest version or retirement changed. `all`: any name may have changed without a notification. */
export type Change = LossName | 'all'

/** A name in an export. The records of its versions follow. */
export interface LossRecord extends LossName {
  readonly kind: 'loss'
  /** Null if the name was purged and only its last version number is left. */
  readonly latest: number | null
  /** The highest version number that was ever used. */
  readonly numbered: number
  readonly retired: string | null
}

export interface VersionRecord extends StoredVersion {
  readonly kind: 'version'
}

export type ExportRecord = LossRecord | VersionRecord

/** What is kept of an API key. The store does not look into the record. */
export interface StoredKey {
  readonly id: string
  readonly record: string
}

/** Every method rejects with {@link StoreDown} if the database fails. */
export interface KeyStore {
  /** All keys, ordered by their ids. */
  keys(): Promise<readonly StoredKey[]>
  /** Adds a key, or replaces the one with its id. */
  putKey(key: StoredKey): Promise<void>
}

/** `queued` and `running` jobs are open, the others are over. */
export type JobState = 'queued' | 'running' | 'done' | 'failed' | 'cancelled'

/** A job to be done. The store looks into none of its texts. */
export interface NewJob {
  readonly id: string
  /** Who asked for it; null if nobody was asked who they are. */
  readonly owner: string | null
  readonly request: string
  /** Equal keys of an owner mean the same job. */
  readonly idempotencyKey: string | null
}

export interface StoredJob extends NewJob {
  readonly state: JobState
  readonly created: string
  readonly updated: string
  readonly rows: number
  /** Null while nobody knows. */
  readonly total: number | null
  /** Of a job that is done. */
  readonly result: string | null
  /** Of a job that failed. */
  readonly error: string | null
}

/** A job that a worker has taken, with what earlier workers have left. */
export interface ClaimedJob extends StoredJob {
  readonly checkpoint: string | null
}

/** Who works on a job, and until when nobody else may take it: both times in milliseconds since 1970. */
export interface Lease {
  readonly worker: string
  readonly now: number
  readonly until: number
}

export interface JobProgress {
  readonly rows: number
  readonly total: number | null
  /** Unchanged if undefined. */
  readonly checkpoint?: string | undefined
}

export type JobEnd =
  | { readonly state: 'done'; readonly rows: number; readonly result: string }
  | { readonly state: 'failed'; readonly error: string }

/** Jobs that several processes share. Every method rejects with {@link StoreDown} if the database fails. */
export interface JobStore {
  /** Adds a job, unless its owner has one with the same idempotency key: then it is that one. */
  addJob(job: NewJob): Promise<{ readonly job: StoredJob; readonly isNew: boolean }>
  findJob(id: string): Promise<StoredJob | undefined>
  /** Takes the oldest job that nobody works on, or whose worker has not been heard of since its lease ended. */
  claimJob(lease: Lease): Promise<ClaimedJob | undefined>
  /**
   * Keeps the progress of a job and extends its lease.
   *
   * @returns false if the job is no longer this worker's: it was cancelled, or somebody else has taken it
   */
  keepJob(id: string, lease: Lease, progress: JobProgress): Promise<boolean>
  /** @returns false if the job is no longer this worker's */
  endJob(id: string, worker: string, end: JobEnd): Promise<boolean>
  /** Ends a job that is open. @returns whether it was */
  cancelJob(id: string): Promise<boolean>
}

/** Every method rejects with {@link StoreDown} if the database fails. */
export interface LossStore extends KeyStore, JobStore {
  /**
   * Registers a document as the next version of its name. When this resolves, the version is on disk. Registering a
   * retired name brings it back with the next version.
   *
   * @throws PreconditionFailed if the condition does not hold
   * @throws NamespaceFull if the name is new and its namespace is at the limit
   * @example
   * const { stored, isNew } = await store.register(draft, { follows: 2 }) // stored.version === 3
   */
  register(draft: Draft, condition?: Condition): Promise<Registered>
  /** A version, by default the latest; undefined if there is none. Also finds retired names (see `loss.retired`). */
  find(namespace: string, name: string, version?: number): Promise<FoundVersion | undefined>
  /** The versions of a name, newest first. */
  versions(namespace: string, name: string, page: VersionPage): Promise<readonly StoredVersion[]>
  /** Names with their latest versions, ordered by namespace and name. */
  list(namespace: string | undefined, page: LossPage): Promise<readonly FoundVersion[]>
  /** @returns whether the name existed and was not retired yet */
  retire(namespace: string, name: string): Promise<boolean>
  /**
   * Deletes all versions. The last version number is kept: if the name is registered again, numbering continues after it.
   *
   * @returns whether the name existed
   */
  purge(namespace: string, name: string): Promise<boolean>
  /**
   * Reports changes. A change made through this store is reported before the call that made it resolves.
   *
   * A caller that caches the latest version must drop it then. A `find` that began before the change may still return the
   * old state, so its result must not be cached if a change was reported in the meantime.
   *
   * @returns a function that removes the listener
   */
  onChange(listener: (change: Change) => void): () => void
  /**
   * Whether changes made by other processes are reported now: at once with PostgreSQL, and within half a second if another
   * process has the same file open. While false, do not cache which version is the latest. If a connection dies silently,
   * this becomes false within five seconds, and listeners receive `all`.
   */
  readonly hearsChanges: boolean
  /** Resolves if the database responds. */
  health(): Promise<void>
  export(): AsyncIterable<ExportRecord>
  /**
   * Adds the records that are missing, with their version numbers, in one transaction. `maxLosses` does not apply.
   *
   * @returns how many versions are new
   * @throws ImportRefused if a version already exists with a different document
   */
  import(records: Iterable<ExportRecord>): Promise<number>
  /** Waits for pending calls and closes the database. The store cannot be used after that. */
  close(): Promise<void>
}

interface DownOptions extends ErrorOptions {
  readonly told?: string
}

/** The database is unavailable. The message states the cause, and where the database is, and contains no credentials. */
export class StoreDown extends Error {
  override readonly name = 'StoreDown'
  /** The message for callers, whom it does not concern where the database is. */
  readonly told: string

  constructor(message: string, { told = message, ...options }: DownOptions = {}) {
    super(message, options)
    this.told = told
  }

  /** A database that cannot be used, and why. */
  static because(
    reason: string,
    { title, cause }: { readonly title: string; readonly cause: unknown },
  ): StoreDown {
    const told = `the store cannot be used: ${reason}`
    return new StoreDown(`the store ${title} cannot be used: ${reason}`, { cause, told })
  }
}

/** The setting is not the address of a store. The message repeats nothing that may be a password. */
export class InvalidAddress extends Error {
  override readonly name = 'InvalidAddress'
}

/** The condition of a registration does not hold (optimistic concurrency). */
export class PreconditionFailed extends Error {
  override readonly name = 'PreconditionFailed'
  /** The latest version, if there is one and the name is not retired. */
  readonly latest: number | undefined

  constructor(message: string, latest: number | undefined) {
    super(message)
    this.latest = latest
  }
}

/** A namespace is at its limit of names. */
export class NamespaceFull extends Error {
  override readonly name = 'NamespaceFull'
  readonly limit: number

  constructor(namespace: string, limit: number) {
    super(`${namespace} already has ${pluralize(limit, 'losses')}, which is the limit`)
    this.limit = limit
  }
}

/** An import conflicts with what is stored. */
export class ImportRefused extends Error {
  override readonly name = 'ImportRefused'
  /** The index of the record, from 0. */
  readonly index: number

  constructor(message: string, index: number) {
    super(message)
    this.index = index
  }
}
