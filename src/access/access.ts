/**
 * Authentication: finds the caller of a request by its API key or token. Without keys and tokens, the service is open and
 * everyone is the same caller.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { LruCache } from '../lru.ts'
import type { KeyStore } from '../store/contract.ts'
import type { AccessLog, Audit, Change } from './audit.ts'
import { ANYONE, Caller } from './caller.ts'
import { type Grant, InvalidAccess, readGrants } from './grants.ts'
import { type KeySource, keySourceOf } from './key-source.ts'
import { isKey, isSecretOf, type KeyRecord, lapsed, partsOf } from './keys.ts'
import { Meter, readQuotas } from './quotas.ts'
import { credentialsInvalid, credentialsMissing } from './refusals.ts'
import { createTokenVerifier, type TokenVerifier } from './tokens.ts'

/** The settings of config.ts that are about access. */
export interface AccessSettings {
  readonly keys: string
  readonly sharedNamespaces: string
  readonly quota: string
  readonly jwtJwks: string
  readonly jwtIssuer: string
  readonly jwtAudience: string
  readonly jwtAlgorithms: string
  readonly jwtClaim: string
}

export interface AccessOptions {
  readonly settings: AccessSettings
  readonly store: KeyStore | undefined
  readonly log: AccessLog
  readonly audit: Audit
  /** Makes the meter of a caller, if other processes serve it, too. */
  readonly meterOf?: ((key: string, quotas: readonly string[]) => Meter) | undefined
}

/** How often keys are read again, in ms: a key that was revoked is refused after this. */
const POLL_MS = 2000
/** Maximum number of callers whose quotas are kept, and of tokens that need not be verified again. */
const KEPT = { entries: 10_000 } as const

/** What was found out about the latest credentials of a connection. */
interface Known {
  /** As it was sent. */
  readonly header: string
  readonly caller: Caller
  readonly until: number
  /** The reading of the keys after which it was found out. */
  readonly reading: number
}

/**
 * What is known of a connection. It is a property, because a lookup elsewhere would cost more for every request. A
 * connection keeps the headers of its latest request anyway.
 */
const KNOWN = Symbol('latest credentials')
type Connection = object & { [KNOWN]?: Known }

export class Access {
  readonly #options: AccessOptions
  readonly #source: KeySource | undefined
  readonly #verify: TokenVerifier | undefined
  readonly #shared: readonly string[]
  readonly #meters = new LruCache<string, Meter>(KEPT)
  /** By the id of the caller: a subject with many tokens is one caller. */
  readonly #lanes = new LruCache<string, object>(KEPT)
  /** Tokens that were verified, by their hash. */
  readonly #tokens = new LruCache<string, Found>(KEPT)
  #keys: ReadonlyMap<string, KeyRecord> = new Map()
  #callers = new Map<string, Caller>()
  #text = ''
  #fault: string | undefined
  /** Counts how often the keys have changed. */
  #reading = 0
  #timer: NodeJS.Timeout | undefined

  private constructor(options: AccessOptions, verify: TokenVerifier | undefined) {
    this.#options = options
    this.#verify = verify
    const { keys, sharedNamespaces } = options.settings
    this.#source = keys === '' ? undefined : keySourceOf(keys, options.store)
    this.#shared = wordsOf(sharedNamespaces)
    checkQuota(options.settings.quota)
  }

  /**
   * @throws InvalidAccess or another error if the keys cannot be read: a service must not start open by accident
   * @example
   * const access = await Access.open({ settings: config, store, log, audit })
   */
  static async open(options: AccessOptions): Promise<Access> {
    const { settings, log } = options
    const verify = settings.jwtJwks === '' ? undefined : await createTokenVerifier(tokensOf(settings), log)
    const access = new Access(options, verify)
    if (access.#source !== undefined) await access.#start(access.#source)
    return access
  }

  /** Whether nobody is asked who they are. */
  get isOpen(): boolean {
    return this.#source === undefined && this.#verify === undefined
  }

  /** Whether there is something that `reload` reads again. */
  get canReload(): boolean {
    return this.#source !== undefined
  }

  /**
   * The caller of a request. Resolves at once, without a promise, unless a token must be verified.
   *
   * @param connection remembers the latest credentials, because a hash for every request would cost as much as a small loss
   * @throws Problem `unauthenticated`, `identity-down`
   */
  identify(headers: IncomingHttpHeaders, connection: Connection): Caller | Promise<Caller> {
    if (this.isOpen) return ANYONE
    // As it was sent: taking it apart for every request would cost more than comparing it.
    const header = soleHeader(headers)
    const known = connection[KNOWN]
    if (known !== undefined && this.#holds(known) && isEqualInConstantTime(known.header, header))
      return known.caller
    const text = credentialsOf(headers)
    const found = isKey(text) ? this.#callerOfKey(text) : this.#callerOfToken(text)
    if (!(found instanceof Promise)) return this.#remember(connection, header, found)
    return found.then((late) => this.#remember(connection, header, late))
  }

  /** Reads the keys again. If that fails, the earlier ones stay valid. */
  async reload(): Promise<void> {
    if (this.#source === undefined) return
    try {
      this.#take(await this.#source.read())
      if (this.#fault !== undefined)
        this.#options.log.info({}, `the keys in ${this.#source.title} can be read again`)
      this.#fault = undefined
    } catch (error) {
      const why = (error as Error).message
      if (why !== this.#fault)
        this.#options.log.error(
          { why },
          `the keys in ${this.#source.title} cannot be read; the earlier ones stay valid`,
        )
      this.#fault = why
    }
  }

  close() {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  async #start(source: KeySource) {
    try {
      this.#keep(await source.read())
    } catch (error) {
      throw new Error(`the keys in ${source.title} cannot be read: ${(error as Error).message}`, {
        cause: error,
      })
    }
    this.#poll()
  }

  #poll() {
    this.#timer = setTimeout(async () => {
      await this.reload()
      // Not after close().
      if (this.#timer !== undefined) this.#poll()
    }, POLL_MS)
    this.#timer.unref()
  }

  /** Uses keys that were read again, if they have changed. */
  #take(records: readonly KeyRecord[]) {
    const before = this.#keys
    if (!this.#keep(records)) return
    for (const change of changesBetween(before, this.#keys)) this.#options.audit(change)
  }

  /** @returns whether they differ from those before */
  #keep(records: readonly KeyRecord[]): boolean {
    const text = JSON.stringify(records)
    if (text === this.#text) return false
    this.#text = text
    this.#keys = new Map(records.map((record) => [record.id, record]))
    this.#callers = new Map()
    this.#reading++
    return true
  }

  #holds({ until, reading }: Known): boolean {
    return reading === this.#reading && Date.now() < until
  }

  #remember(connection: Connection, header: string, { caller, until }: Found): Caller {
    connection[KNOWN] = { header, caller, until, reading: this.#reading }
    return caller
  }

  #callerOfKey(text: string): Found {
    const parts = partsOf(text)
    const record = parts && this.#keys.get(parts.id)
    if (record === undefined || !isSecretOf(record, parts!.secret))
      throw credentialsInvalid('the key is not valid')
    const end = lapsed(record, Date.now())
    if (end !== undefined)
      throw credentialsInvalid(end === 'revoked' ? 'the key is revoked' : 'the key has expired')
    const until = record.expires === null ? Number.POSITIVE_INFINITY : Date.parse(record.expires)
    return { caller: this.#callerOf(record), until }
  }

  #callerOf({ id, grants, quotas }: KeyRecord): Caller {
    const known = this.#callers.get(id)
    if (known !== undefined) return known
    const caller = this.#caller(`key:${id}`, readGrants(grants), quotas)
    this.#callers.set(id, caller)
    return caller
  }

  #callerOfToken(text: string): Found | Promise<Found> {
    if (this.#verify === undefined) throw credentialsInvalid('the key is not valid')
    const digest = createHash('sha256').update(text).digest('base64')
    const known = this.#tokens.get(digest)
    if (known !== undefined && Date.now() < known.until) return known
    return this.#verify(text).then(({ id, grants, until }) =>
      this.#tokens.set(digest, { caller: this.#caller(id, grants, []), until }),
    )
  }

  #caller(id: string, grants: readonly Grant[], quotas: readonly string[]): Caller {
    const own = quotas.length > 0 ? quotas : wordsOf(this.#options.settings.quota)
    const lane = this.#lanes.get(id) ?? this.#lanes.set(id, {})
    return new Caller({ id, grants, shared: this.#shared, meter: this.#meterOf(id, own), lane })
  }

  /** A caller keeps its meter when keys are read again: that must not give anyone a new quota. */
  #meterOf(id: string, quotas: readonly string[]): Meter | undefined {
    if (quotas.length === 0) return undefined
    const key = `${id} ${quotas.join()}`
    const { meterOf = (_, texts) => new Meter(readQuotas(texts)) } = this.#options
    return this.#meters.get(key) ?? this.#meters.set(key, meterOf(key, quotas))
  }
}

/** @throws InvalidAccess */
function checkQuota(setting: string) {
  try {
    readQuotas(wordsOf(setting))
  } catch (error) {
    throw new InvalidAccess(`LOSSD_QUOTA: ${(error as Error).message}`)
  }
}

interface Found {
  readonly caller: Caller
  /** By `Date.now()`. */
  readonly until: number
}

function wordsOf(list: string): string[] {
  return list
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
}

function tokensOf({ jwtJwks, jwtIssuer, jwtAudience, jwtAlgorithms, jwtClaim }: AccessSettings) {
  return {
    jwks: jwtJwks,
    issuer: jwtIssuer,
    audience: jwtAudience,
    algorithms: wordsOf(jwtAlgorithms),
    claim: jwtClaim,
  }
}

/** The header with the credentials; empty if there are none or two. */
function soleHeader({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): string {
  if (apiKey === undefined) return authorization ?? ''
  return authorization === undefined && typeof apiKey === 'string' ? apiKey : ''
}

/** @throws Problem `unauthenticated` */
function credentialsOf({ authorization, 'x-api-key': apiKey }: IncomingHttpHeaders): string {
  if (authorization === undefined) {
    if (typeof apiKey === 'string' && apiKey !== '') return apiKey
    throw credentialsMissing()
  }
  if (apiKey !== undefined) throw credentialsInvalid('send Authorization or X-Api-Key, not both')
  if (!/^bearer +[^ ]/i.test(authorization)) throw credentialsMissing()
  return authorization.slice('bearer'.length).trim()
}

/**
 * Several clients may share a connection if there is a proxy, so how long a comparison takes must not tell one of them how
 * much of another's key it has guessed. timingSafeEqual takes arrays of bytes, and making them would cost more than hashing.
 */
function isEqualInConstantTime(known: string, text: string): boolean {
  if (known.length !== text.length) return false
  let difference = 0
  for (let i = 0; i < text.length; i++) difference |= known.charCodeAt(i) ^ text.charCodeAt(i)
  return difference === 0
}

/** What changed between two readings of the keys. Who made or revoked a key stands in its record. */
function changesBetween(
  before: ReadonlyMap<string, KeyRecord>,
  now: ReadonlyMap<string, KeyRecord>,
): readonly Change[] {
  const removed = [...before.keys()].filter((id) => !now.has(id))
  return [
    ...[...now.values()].flatMap((record) => changeOf(before.get(record.id), record) ?? []),
    ...removed.map((id) => ({ action: 'key-remove' as const, who: null, what: `key:${id}` })),
  ]
}

function changeOf(was: KeyRecord | undefined, record: KeyRecord): Change | undefined {
  const { id, name, grants, quotas, expires } = record
  const change = { what: `key:${id}`, details: { name, grants, quotas, expires } }
  if (was === undefined) return { action: 'key-add', who: record.createdBy, ...change }
  if (JSON.stringify(was) === JSON.stringify(record)) return undefined
  if (was.revoked === null && record.revoked !== null)
    return { action: 'key-revoke', who: record.revokedBy, ...change }
  return { action: 'key-change', who: null, ...change }
}
