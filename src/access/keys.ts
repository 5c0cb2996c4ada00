/**
 * API keys: `lossd_<id>_<secret>`. The id is public, it names the key in logs and lists. Only a salted hash of the secret is
 * kept.
 *
 * SHA-256 is right here, although it would be wrong for passwords. A slow hash makes guessing a word that a person chose
 * expensive; a secret of 256 random bits cannot be guessed at any speed. A slow hash would only let anyone who sends wrong
 * keys occupy the processor.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { InvalidAccess, readGrants } from './grants.ts'
import { readQuotas } from './quotas.ts'

const closed = { additionalProperties: false } as const
const when = Type.String({ pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$` })
const perhaps = Type.Union([when, Type.Null()])

/** What is kept of a key. Its text cannot be computed from this. */
export const KeyRecordSchema = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
    name: Type.String({ maxLength: 100, pattern: String.raw`^[^\u0000-\u001f\u007f]*$` }),
    salt: Type.String({ pattern: '^[0-9a-f]{32}$' }),
    hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    grants: Type.Array(Type.String()),
    quotas: Type.Array(Type.String()),
    created: when,
    createdBy: Type.String({ maxLength: 100 }),
    expires: perhaps,
    revoked: perhaps,
    revokedBy: Type.Union([Type.String({ maxLength: 100 }), Type.Null()]),
  },
  closed,
)
export type KeyRecord = Static<typeof KeyRecordSchema>

export interface NewKey {
  readonly name: string
  readonly grants: readonly string[]
  readonly quotas: readonly string[]
  readonly createdBy: string
  readonly expires: string | null
}

const KEY = /^lossd_([0-9a-f]{12})_([\w-]{43})$/

/** Whether a text looks like a key, as opposed to a token. */
export function isKey(text: string): boolean {
  return text.startsWith('lossd_')
}

/**
 * Makes a key. Its text is not kept anywhere.
 *
 * @throws InvalidAccess for grants or quotas that are none
 * @example
 * const { text, record } = generateKey({ name: 'trainer', grants: ['evaluate:acme'], quotas: [], createdBy: 'me', expires: null })
 */
export function generateKey({ name, grants, quotas, createdBy, expires }: NewKey): {
  readonly text: string
  readonly record: KeyRecord
} {
  const [id, salt, secret] = [hex(6), hex(16), randomBytes(32).toString('base64url')]
  const record = {
    id,
    name,
    salt,
    hash: hashOf(salt, secret).toString('hex'),
    grants: [...grants],
    quotas: [...quotas],
    created: new Date().toISOString(),
    createdBy,
    expires,
    revoked: null,
    revokedBy: null,
  }
  return { text: `lossd_${id}_${secret}`, record: checkRecord(record) }
}

/** @throws InvalidAccess that names the member, and repeats nothing of it */
export function checkRecord(record: unknown): KeyRecord {
  const fault = Value.Errors(KeyRecordSchema, record).First()
  if (fault !== undefined) throw new InvalidAccess(`${fault.path || 'a key'}: ${fault.message.toLowerCase()}`)
  const key = record as KeyRecord
  readGrants(key.grants)
  readQuotas(key.quotas)
  return key
}

/** The parts of a key's text; undefined if it has not the form of one. */
export function partsOf(text: string): { readonly id: string; readonly secret: string } | undefined {
  const found = KEY.exec(text)
  return found === null ? undefined : { id: found[1], secret: found[2] }
}

/** Whether a secret is that of a key, in constant time. */
export function isSecretOf({ salt, hash }: KeyRecord, secret: string): boolean {
  return timingSafeEqual(hashOf(salt, secret), Buffer.from(hash, 'hex'))
}

/** Whether a key is no longer accepted, and why. */
export function lapsed({ revoked, expires }: KeyRecord, now: number): 'revoked' | 'expired' | undefined {
  if (revoked !== null) return 'revoked'
  return expires !== null && Date.parse(expires) <= now ? 'expired' : undefined
}

function hashOf(salt: string, secret: string): Buffer {
  return createHash('sha256').update(salt).update(secret).digest()
}

function hex(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
