/** Translates errors of SQLite and of the file system into messages for the operator of the service. */
import { StoreDown } from '../contract.ts'
import { SqliteFault } from './connection.ts'

/** By SQLite's primary result code. */
const SQLITE: Readonly<Record<number, string>> = {
  3: 'access to the file is denied',
  5: 'another process has locked the file',
  6: 'another process has locked the file',
  7: 'there is not enough memory',
  8: 'the file, or its folder, is read-only',
  10: 'the disk has an I/O error',
  11: 'the file is damaged',
  13: 'the disk is full',
  14: 'the file cannot be opened',
  15: 'another process has locked the file',
  22: 'the file system does not allow files of this size',
  23: 'access to the file is denied',
  26: 'the file is not an SQLite database',
}

const SYSTEM: Readonly<Record<string, string>> = {
  EACCES: 'access to the file, or its folder, is denied',
  EPERM: 'access to the file, or its folder, is denied',
  EROFS: 'the file, or its folder, is read-only',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EIO: 'the disk has an I/O error',
  ENOTDIR: 'a part of its path is not a folder',
  EEXIST: 'a part of its path is not a folder',
  EISDIR: 'the file is a folder',
  ENOENT: 'the file was removed',
  ESTALE: 'the file was replaced',
}

/** Errors that leave the connection usable. */
const PASSING = [5, 6, 13]

/** Whether the file has to be reopened. */
export function isLasting(error: unknown): boolean {
  return !(error instanceof SqliteFault) || !PASSING.includes(error.sent.sqlite & 0xff)
}

/** @returns undefined for errors that are not failures of the database */
export function toStoreDown(error: unknown, title: string): StoreDown | undefined {
  const reason = reasonOf(error)
  return reason === undefined
    ? undefined
    : new StoreDown(`the store ${title} is unavailable: ${reason}`, { cause: error })
}

function reasonOf(error: unknown): string | undefined {
  if (!(error instanceof SqliteFault)) return SYSTEM[(error as NodeJS.ErrnoException).code ?? '']
  const { sqlite, system, message } = error.sent
  // For example if the file was emptied.
  if (message.startsWith('no such table')) return `the file is damaged: ${message}`
  // A missing package, say.
  if (system === 'thread') return message.split('\n')[0]
  return SQLITE[sqlite & 0xff] ?? SYSTEM[system]
}
