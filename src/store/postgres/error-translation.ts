/** Translates errors of PostgreSQL and the network into messages for whoever runs the service. */
import { AbortedTransactionError } from 'kysely'
import { ImportRefused, NamespaceFull, PreconditionFailed, StoreDown } from '../contract.ts'

/** By SQLSTATE code or class. */
const SQLSTATE: Readonly<Record<string, string>> = {
  '08': 'the connection was lost',
  '25006': 'the server is read-only',
  '28': 'the server rejects the user or password',
  '3D000': 'there is no such database',
  '40': 'it conflicts with another transaction',
  '42501': 'the user lacks a permission',
  '42P01': 'the tables are missing',
  '53100': "the server's disk is full",
  '53200': 'the server is out of memory',
  '53300': 'the server accepts no more connections',
  '53': 'the server is out of a resource',
  '55P03': 'another process has locked it',
  '57014': 'the server cancelled the query, which took too long',
  '57': 'the server is starting or stopping',
  '58': 'the server has an I/O error',
  XX: 'the server reports an internal error or corrupted data',
}

/** Classes of errors that are bugs of ours: the SQL is wrong. */
const OURS = ['22', '23', '42']

const SYSTEM: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'no server is listening there',
  ENOENT: 'no server is listening there',
  ENOTFOUND: 'the host name does not exist',
  EAI_AGAIN: 'the host name cannot be resolved at the moment',
  EHOSTUNREACH: 'the host is unreachable',
  ENETUNREACH: 'the host is unreachable',
  ETIMEDOUT: 'the host does not respond',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
}

/** Errors of pg that have no code, by message. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/timeout|timed out/i, 'the server did not respond in time'],
  [/terminated|not queryable|closed|ended/i, 'the connection was lost'],
  [/SSL/, 'no TLS connection could be established'],
]

/** Transient errors: the next call may try again at once. */
const PASSING = ['40', '53100', '55P03', '57014', '25006']

interface PgError extends Error {
  readonly code?: string
}

/** Whether the connection has to be opened again after this error. */
export function needsReconnect({ code = '' }: PgError): boolean {
  return !PASSING.some((passing) => code.startsWith(passing))
}

/** @returns undefined if the error is not a failure of the database */
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
  // These messages name the permission and the table, and contain no credentials.
  if (code === '42501' || code === '42P01') return `${known}: ${message}`
  if (known !== undefined) return known
  if (/^[0-9A-Z]{5}$/.test(code) && OURS.includes(code.slice(0, 2))) return undefined
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? `it failed (${code || error.name})`
}
