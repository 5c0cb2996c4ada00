/** Paths and globs -> the files that are read. */
import { readdirSync, statSync } from 'node:fs'
import { extname, join } from 'node:path'
import { cut } from '../errors.ts'
import type { DataFile, Format } from './database.ts'
import { EvaluationFailed } from './failure.ts'

const EXTENSIONS: Readonly<Record<string, Format>> = {
  '.parquet': 'parquet',
  '.pq': 'parquet',
  '.csv': 'csv',
  '.tsv': 'csv',
  '.jsonl': 'json',
  '.ndjson': 'json',
}

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

const KNOWN = `known are ${Object.keys(EXTENSIONS).join(', ')}`

function within(path: string): string[] {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: there is no such file`)
  if (!stats.isDirectory()) return [path]
  return filesBelow(path).filter((file) => formatOf(file) !== undefined)
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
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
  return filesBelow(root).filter((file) => wanted.test(file) && formatOf(file) !== undefined)
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
  const format = formatOf(path)
  if (format === undefined)
    throw new EvaluationFailed('unreadable-data', `${cut(path)}: this kind of file cannot be read; ${KNOWN}`)
  if (PATTERN.test(path))
    throw new EvaluationFailed(
      'unreadable-data',
      `${cut(path)}: a name of a file must not contain ${'*?[]{}'}`,
    )
  return { path, name: path, format }
}

function formatOf(path: string): Format | undefined {
  return EXTENSIONS[extname(path).toLowerCase()]
}
