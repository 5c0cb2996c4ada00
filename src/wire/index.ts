/**
 * The registry of wire formats, and content negotiation between them. Every file or folder here that exports a
 * format is registered automatically.
 */
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Format } from './define.ts'

/** All formats, by name. */
export const formats: readonly Format[] = Object.freeze(await loadFormats())

const byMediaType = new Map(formats.flatMap((format) => format.mediaTypes.map((type) => [type, format])))

/**
 * The format for a media type. Case and media type parameters are ignored.
 *
 * @example
 * formatOf('Application/JSON; charset=utf-8')?.name // 'json'
 */
export function formatOf(mediaType: string): Format | undefined {
  return byMediaType.get(mediaType.split(';')[0].trim().toLowerCase())
}

/**
 * Content negotiation: the format that an `Accept` header asks for (RFC 9110, 12.5.1).
 *
 * @param fallback the request's own format, which wins among equals
 * @returns undefined if none is acceptable
 */
export function negotiate(accept: string | undefined, fallback: Format): Format | undefined {
  const ranges = (accept ?? '')
    .split(',')
    .map(readRange)
    .filter(({ type }) => type !== '')
  if (ranges.length === 0) return fallback
  const rated = [fallback, ...formats.filter((format) => format !== fallback)].map((format) => {
    return { format, quality: qualityOf(format, ranges) }
  })
  const best = rated.reduce((a, b) => (b.quality > a.quality ? b : a))
  return best.quality > 0 ? best.format : undefined
}

interface MediaRange {
  readonly type: string
  readonly quality: number
}

function readRange(text: string): MediaRange {
  const [type, ...parameters] = text.split(';').map((part) => part.trim().toLowerCase())
  const quality = parameters.find((parameter) => parameter.startsWith('q='))
  const value = quality === undefined ? 1 : Number(quality.slice(2))
  return { type, quality: Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : 0 }
}

/**
 * The most specific matching ranges decide. If a format has several media types, the one with the highest quality
 * counts.
 */
function qualityOf({ mediaTypes }: Format, ranges: readonly MediaRange[]): number {
  const groups = mediaTypes.map((type) => `${type.split('/')[0]}/*`)
  for (const level of [mediaTypes, groups, ['*/*']]) {
    const matching = ranges.filter(({ type }) => level.includes(type))
    if (matching.length > 0) return Math.max(...matching.map(({ quality }) => quality))
  }
  return 0
}

async function loadFormats(): Promise<Format[]> {
  const modules: { default?: Format }[] = await Promise.all(candidates().map((url) => import(url.href)))
  const found = modules.flatMap(({ default: format }) => (format === undefined ? [] : [format]))
  checkUnique(found)
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/**
 * The files in this folder and the index file of each subfolder, as sources or compiled, without declarations and
 * source maps.
 */
function candidates(): URL[] {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const here = new URL('./', import.meta.url)
  const entries = readdirSync(here, { withFileTypes: true }).filter(
    ({ name }) => name !== `index.${extension}`,
  )
  const files = entries.filter(
    ({ name }) => name.endsWith(`.${extension}`) && !name.endsWith(`.d.${extension}`),
  )
  const folders = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => new URL(`${name}/index.${extension}`, here))
  return [
    ...files.map(({ name }) => new URL(name, here)),
    ...folders.filter((url) => existsSync(fileURLToPath(url))),
  ]
}

function checkUnique(found: readonly Format[]) {
  const names = found.flatMap(({ name, mediaTypes }) => [name, ...mediaTypes])
  const twice = names.find((name, place) => names.indexOf(name) !== place)
  if (twice !== undefined) throw new Error(`two wire formats claim "${twice}"`)
}
