/**
 * Registered custom losses, with an LRU cache in front of the store. A version never changes, so a cached version
 * stays valid. Which version is the latest is cached until the store reports a change.
 */
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AccessLog } from '../access/audit.ts'
import { Problem } from '../errors.ts'
import { type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import type { ProgramSource } from '../losses/program.ts'
import { LruCache } from '../lru.ts'
import { checkDefinition } from '../schemas/definition.ts'
import {
  type Condition,
  type FoundVersion,
  type LossPage,
  type LossStore,
  NamespaceFull,
  PreconditionFailed,
  StoreDown,
  type StoredVersion,
} from '../store/contract.ts'
import { fullName, type RegisteredName } from './name.ts'

/** A registered loss, ready to be evaluated. */
export interface RegisteredLoss {
  readonly resolved: ResolvedLoss
  readonly stored: StoredVersion
  /** When its name was retired. */
  readonly retired: string | null
}

/** What is cached about a name: its latest version, until the store reports a change. */
interface Latest {
  readonly version: number
  readonly retired: string | null
}

export type StoreState = 'none' | 'up' | 'down'

/** What the store has said of itself, and until when that counts. */
interface Health {
  readonly state: Promise<StoreState>
  until: number
}

/** How long it counts, in ms. */
const HEALTH_MS = 1000

/** Maximum number of cached names. */
const MAX_KEPT = 4096
/** Limits of the cache: losses, and characters of their documents. A loss takes about 30 bytes per character. */
const CACHED = { entries: 4096, weight: 2 ** 21 } as const

export class Registry {
  readonly #store: LossStore | undefined
  readonly #programs: ProgramSource | undefined
  readonly #versions = new LruCache<string, Pick<RegisteredLoss, 'resolved' | 'stored'>>(CACHED)
  readonly #latest = new LruCache<string, Latest>({ entries: MAX_KEPT })
  /** What was known before a change: good enough while the store is unavailable. */
  readonly #stale = new LruCache<string, Latest>({ entries: MAX_KEPT })
  /** Counts changes. A lookup that began before a change does not tell which version is the latest now. */
  #changes = 0
  readonly #log: Pick<AccessLog, 'warn'> | undefined
  #health: Health | undefined
  #isDown = false

  /**
   * @param store undefined if nothing is stored
   * @param programs where the programs of losses are cached for the first request
   * @param log where it is said why the store is down
   */
  constructor(store: LossStore | undefined, programs?: ProgramSource, log?: Pick<AccessLog, 'warn'>) {
    this.#store = store
    this.#programs = programs
    this.#log = log
    store?.onChange((change) => this.#forget(change === 'all' ? undefined : fullName(change)))
  }

  get store(): LossStore {
    if (this.#store !== undefined) return this.#store
    throw new Problem(
      'not-kept',
      'losses cannot be registered here (LOSSD_STORE is none); send them inline, with POST /v1/losses:evaluate',
    )
  }

  /** @throws Problem `not-kept` if nothing is stored */
  checkStored() {
    this.store
  }

  /** The cached loss; undefined if the store must be asked. */
  known(name: RegisteredName): RegisteredLoss | undefined {
    const latest = this.#latest.get(fullName(name))
    if (latest === undefined) return undefined
    return this.#versionOf(name, latest)
  }

  /**
   * @throws Problem `unknown-loss`, `store-down`
   */
  async find(name: RegisteredName): Promise<RegisteredLoss> {
    const known = this.known(name)
    if (known !== undefined) return known
    const before = this.#changes
    try {
      const found = await this.store.find(name.namespace, name.name, name.version)
      if (found === undefined) throw unknownLoss(name)
      return this.#keep(found, before)
    } catch (error) {
      const stale = error instanceof StoreDown ? this.#staleOf(name) : undefined
      if (stale !== undefined) return stale
      throw problemOf(error)
    }
  }

  /**
   * Stores a document as the next version of its name. It is on disk when the promise resolves.
   *
   * @param resolved the loss that the document defines, already validated
   * @param createdBy the id of the caller
   * @throws Problem `missing-input`, `precondition-failed`, `too-many-losses`, `store-down`
   */
  async register(
    document: unknown,
    resolved: ResolvedLoss,
    condition: Condition | undefined,
    createdBy: string | null = null,
  ): Promise<{ readonly own: RegisteredLoss; readonly isNew: boolean }> {
    const { loss } = resolved
    const [namespace, name] = loss.name.split('/')
    if (name === undefined)
      throw new Problem('missing-input', '/name: is required to register a loss', nameMissing)
    const text = JSON.stringify(document)
    const digest = createHash('sha256').update(text).digest('hex')
    const draft = { namespace, name, id: loss.id, digest, document: text, createdBy }
    const { stored, isNew } = await this.ask((store) => store.register(draft, condition))
    this.#versions.set(keyOf(stored), { resolved, stored }, text.length)
    // It is the latest version, or was when the store accepted it. A lookup would add nothing.
    return { own: { resolved, stored, retired: null }, isNew }
  }

  /** The losses of a namespace that are not retired, each in its latest version. */
  async list(namespace: string, page: LossPage): Promise<RegisteredLoss[]> {
    const found = await this.ask((store) => store.list(namespace, page))
    const losses: RegisteredLoss[] = []
    for (const { stored, loss } of found) {
      const known = this.#versions.get(keyOf(stored))
      losses.push({ ...(known ?? this.#read(stored)), retired: loss.retired })
      // Reading a page of losses that are not cached takes a while. Other requests are served in the meantime.
      if (known === undefined) await nextTurn()
    }
    return losses
  }

  /** Queries the store, and turns its errors into problems. */
  async ask<T>(question: (store: LossStore) => Promise<T>): Promise<T> {
    const { store } = this
    try {
      return await question(store)
    } catch (error) {
      throw problemOf(error)
    }
  }

  /** Asks the store at most once a second, because everyone may ask for it, and the store has few connections. */
  storeState(): Promise<StoreState> {
    if (this.#store === undefined) return Promise.resolve('none')
    if (this.#health === undefined || performance.now() >= this.#health.until)
      this.#health = this.#askHealth(this.#store)
    return this.#health.state
  }

  #askHealth(store: LossStore): Health {
    const state = store.health().then(
      () => this.#noteHealth(),
      (error: unknown) => this.#noteHealth(error),
    )
    const health: Health = { state, until: Number.POSITIVE_INFINITY }
    void state.then(() => {
      health.until = performance.now() + HEALTH_MS
    })
    return health
  }

  /** Only the log says why it is down, once per outage. */
  #noteHealth(error?: unknown): StoreState {
    const isDown = error !== undefined
    if (isDown && !this.#isDown) this.#log?.warn({ why: (error as Error).message }, 'the store is down')
    this.#isDown = isDown
    return isDown ? 'down' : 'up'
  }

  async close() {
    await this.#store?.close()
  }

  #keep({ stored, loss }: FoundVersion, before: number): RegisteredLoss {
    const kept = this.#versions.get(keyOf(stored)) ?? this.#read(stored)
    const latest = { version: loss.latest, retired: loss.retired }
    this.#stale.set(fullName(stored), latest)
    if (this.#store!.hearsChanges && before === this.#changes) this.#latest.set(fullName(stored), latest)
    return { ...kept, retired: loss.retired }
  }

  #read(stored: StoredVersion): Pick<RegisteredLoss, 'resolved' | 'stored'> {
    const loss = checkDefinition(JSON.parse(stored.document), '', undefined, this.#programs)
    return this.#versions.set(
      keyOf(stored),
      { resolved: withoutPreset(loss), stored },
      stored.document.length,
    )
  }

  #staleOf(name: RegisteredName): RegisteredLoss | undefined {
    const latest = this.#stale.get(fullName(name))
    return latest && this.#versionOf(name, latest)
  }

  #versionOf(name: RegisteredName, latest: Latest): RegisteredLoss | undefined {
    const found = this.#versions.get(keyOf({ ...name, version: name.version ?? latest.version }))
    return found && { ...found, retired: latest.retired }
  }

  #forget(name: string | undefined) {
    this.#changes++
    if (name === undefined) this.#latest.clear()
    else this.#latest.delete(name)
  }
}

const nameMissing = {
  errors: [{ pointer: '/name', detail: 'is required to register a loss: namespace/name' }],
}

function keyOf(stored: Pick<StoredVersion, 'namespace' | 'name' | 'version'>): string {
  return `${fullName(stored)}@${stored.version}`
}

export function unknownLoss(name: RegisteredName): Problem {
  const version = name.version === undefined ? '' : `@${name.version}`
  return new Problem(
    'unknown-loss',
    `there is no loss "${fullName(name)}${version}"; GET /v1/losses?namespace=${name.namespace} lists them`,
  )
}

/** An error of the store as a problem. */
function problemOf(error: unknown): unknown {
  if (error instanceof StoreDown)
    return new Problem('store-down', error.told, { retryAfter: 1, cause: error })
  if (error instanceof NamespaceFull) return new Problem('too-many-losses', error.message)
  if (error instanceof PreconditionFailed) return new Problem('precondition-failed', error.message)
  return error
}
