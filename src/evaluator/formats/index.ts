/** The formats that can be evaluated. To add one, add a file to this folder. */
import { readdirSync } from 'node:fs'
import { extname } from 'node:path'
import type { FormatDefinition } from './define.ts'

/** All formats, by their names. */
export const FORMATS: ReadonlyMap<string, FormatDefinition> = await loadFormats()

async function loadFormats(): Promise<Map<string, FormatDefinition>> {
  const here = new URL('./', import.meta.url)
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js'
  const files = readdirSync(here).filter((file) => file.endsWith(extension) && file !== `index${extension}`)
  const modules = (await Promise.all(
    files.sort().map((file) => import(new URL(file, here).href)),
  )) as readonly { readonly default?: FormatDefinition }[]
  return new Map(
    modules.flatMap(({ default: format }) => (format === undefined ? [] : [[format.name, format]])),
  )
}

const byExtension = new Map(
  [...FORMATS.values()].flatMap((format) =>
    format.extensions.map((extension) => [extension, format] as const),
  ),
)
const byMediaType = new Map(
  [...FORMATS.values()].flatMap((format) => format.mediaTypes.map((type) => [type, format] as const)),
)

/** The endings of the names of files that can be read. */
export const EXTENSIONS: readonly string[] = [...byExtension.keys()]
export const MEDIA_TYPES: readonly string[] = [...byMediaType.keys()]

/**
 * The format of a file, by its name.
 *
 * @example
 * formatOfFile('a/b.parquet')?.name // 'parquet'
 */
export function formatOfFile(path: string): FormatDefinition | undefined {
  return byExtension.get(extname(path).toLowerCase())
}

export function formatOfMediaType(type: string): FormatDefinition | undefined {
  return byMediaType.get(type.split(';')[0].trim().toLowerCase())
}

/** Whether any rows of a file can be read, without those before them. */
export function hasPlaces({ reader }: FormatDefinition): boolean {
  return 'open' in reader || reader.hasPlaces
}
