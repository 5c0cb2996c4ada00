/** Paths and globs -> the files that are read. */
import { type Dirent, lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { cut } from '../errors.ts'
import type { DataFile } from './database.ts'
import { EvaluationFailed } from './failure.ts'
import { EXTENSIONS, formatOfFile } from './formats/index.ts'
import { pathMatcher } from './path-pattern.ts'

/** What DuckDB would take for a pattern of its own. */
const PATTERN = /[*?[\]{}]/

export interface Search {
  /**
   * Whether files are also found by links to them, as in the caches of Hugging Face. Links to folders below the path never
   * count: they may lead round in circles. Default: no.
   */
  readonly followsLinks?: boolean
}

/**
 * The files that a path names: a file, all files of a folder, or those that a pattern matches (`*`, `?` and `**`).
 *
 * @throws EvaluationFailed
 */
export function findFiles(path: string, search: Search = {}): DataFile[] {
  const found = PATTERN.test(path) ? matches(path, search) : within(path, search)
  if (found.length === 0)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: there are no files with data; ${KNOWN}`)
  return found.sort().map(fileOf)
}

const KNOWN = `known are ${EXTENSIONS.join(', ')}`

function within(path: string, search: Search): string[] {
  const stats = statsAt(path)
  if (stats === undefined) throw noSuchFile(path)
  if (!stats.isDirectory()) return [path]
  return filesBelow(path, search).filter((file) => formatOfFile(file) !== undefined)
}

function noSuchFile(path: string): EvaluationFailed {
  return new EvaluationFailed('unreadable-data', `${cut(path)}: there is no such file`)
}

/** What programs keep beside the data: checkpoints of notebooks, uploads of this service. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

/** @param depth how many folders deep: 1 for the files of the folder itself */
function filesBelow(folder: string, search: Search, depth = Number.POSITIVE_INFINITY): string[] {
  const entries = asked(folder, () => readdirSync(folder, { withFileTypes: true })) ?? []
  return entries.flatMap((entry) => {
    if (isHidden(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return depth > 1 ? filesBelow(path, search, depth - 1) : []
    return isFile(entry, path, search) ? [path] : []
  })
}

/** A link that leads nowhere is a file that is missing, and {@link fileOf} says so: its rows would be missing, too. */
function isFile(entry: Dirent, path: string, { followsLinks = false }: Search): boolean {
  if (!followsLinks || !entry.isSymbolicLink()) return entry.isFile()
  return statsAt(path)?.isFile() ?? true
}

function matches(pattern: string, search: Search): string[] {
  const parts = pattern.split('/')
  const fixed = parts.findIndex((part) => PATTERN.test(part))
  const root = parts.slice(0, fixed).join('/') || (pattern.startsWith('/') ? '/' : '.')
  if (!statsAt(root)?.isDirectory())
    throw new EvaluationFailed('unreadable-data', `${cut(root)}: there is no such folder`)
  const isWanted = pathMatcher(pattern)
  // Folders that cannot match are not looked into: they may be unreadable, or large.
  const depth = pattern.includes('**') ? undefined : parts.length - fixed
  return filesBelow(root, search, depth).filter((file) => isWanted(file) && formatOfFile(file) !== undefined)
}

function fileOf(path: string): DataFile {
  if (statsAt(path) === undefined) throw noSuchFile(path)
  const format = formatOfFile(path)
  if (format === undefined)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: this kind of file cannot be read; ${KNOWN}`)
  if (PATTERN.test(path))
    throw new EvaluationFailed(
      'unreadable-data',
      `${cut(path)}: a name of a file must not contain ${'*?[]{}'}`,
    )
  return { path, name: path, format: format.name }
}

/** No file is there, none can be below a file or have such a name, or links lead round in a circle. */
const NOTHING = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']
const DENIED = ['EACCES', 'EPERM']

/**
 * What is at a path, or where it leads.
 *
 * @returns undefined for nothing
 * @throws EvaluationFailed if nobody may look
 */
export function statsAt(path: string): Stats | undefined {
  return asked(path, () => statSync(path))
}

/** As {@link statsAt}, but a link is a link. */
export function linkStatsAt(path: string): Stats | undefined {
  return asked(path, () => lstatSync(path))
}

function asked<T>(path: string, ask: () => T): T | undefined {
  try {
    return ask()
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (NOTHING.includes(code)) return undefined
    if (!DENIED.includes(code)) throw error
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: permission denied`, { cause: error })
  }
}
