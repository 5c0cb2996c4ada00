/** Translates errors of PostgreSQL and of the network into messages for the operator of the service. */
import { AbortedTransactionError } from 'kysely'
import { ImportRefused, NamespaceFull, PreconditionFailed, StoreDown } from '../contract.ts'

/** By SQLSTATE, or by its class. */
const SQLSTATE: Readonly<Record<string, string>> = {
  '08': 'the connection was lost',
  '25006': 'the server is read-only',
  '28': 'the server rejected the user or the password',
  '3D000': 'the database does not exist',
  '40': 'it conflicted with another transaction',
  '42501': 'the user lacks a permission',
  '42P01': 'its tables are missing',
  '53100': "the server's disk is full",
  '53200': 'the server is out of memory',
  '53300': 'the server has too many connections',
  '53': 'the server lacks a resource',
  '55P03': 'another process holds the lock',
  '57014': 'the server cancelled the query because it took too long',
  '57': 'the server is starting or stopping',
  '58': 'the server has an I/O error',
  XX: 'the server reports data corruption',
}

/** Classes of errors that are bugs in lossd. */
const OURS = ['22', '23', '42']

const SYSTEM: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing is listening there',
  ENOENT: 'nothing is listening there',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'its host name cannot be resolved at the moment',
  EHOSTUNREACH: 'its host is unreachable',
  ENETUNREACH: 'its host is unreachable',
  ETIMEDOUT: 'its host does not respond',
  ECONNRESET: 'the connection was lost',
  EPIPE: 'the connection was lost',
}

/** Errors of pg that have no code. */
const MESSAGES: readonly (readonly [RegExp, string])[] = [
  [/timeout|timed out/i, 'the server did not respond in time'],
  [/terminated|not queryable|closed|ended/i, 'the connection was lost'],
  [/SSL/, 'there is no TLS connection that both the server and lossd accept'],
]

/** Errors after which the next attempt need not wait. */
const PASSING = ['40', '53100', '55P03', '57014', '25006']

interface PgError extends Error {
  readonly code?: string
}

/** Whether the server is unreachable, or no longer in the state in which it was opened. */
export function isLasting({ code = '' }: PgError): boolean {
  return !PASSING.some((passing) => code.startsWith(passing))
}

/** @returns undefined for errors that are not failures of the database */
export function toStoreDown(error: PgError, title: string): StoreDown | undefined {
  if (error instanceof StoreDown) return error
  const isAnswer = [PreconditionFailed, NamespaceFull, ImportRefused].some((kind) => error instanceof kind)
  const isOurs = error instanceof TypeError || error instanceof RangeError
  if (isAnswer || isOurs) return undefined
  const reason = reasonOf(error)
  return reason === undefined
    ? undefined
    : new StoreDown(`the store ${title} is unavailable: ${reason}`, { cause: error })
}

function reasonOf(error: PgError): string | undefined {
  if (error instanceof AbortedTransactionError) return 'the transaction was aborted'
  const { code = '', message } = error
  const known = SQLSTATE[code] ?? SQLSTATE[code.slice(0, 2)] ?? SYSTEM[code]
  // The message names the permission and the table. It contains no credentials.
  if (code === '42501' || code === '42P01') return `${known}: ${message}`
  if (known !== undefined) return known
  if (/^[0-9A-Z]{5}$/.test(code) && OURS.includes(code.slice(0, 2))) return undefined
  return MESSAGES.find(([pattern]) => pattern.test(message))?.[1] ?? `it failed (${code || error.name})`
}
