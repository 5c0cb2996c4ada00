/** Opens, inside the compute thread, the engine that was asked for or the best that is there, and its fallback. */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Batch, type BatchResult, type Engine, UnsupportedByEngine } from './define.ts'
import { layered } from './layered.ts'
import { type EngineDefinition, isUnavailable } from './local.ts'

export interface Opened {
  readonly engine: Engine
  /** One line for each engine that was tried before it. */
  readonly refused: readonly string[]
}

/** The one that can run every program; it takes what the chosen one cannot. */
const FALLBACK = 'interpreter'

/** Every engine that lies in this folder, best first. */
export async function engineDefinitions(): Promise<EngineDefinition[]> {
  const folder = new URL('./', import.meta.url)
  const files = readdirSync(fileURLToPath(folder)).filter((file) => /(?<!\.d)\.(ts|js)$/.test(file))
  const own = ['worker', 'index', 'open', 'thread'].map((name) => `${name}.`)
  const candidates = files.filter((file) => !own.some((prefix) => file.startsWith(prefix)))
  const modules: { default?: EngineDefinition }[] = await Promise.all(
    candidates.map((file) => import(new URL(file, folder).href)),
  )
  const found = modules.flatMap((module) => (module.default === undefined ? [] : [module.default]))
  return found.sort((a, b) => b.rank - a.rank)
}

/**
 * @param wanted the name of an engine, or `auto`
 * @throws Error when the wanted one cannot be opened; says why
 */
export async function openLocal(wanted: string): Promise<Opened> {
  const all = await engineDefinitions()
  const candidates = wanted === 'auto' ? all : all.filter(({ name }) => name === wanted)
  if (candidates.length === 0) {
    throw new Error(
      `there is no engine "${wanted}" (there are auto, ${all.map(({ name }) => name).join(', ')})`,
    )
  }
  const refused: string[] = []
  for (const definition of candidates) {
    const opened = await tryOpen(definition, wanted === 'auto' ? reasonFor(refused) : 'asked for')
    if (typeof opened !== 'string') return { engine: await withFallback(opened, all), refused }
    refused.push(`${definition.name}: ${opened}`)
  }
  throw new Error(refused.join('; '))
}

function reasonFor(refused: readonly string[]): string {
  return refused.length === 0 ? 'the best there is' : `the best that opened (${refused.join('; ')})`
}

async function tryOpen(definition: EngineDefinition, reason: string): Promise<Engine | string> {
  try {
    const opened = await definition.open(reason)
    return isUnavailable(opened) ? opened.unavailable : opened
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** What stands behind an engine, in order; engines on tfjs share one backend, so that none has another behind it. */
function fallbacksOf(name: string): readonly string[] {
  return name === 'compiled' ? ['wasm', FALLBACK] : [FALLBACK]
}

/** Runs on the first engine unless it says "I can't", which is remembered for the program; the next is opened then. */
async function withFallback(first: Engine, all: readonly EngineDefinition[]): Promise<Engine> {
  if (first.info.name === FALLBACK) return first
  const names = fallbacksOf(first.info.name)
  const second = () => openFallback(names[0], all)
  return layered(remembering(first), second, () => names)
}

async function openFallback(name: string, all: readonly EngineDefinition[]): Promise<Engine> {
  const opened = await all
    .find((definition) => definition.name === name)!
    .open('takes what another engine cannot')
  if (isUnavailable(opened)) throw new Error(opened.unavailable)
  return withFallback(opened, all)
}

/** Programs that an engine cannot run; more than there are kept. */
const MAX_REMEMBERED = 4096

/** What an engine could not do once, it is not asked again. */
function remembering(engine: Engine): Engine {
  const unsupported = new Map<string, UnsupportedByEngine>()
  const remember = (key: string, error: UnsupportedByEngine) => {
    if (unsupported.size >= MAX_REMEMBERED) unsupported.clear()
    unsupported.set(key, error)
  }
  const run = async (batch: Batch): Promise<BatchResult> => {
    const key = `${batch.programKey} ${batch.precision}`
    const known = unsupported.get(key)
    if (known !== undefined) throw known
    try {
      return await engine.run(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) remember(key, error)
      throw error
    }
  }
  return { ...engine, run }
}
