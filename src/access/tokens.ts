/**
 * JSON Web Tokens of an identity provider, verified with the keys that it publishes (JWKS). Keys may rotate: an unknown key
 * id makes lossd fetch the set again. While the provider cannot be reached, the keys that were last fetched stay valid for a
 * while, because tokens that it signed with them are still good.
 */
import { readFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import type { JWTPayload, JWTVerifyGetKey } from 'jose'
import { Problem } from '../errors.ts'
import type { AccessLog } from './audit.ts'
import { type Grant, parseGrant } from './grants.ts'
import { credentialsInvalid } from './refusals.ts'

export interface TokenSettings {
  /** `https://...` or `file:path`. */
  readonly jwks: string
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly string[]
  /** The claim that has the grants: its name, or the names on the way to it with dots between them. */
  readonly claim: string
}

/** What a token says, after it has been verified. */
export interface Verified {
  readonly id: string
  readonly grants: readonly Grant[]
  /** When it must be verified again, by `Date.now()`. */
  readonly until: number
}

export type TokenVerifier = (token: string) => Promise<Verified>

/** Keys that were fetched this long ago are not used any more, even if the provider is down, in ms. */
const STALE_MS = 24 * 60 * 60 * 1000
/**
 * After the first time, the keys are fetched again while requests go on; after the second, requests wait for that. So a key
 * that its provider has withdrawn is not trusted for long. In ms.
 */
const [FRESH_MS, OLD_MS] = [10 * 60 * 1000, 20 * 60 * 1000]
/** Unknown key ids make lossd fetch at most this often, in ms. */
const COOLDOWN_MS = 30_000
const FETCH_MS = 5000
/** After a fetch that failed, there is none for this long, in ms. */
const PAUSE_MS = 1000
/** A verified token is verified again after this, in ms. */
const REMEMBERED_MS = 60_000
/** Characters of a subject, which is in logs and with everything that its owner stores. */
const MOST_SUBJECT = 200
/** Clocks of different machines, in s. */
const CLOCK_TOLERANCE_S = 5

/** jose's error codes -> what is wrong. Its messages repeat parts of tokens. */
const FAULTS: Readonly<Record<string, string>> = {
  ERR_JWT_EXPIRED: 'the token has expired',
  ERR_JWT_CLAIM_VALIDATION_FAILED:
    'a claim of the token is missing or not accepted here: iss, aud, sub, exp or nbf',
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: 'the signature of the token is not valid',
  ERR_JWKS_NO_MATCHING_KEY: 'the token is signed with a key that its issuer does not publish',
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: 'the token must name its key (kid)',
  ERR_JOSE_ALG_NOT_ALLOWED: 'the algorithm of the token is not accepted here',
}

/** @param log where outages of the provider are reported */
export async function createTokenVerifier(settings: TokenSettings, log: AccessLog): Promise<TokenVerifier> {
  // Services without tokens need not load it.
  const { jwtVerify, errors } = await import('jose')
  const keys = await keySetOf(settings.jwks, log)
  const { issuer, audience, claim } = settings
  const options = {
    issuer,
    audience,
    algorithms: [...settings.algorithms],
    requiredClaims: ['sub', 'exp'],
    clockTolerance: CLOCK_TOLERANCE_S,
  }
  return async (token) => {
    try {
      const { payload } = await jwtVerify(token, keys.find, options)
      return verified(payload, claim)
    } catch (error) {
      if (error instanceof Problem) throw error
      const { code } = error as { code?: string }
      const isKnown = error instanceof errors.JOSEError && code !== undefined
      if (isKnown && !isOutage(code, keys)) throw credentialsInvalid(FAULTS[code] ?? 'the token is not valid')
      throw unverifiable(error)
    }
  }
}

function verified(payload: JWTPayload, claim: string): Verified {
  if (typeof payload.sub !== 'string' || payload.sub === '')
    throw credentialsInvalid('the token has no subject')
  // Cutting it would make two people one.
  if (payload.sub.length > MOST_SUBJECT)
    throw credentialsInvalid(`the subject of the token has more than ${MOST_SUBJECT} characters`)
  // The same goes for halves of characters: stores that keep text make all of them U+FFFD.
  if (/[\p{Cc}\p{Cs}]/u.test(payload.sub))
    throw credentialsInvalid('the subject of the token has a control character, or half of a character')
  return {
    id: `jwt:${payload.sub}`,
    grants: grantsIn(payload, claim),
    until: Math.min(payload.exp! * 1000, Date.now() + REMEMBERED_MS),
  }
}

/** A list, or words with spaces between them, as in `scope`. Whatever is not a grant is for others. */
function grantsIn(payload: JWTPayload, claim: string): Grant[] {
  const found = memberOf(payload, claim) ?? claim.split('.').reduce(memberOf, payload as unknown)
  const words = typeof found === 'string' ? found.split(' ') : Array.isArray(found) ? found : []
  return words.flatMap((word) => (typeof word === 'string' ? (parseGrant(word) ?? []) : []))
}

function memberOf(value: unknown, name: string): unknown {
  const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, name)
  return isThere ? (value as Record<string, unknown>)[name] : undefined
}

/** Codes of jose for a set of keys that could not be had; also a key that is unknown while the set may be outdated. */
function isOutage(code: string, { isOutdated }: KeySet): boolean {
  if (code === 'ERR_JWKS_NO_MATCHING_KEY') return isOutdated()
  return code === 'ERR_JWKS_TIMEOUT' || code === 'ERR_JWKS_INVALID' || code === 'ERR_JOSE_GENERIC'
}

function unverifiable(cause: unknown): Problem {
  return new Problem('identity-down', 'the keys of the identity provider cannot be fetched', {
    retryAfter: 5,
    cause,
  })
}

interface KeySet {
  readonly find: JWTVerifyGetKey
  /** Whether the provider did not answer the last time. */
  readonly isOutdated: () => boolean
}

async function keySetOf(jwks: string, log: AccessLog): Promise<KeySet> {
  const { createRemoteJWKSet, customFetch } = await import('jose')
  const isFile = jwks.startsWith('file:')
  const url = isFile ? pathToFileURL(jwks.slice('file:'.length)) : new URL(jwks)
  const published = new PublishedKeys(log)
  const set = createRemoteJWKSet(url, {
    cooldownDuration: COOLDOWN_MS,
    cacheMaxAge: OLD_MS,
    timeoutDuration: FETCH_MS,
    [customFetch]: (url: string, options: RequestInit) => published.fetch(url, options),
  })
  // A provider may be down for the moment, but a file that is missing is a mistake.
  if (isFile) await set.reload()
  const find: JWTVerifyGetKey = (header, token) => {
    if (published.isAging && !set.reloading) set.reload().catch(() => {})
    return set(header, token)
  }
  return { find, isOutdated: () => published.isOutdated }
}

/** Fetches the set. If that fails, the last one that was fetched stands in for it. */
class PublishedKeys {
  readonly #log: AccessLog
  #last: { readonly text: string; readonly at: number } | undefined
  /** Since when, and why, it cannot be fetched. */
  #failed: { readonly at: number; readonly error: unknown } | undefined

  constructor(log: AccessLog) {
    this.#log = log
  }

  get isOutdated(): boolean {
    return this.#failed !== undefined
  }

  get isAging(): boolean {
    return this.#last !== undefined && Date.now() - this.#last.at > FRESH_MS && !this.#pauses
  }

  get #pauses(): boolean {
    return this.#failed !== undefined && Date.now() - this.#failed.at < PAUSE_MS
  }

  async fetch(url: string, options: RequestInit): Promise<Response> {
    if (this.#pauses) return this.#standIn(this.#failed!.error)
    try {
      const text = await keysAt(url, options)
      if (this.isOutdated) this.#log.info({}, 'the keys of the identity provider can be fetched again')
      this.#failed = undefined
      this.#last = { text, at: Date.now() }
      return new Response(text)
    } catch (error) {
      // Once per outage.
      if (!this.isOutdated)
        this.#log.warn({ why: reasonOf(error) }, 'the keys of the identity provider cannot be fetched')
      this.#failed = { at: Date.now(), error }
      return this.#standIn(error)
    }
  }

  /** The keys that were last fetched. */
  #standIn(error: unknown): Response {
    if (this.#last === undefined || Date.now() - this.#last.at > STALE_MS) throw error
    return new Response(this.#last.text)
  }
}

/** @throws Error if what is there is not a set of keys: a page of a proxy must not replace one */
async function keysAt(url: string, options: RequestInit): Promise<string> {
  const text = await (url.startsWith('file:') ? readFile(new URL(url), 'utf8') : fetched(url, options))
  if (!Array.isArray(JSON.parse(text).keys)) throw new Error('it is not a set of keys')
  return text
}

async function fetched(url: string, options: RequestInit): Promise<string> {
  const response = await fetch(url, options)
  if (response.status !== 200) throw new Error(`it responds with ${response.status}`)
  return response.text()
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error
  return cause instanceof Error ? cause.message || message : message
}
