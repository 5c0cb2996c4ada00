/**
 * Finds the engines in this folder, and opens one of them where it computes: on a worker thread, or in its own
 * process.
 */
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Batch, type BatchResult, type Engine, UnsupportedByEngine } from './contract.ts'
import { type EngineDefinition, isUnavailable } from './define.ts'
import type { RemoteOptions } from './remote/messages.ts'
import { withFallback } from './routing/fallback-chain.ts'
import { UnsupportedCache } from './routing/unsupported-cache.ts'

/** The engine that can run every program. It runs what the chosen engine cannot. */
const FALLBACK = 'interpreter'

/** Every engine in this folder, best first. */
export async function engineDefinitions(): Promise<EngineDefinition[]> {
  const folder = new URL('./', import.meta.url)
  const files = readdirSync(fileURLToPath(folder)).filter((file) => /(?<!\.d)\.(ts|js)$/.test(file))
  const own = ['index', 'open'].map((name) => `${name}.`)
  const candidates = files.filter((file) => !own.some((prefix) => file.startsWith(prefix)))
  const modules: { default?: EngineDefinition }[] = await Promise.all(
    candidates.map((file) => import(new URL(file, folder).href)),
  )
  const found = modules.flatMap((module) => (module.default === undefined ? [] : [module.default]))
  return found.sort((a, b) => b.rank - a.rank)
}

/**
 * The definition with this name.
 *
 * @throws Error if there is none; the message lists the existing ones
 */
export function definitionOf(name: string, all: readonly EngineDefinition[]): EngineDefinition {
  const found = all.find((definition) => definition.name === name)
  if (found !== undefined) return found
  const names = all.map((definition) => definition.name).join(', ')
  throw new Error(`there is no engine "${name}" (there are auto, ${names})`)
}

/** @throws Error if it cannot be opened; the message says why */
export async function openWithoutFallback({ engine, reason }: RemoteOptions): Promise<Engine> {
  return opened(definitionOf(engine, await engineDefinitions()), reason)
}

/**
 * The engine, with fallbacks in the same thread for the programs that it cannot run.
 *
 * @throws Error if it cannot be opened; the message says why
 */
export async function openLocal({ engine, reason }: RemoteOptions): Promise<Engine> {
  const all = await engineDefinitions()
  return withProcessorBehind(await opened(definitionOf(engine, all), reason), all)
}

async function opened(definition: EngineDefinition, reason: string): Promise<Engine> {
  const engine = await definition.open(reason)
  if (isUnavailable(engine)) throw new Error(engine.unavailable)
  return engine
}

/**
 * The fallbacks of an engine, in order. Engines on tfjs share one backend, so none of them can be the fallback of
 * another.
 */
function fallbacksOf(name: string): readonly string[] {
  return name === 'compiled' ? ['wasm', FALLBACK] : [FALLBACK]
}

/**
 * Runs on the first engine unless it does not support the program, which is cached. Then the next engine is opened.
 */
async function withProcessorBehind(first: Engine, all: readonly EngineDefinition[]): Promise<Engine> {
  if (first.info.name === FALLBACK) return first
  const names = fallbacksOf(first.info.name)
  const second = async () =>
    withProcessorBehind(await opened(definitionOf(names[0], all), 'runs what another engine cannot'), all)
  return withFallback(remembering(first), second, () => names)
}

/** Does not ask the engine again for a program that it does not support. */
function remembering(engine: Engine): Engine {
  const refusals = new UnsupportedCache()
  const run = async (batch: Batch): Promise<BatchResult> => {
    const known = refusals.of(batch)
    if (known !== undefined) throw known
    try {
      return await engine.run(batch)
    } catch (error) {
      if (error instanceof UnsupportedByEngine) refusals.remember(batch, error)
      throw error
    }
  }
  return { ...engine, run }
}
