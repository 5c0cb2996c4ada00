/** What PostgreSQL and the network report, in words for who runs the service. */
import { AbortedTransactionError } from 'kysely'
import { ImportRefused, NamespaceFull, PreconditionFailed, StoreDown } from '../contract.ts'

/** By SQLSTATE, or its class. */
const SQLSTATE: Readonly<Record<string, string>> = {
  '08': 'the connection was lost',
  '25006': 'the server is read-only',
  '28': 'the server refuses our user or password',
  '3D000': 'there is no such database',
  '40': 'another transaction was in the way',
  '42501': 'our user lacks a permission',
  '42P01': 'its tables are missing',
  '53100': 'the disk of the server is full',
  '53200': 'the server is out of memory',
  '53300': 'the server takes no more connections',
  '53': 'the server lacks a resource',
  '55P03': 'another process keeps it locked',
  '57014': 'the server cancelled the query, which took too long',
  '57': 'the server is starting or stopping',
  '58': 'the server fails to read or write',
  XX: 'the server reports damage',
}

/** Classes of errors that are ours: what we ask is wrong. */
const OURS = ['22', '23', '42']

const SYSTEM: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'nothing listens there',
  ENOTFOUND: 'its host is not known',
  EAI_AGAIN: 'its host cannot be looked up now',
  EHOSTUNREACH: 'its host cannot be reached',
  ENETUNREACH: 'its host cannot be reached',
  ETIMEDOUT: 'its host does not answer',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
}

/** What pg says without a code. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/timeout|timed out/i, 'the server did not answer in time'],
  [/terminated|not queryable|closed|ended/i, 'the connection was lost'],
  [/SSL/, 'the server and we do not agree on TLS'],
]

/** Those after which another try need not wait. */
const PASSING = ['40', '53100', '55P03', '57014', '25006']

interface PgError extends Error {
  readonly code?: string
}

/** Whether the server as such is out of reach, or not as it was. */
export function needsReconnect({ code = '' }: PgError): boolean {
  return !PASSING.some((passing) => code.startsWith(passing))
}

/** @returns undefined for what is no failure of the database */
export function toStoreDown(error: PgError, title: string): StoreDown | undefined {
  if (error instanceof StoreDown) return error
  const isAnswer = [PreconditionFailed, NamespaceFull, ImportRefused].some((kind) => error instanceof kind)
  const isOurs = error instanceof TypeError || error instanceof RangeError
  if (isAnswer || isOurs) return undefined
  const reason = reasonOf(error)
  return reason === undefined ? undefined : StoreDown.because(reason, { title, cause: error })
}

function reasonOf(error: PgError): string | undefined {
  if (error instanceof AbortedTransactionError) return 'the transaction was aborted'
  const { code = '', message } = error
  const known = SQLSTATE[code] ?? SQLSTATE[code.slice(0, 2)] ?? SYSTEM[code]
  // The permission, and the table: no credentials are in these.
  if (code === '42501' || code === '42P01') return `${known}: ${message}`
  if (known !== undefined) return known
  if (/^[0-9A-Z]{5}$/.test(code) && OURS.includes(code.slice(0, 2))) return undefined
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? `it failed (${code || error.name})`
}
