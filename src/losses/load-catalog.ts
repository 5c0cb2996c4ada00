/**
 * Loads the catalog: every loss in a family folder here is registered automatically. An invalid loss stops the
 * process at startup, with the name of its file.
 */
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Catalog, createCatalog } from './catalog.ts'
import type { Loss } from './define.ts'

/**
 * Reads the family folders.
 *
 * @throws Error if a file does not export a loss, or a name differs from its file's or occurs twice
 * @example
 * const catalog = await loadCatalog()
 * catalog.find('mae')?.name // 'l1'
 */
export async function loadCatalog(): Promise<Catalog> {
  return createCatalog(await Promise.all(lossFiles().map(loadLoss)))
}

/**
 * A catalog of some losses alone, which is loaded faster.
 *
 * @param names their own names
 */
export async function loadLosses(names: readonly string[]): Promise<Catalog> {
  const files = lossFiles().filter(({ name }) => names.includes(name))
  return createCatalog(await Promise.all(files.map(loadLoss)))
}

/** The catalog, or a part of it that has these names, which is loaded faster. */
export async function loadCatalogFor(names: readonly string[]): Promise<Catalog> {
  const some = await loadLosses(names)
  return names.every((name) => some.resolve(name) !== undefined) ? some : loadCatalog()
}

interface LossFile {
  readonly family: string
  readonly name: string
  readonly url: URL
}

function lossFiles(): LossFile[] {
  const root = new URL('./', import.meta.url)
  const families = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return families.flatMap(({ name: family }) => {
    const folder = new URL(`${family}/`, root)
    const files = readdirSync(fileURLToPath(folder)).filter((file) => /(?<!\.d)\.(ts|js)$/.test(file))
    return files
      .sort()
      .map((file) => ({ family, name: basename(file).slice(0, -3), url: new URL(file, folder) }))
  })
}

async function loadLoss({ family, name, url }: LossFile): Promise<Loss> {
  const module: { default?: Loss } = await import(url.href).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`losses/${family}/${name}: ${why}`, { cause })
  })
  const loss = module.default
  if (loss?.formula === undefined)
    throw new Error(`losses/${family}/${name}: has no loss as its default export`)
  if (loss.name !== name || loss.family !== family) {
    throw new Error(
      `losses/${family}/${name}: defines ${loss.family}/${loss.name}; file, folder and name must agree`,
    )
  }
  return loss
}
