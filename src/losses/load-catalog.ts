/**
 * Loads the catalog: every loss that lies in a family folder here. A loss registers by being there; what is wrong with one
 * stops the process at start, with its file's name.
 */
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Catalog, createCatalog } from './catalog.ts'
import type { Loss } from './define.ts'

/**
 * Reads the family folders.
 *
 * @throws Error when a file does not export a loss, or a name is not its file's or stands twice
 * @example
 * const catalog = await loadCatalog()
 * catalog.find('mae')?.name // 'l1'
 */
export async function loadCatalog(): Promise<Catalog> {
  return createCatalog(await Promise.all(lossFiles().map(loadLoss)))
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
  if (loss?.formula === undefined) throw new Error(`losses/${family}/${name}: no loss is exported by default`)
  if (loss.name !== name || loss.family !== family) {
    throw new Error(
      `losses/${family}/${name}: defines ${loss.family}/${loss.name}; file, folder and name must agree`,
    )
  }
  return loss
}
