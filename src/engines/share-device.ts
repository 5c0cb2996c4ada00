/** Opens a device once for several processes, in a process of its own. */
import type { EngineDefinition } from './define.ts'
import { definitionOf, engineDefinitions } from './engine-registry.ts'
import { SharedDevice } from './remote/shared-device.ts'

export interface ShareOptions {
  /** As in `EngineOptions`. */
  readonly engine: string
  /** Of the inputs of one launch. */
  readonly maxElements: number
  readonly log: (message: string, details?: object) => void
}

/**
 * @returns undefined if the engine runs on threads, or no GPU is available: then each process opens its own
 * @throws Error if an engine was selected by name and cannot be opened; the message says why
 * @example
 * const shared = await shareDevice({ engine: 'auto', maxElements: 2 ** 22, log: console.log })
 */
export async function shareDevice(options: ShareOptions): Promise<SharedDevice | undefined> {
  const { engine } = options
  const all = await engineDefinitions()
  if (engine === 'auto') return shareBest(options, all)
  const definition = definitionOf(engine, all)
  return definition.home === 'process' ? start(options, definition, 'selected by name') : undefined
}

async function shareBest(
  options: ShareOptions,
  all: readonly EngineDefinition[],
): Promise<SharedDevice | undefined> {
  for (const definition of all.filter(({ home, missing }) => home === 'process' && !missing?.())) {
    // Why it is not available is logged by the processes that then look for themselves.
    const shared = await start(options, definition, 'a GPU').catch(() => undefined)
    if (shared?.info.isGpu) return shared
    shared?.close()
  }
  return undefined
}

function start({ maxElements, log }: ShareOptions, definition: EngineDefinition, reason: string) {
  return SharedDevice.start({ definition, reason, maxElements, log })
}
