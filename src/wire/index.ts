/**
 * The registry of wire formats, and content negotiation between them. Every file or folder here that exports a
 * format is registered automatically.
 */
import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Problem } from '../errors.ts'
import type { Decoded, DecodeLimits, Format } from './define.ts'
import { wrongFormatHint } from './wrong-format-hint.ts'

/** All formats, by rank. */
export const formats: readonly Format[] = Object.freeze(await loadFormats())

const json = formats.find(({ name }) => name === 'json')!
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
 * Decodes the body of a request. If it cannot be parsed and looks like another format, the problem says so.
 *
 * @throws Problem as the format's `decode`
 */
export function decodeBody(format: Format, bytes: Uint8Array, limits: DecodeLimits): Decoded {
  try {
    return format.decode(bytes, limits)
  } catch (error) {
    if (!(error instanceof Problem) || !error.code.startsWith('malformed-')) throw error
    const hint = wrongFormatHint(bytes, format, formats)
    throw hint === undefined ? error : new Problem(error.code, hint)
  }
}

/**
 * A body that was written as an object, decoded as if it had been sent as JSON.
 *
 * @throws Problem as for a request
 * @example
 * decodeObject({ predictions: [1], targets: [2] }, config).tensors.get('targets')
 */
export function decodeObject(body: object, limits: DecodeLimits): Decoded {
  return json.decode(Buffer.from(JSON.stringify(body)), limits)
}

/**
 * Content negotiation: the format that an `Accept` header asks for (RFC 9110, 12.5.1).
 *
 * @param fallback the request's own format, which wins among equals
 * @param among the formats to choose from
 * @returns undefined if none is acceptable
 */
export function negotiate(
  accept: string | undefined,
  fallback: Format,
  among: readonly Format[] = formats,
): Format | undefined {
  const ranges = (accept ?? '')
    .split(',')
    .map(readRange)
    .filter(({ type }) => type !== '')
  if (ranges.length === 0) return fallback
  const rated = [fallback, ...among.filter((format) => format !== fallback)].map((format) => {
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
  return found.sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1))
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
