/** Paths and globs -> the files that are read. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { cut } from '../errors.ts'
import type { DataFile } from './database.ts'
import { EvaluationFailed } from './failure.ts'
import { EXTENSIONS, formatOfFile } from './formats/index.ts'

/** What DuckDB would take for a pattern of its own. */
const PATTERN = /[*?[\]{}]/

/**
 * The files that a path names: a file, all files of a folder, or those that a pattern matches (`*`, `?` and `**`).
 *
 * @throws EvaluationFailed
 */
export function findFiles(path: string): DataFile[] {
  const found = PATTERN.test(path) ? matches(path) : within(path)
  if (found.length === 0)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: there are no files with data; ${KNOWN}`)
  return found.sort().map(fileOf)
}

const KNOWN = `known are ${EXTENSIONS.join(', ')}`

function within(path: string): string[] {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: there is no such file`)
  if (!stats.isDirectory()) return [path]
  return filesBelow(path).filter((file) => formatOfFile(file) !== undefined)
}

/** What programs keep beside the data: checkpoints of notebooks, uploads of this service. */
export function isHidden(name: string): boolean {
  return name.startsWith('.')
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (isHidden(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path)
    return entry.isFile() ? [path] : []
  })
}

function matches(pattern: string): string[] {
  const parts = pattern.split('/')
  const fixed = parts.findIndex((part) => PATTERN.test(part))
  const root = parts.slice(0, fixed).join('/') || (pattern.startsWith('/') ? '/' : '.')
  const stats = statSync(root, { throwIfNoEntry: false })
  if (!stats?.isDirectory())
    throw new EvaluationFailed('unreadable-data', `${cut(root)}: there is no such folder`)
  const wanted = expressionOf(pattern)
  return filesBelow(root).filter((file) => wanted.test(file) && formatOfFile(file) !== undefined)
}

function expressionOf(pattern: string): RegExp {
  const text = pattern.replace(/^(\.\/)+/, '').replaceAll(/\*\*\/|\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?'
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    return part === '?' ? '[^/]' : part.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${text}$`)
}

function fileOf(path: string): DataFile {
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
