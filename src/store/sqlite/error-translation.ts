/** Translates errors of SQLite and the file system into messages for whoever runs the service. */
import { StoreDown } from '../contract.ts'
import { SqliteFault } from './connection.ts'

/** By SQLite's primary result code. */
const SQLITE: Readonly<Record<number, string>> = {
  3: 'access to the file is denied',
  5: 'another process has locked the file',
  6: 'another process has locked the file',
  7: 'out of memory',
  8: 'the file or its folder is read-only',
  10: 'disk I/O error',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  15: 'another process has locked the file',
  22: 'the file system does not support files of this size',
  23: 'access to the file is denied',
  26: 'the file is not a SQLite database',
}

const SYSTEM: Readonly<Record<string, string>> = {
  EACCES: 'access to the file or its folder is denied',
  EPERM: 'access to the file or its folder is denied',
  EROFS: 'the file or its folder is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EIO: 'disk I/O error',
  ENOTDIR: 'part of the path is not a folder',
  EEXIST: 'part of the path is not a folder',
  EISDIR: 'the file is a folder',
  ENOENT: 'the file was removed',
  ESTALE: 'the file was replaced',
}

/** Transient errors, after which the connection still works. */
const PASSING = [5, 6, 13]

/** Whether the file has to be opened again. */
export function needsReconnect(error: unknown): boolean {
  return !(error instanceof SqliteFault) || !PASSING.includes(error.sent.sqlite & 0xff)
}

/** @returns undefined if the error is not a failure of the database */
export function toStoreDown(error: unknown, title: string): StoreDown | undefined {
  const reason = reasonOf(error)
  return reason === undefined ? undefined : StoreDown.because(reason, { title, cause: error })
}

function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof SqliteFault)) return SYSTEM[(error as NodeJS.ErrnoException).code ?? '']
  const { sqlite, system, message } = error.sent
  // For example, a file that was emptied.
  if (message.startsWith('no such table')) return `the file is damaged: ${message}`
  // For example, a missing package.
  if (system === 'thread') return message.split('\n')[0]
  return SQLITE[sqlite & 0xff] ?? SYSTEM[system]
}
