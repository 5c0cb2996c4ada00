/** What SQLite and the file system report, in words for who runs the service. */
import { StoreDown } from '../contract.ts'
import { SqliteFault } from './connection.ts'

/** By SQLite's primary result code. */
const SQLITE: Readonly<Record<number, string>> = {
  3: 'access to the file is denied',
  5: 'another process keeps the file locked',
  6: 'another process keeps the file locked',
  7: 'there is no memory for it',
  8: 'the file, or its folder, is read-only',
  10: 'the disk fails to read or write',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  15: 'another process keeps the file locked',
  22: 'the disk takes no file of this size',
  23: 'access to the file is denied',
  26: 'the file is no SQLite database',
}

const SYSTEM: Readonly<Record<string, string>> = {
  EACCES: 'access to the file, or its folder, is denied',
  EPERM: 'access to the file, or its folder, is denied',
  EROFS: 'the file, or its folder, is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EIO: 'the disk fails to read or write',
  ENOTDIR: 'a part of its path is no folder',
  EEXIST: 'a part of its path is no folder',
  EISDIR: 'the file is a folder',
  ENOENT: 'the file was removed',
  ESTALE: 'the file was replaced',
}

/** Those after which the connection is as good as before. */
const PASSING = [5, 6, 13]

/** Whether the file has to be opened again. */
export function needsReconnect(error: unknown): boolean {
  return !(error instanceof SqliteFault) || !PASSING.includes(error.sent.sqlite & 0xff)
}

/** @returns undefined for what is no failure of the database */
export function toStoreDown(error: unknown, title: string): StoreDown | undefined {
  const reason = reasonOf(error)
  return reason === undefined ? undefined : StoreDown.because(reason, { title, cause: error })
}

function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof SqliteFault)) return SYSTEM[(error as NodeJS.ErrnoException).code ?? '']
  const { sqlite, system, message } = error.sent
  // Of a file that was emptied, say.
  if (message.startsWith('no such table')) return `the file is damaged: ${message}`
  // A missing package, say.
  if (system === 'thread') return message.split('\n')[0]
  return SQLITE[sqlite & 0xff] ?? SYSTEM[system]
}
