/**
 * The catalog: every loss that lies in a family folder here. A loss registers by being there; what is wrong with one
 * stops the process at start, with its file's name.
 */
import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nearest } from '../language/nearest.ts'
import type { Asked, Loss } from './define.ts'
import { meantBy, namesBeside } from './names.ts'

export interface Catalog {
  /** By family, then name. */
  readonly losses: readonly Loss[]
  /** By any of its names; `undefined` when there is none. */
  find(name: string): Loss | undefined
  /** The loss, with what the name brings along. */
  asked(name: string): Asked | undefined
  /** Every name that answers, and what it stands for. */
  readonly names: ReadonlyMap<string, Asked>
  /** The names that may have been meant, the likeliest first, for messages. */
  nearest(name: string): readonly string[]
}

/**
 * Reads the family folders.
 *
 * @throws Error when a file does not export a loss, or a name is not its file's or stands twice
 * @example
 * const catalog = await loadCatalog()
 * catalog.find('mae')?.name // 'l1'
 */
export async function loadCatalog(): Promise<Catalog> {
  const losses = await Promise.all(lossFiles().map(loadLoss))
  const byName = new Map<string, Asked>()
  for (const loss of losses) {
    for (const [name, spelling] of loss.spellings) {
      if (byName.has(name)) throw new Error(`two losses are called "${name}"`)
      byName.set(name, Object.freeze({ loss, ...spelling }))
    }
  }
  const names = new Map([...byName, ...namesBeside(byName)])
  const known = [...names.keys()]
  return Object.freeze({
    losses: Object.freeze(losses),
    find: (name: string) => names.get(name)?.loss,
    asked: (name: string) => names.get(name),
    names,
    nearest: (name: string) => meantBy(name, known, nearest),
  })
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
