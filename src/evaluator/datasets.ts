/**
 * The folder whose files callers of the service may name. Nothing outside of it is ever opened: paths are relative, and no
 * part of one may be a link.
 */
import { realpathSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { cut, problemAt } from '../errors.ts'
import type { DataFile } from './database.ts'
import { EvaluationFailed } from './failure.ts'
import { findFiles, isHidden, linkStatsAt } from './files.ts'

const POINTER = '/source/path'
const MOST_LENGTH = 1024
/** Characters that no path needs: controls, and what other systems take for separators. */
const STRANGE = /[\p{Cc}\p{Cf}\\]/u

/**
 * The files that a path below the folder names, or a pattern.
 *
 * @throws Problem `invalid-value`
 * @example
 * findDatasets('/data', 'acme/sales/*.parquet')
 */
export function findDatasets(folder: string, path: string): DataFile[] {
  checkPath(path)
  const root = realpathSync(folder)
  const files = found(() => {
    checkFixedPart(root, path)
    const files = findFiles(join(root, path))
    for (const file of files) checkNoLinks(root, file.path)
    return files
  }, root)
  return files.map((file) => ({ ...file, root, name: relative(root, file.path).replaceAll(sep, '/') }))
}

/** The namespace that a path belongs to: its first folder. Files that are in no folder belong to none. */
export function namespaceOfPath(path: string): string | undefined {
  const [first, ...rest] = path.split('/').filter((part) => part !== '.' && part !== '')
  return rest.length === 0 ? undefined : first
}

function checkPath(path: string) {
  const refuse = (why: string) =>
    problemAt('invalid-value', POINTER, `${why}, got ${JSON.stringify(cut(path))}`)
  if (path === '' || path.length > MOST_LENGTH) throw refuse(`must have 1 to ${MOST_LENGTH} characters`)
  if (STRANGE.test(path)) throw refuse('must not contain controls or backslashes')
  if (/^[a-z][a-z\d+.-]*:/i.test(path)) throw refuse('must be a path, not an address')
  if (path.startsWith('/') || path.startsWith('~'))
    throw refuse('must be relative to the datasets of the service')
  if (path.split('/').includes('..')) throw refuse('must not contain ".."')
}

/** The folders before the first pattern must exist as such, so that no pattern looks outside. */
function checkFixedPart(root: string, path: string) {
  const parts = path.split('/')
  const pattern = parts.findIndex((part) => /[*?[\]{}]/.test(part))
  const fixed = pattern < 0 ? parts : parts.slice(0, pattern)
  if (fixed.length > 0) checkNoLinks(root, join(root, ...fixed))
}

function checkNoLinks(root: string, path: string) {
  let at = root
  for (const part of relative(root, path).split(sep)) {
    at = join(at, part)
    const stats = isHidden(part) ? undefined : linkStatsAt(at)
    if (stats === undefined || stats.isSymbolicLink() || !(stats.isFile() || stats.isDirectory()))
      throw nothingThere(relative(root, path))
  }
}

/** Links are told as nothing: a caller learns nothing of what is behind them. */
function nothingThere(path: string) {
  return problemAt('invalid-value', POINTER, `there is no such file: ${JSON.stringify(cut(path))}`)
}

/** Failures name paths as the caller knows them. */
function found(find: () => DataFile[], root: string): DataFile[] {
  try {
    return find()
  } catch (error) {
    if (!(error instanceof EvaluationFailed)) throw error
    throw problemAt(
      'invalid-value',
      POINTER,
      error.message.replaceAll(`${root}${sep}`, '').replaceAll(root, '.'),
    )
  }
}
