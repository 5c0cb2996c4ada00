/** Every engine that opens on this machine, in this thread, and for the others the reason why they do not. */
import { afterEach } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import { isUnavailable } from '../../src/engines/define.ts'
import { engineDefinitions } from '../../src/engines/engine-registry.ts'
import type { Precision } from '../../src/tensor.ts'
import { isEmulated } from './swiftshader.ts'

const FLOAT64_ENGINES: ReadonlySet<string> = new Set(['compiled', 'interpreter'])

export interface TestedEngine {
  readonly name: string
  readonly mergesExactly: boolean
  readonly flushesSubnormals: boolean
  /** Runs on SwiftShader, which takes most of the time of a long suite. */
  readonly isEmulated: boolean
  /** What it must compute. float64 may be rejected by the others. */
  readonly precisions: readonly Precision[]
  open(): Promise<Engine>
}

/** Names and openers. An engine that is not available here is left out, with one message. */
export async function availableEngines(): Promise<TestedEngine[]> {
  const found: TestedEngine[] = []
  for (const definition of await engineDefinitions()) {
    const opened = await definition.open('test')
    if (isUnavailable(opened))
      console.log(`engine ${definition.name} is not tested here: ${opened.unavailable}`)
    else
      found.push({
        name: definition.name,
        mergesExactly: definition.mergesExactly,
        flushesSubnormals: definition.flushesSubnormals ?? false,
        isEmulated: definition.name === 'webgpu' && isEmulated(),
        precisions: FLOAT64_ENGINES.has(definition.name) ? ['float32', 'float64'] : ['float32'],
        open: async () => (await definition.open('test')) as Engine,
      })
  }
  return found
}

/** Closes after each test the engines that the test has passed to it. */
export function closedAfterEach(): (engine: Engine) => Engine {
  const opened: Engine[] = []
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((engine) => engine.close()))
  })
  return (engine) => {
    opened.push(engine)
    return engine
  }
}

/** Whether an engine opens on this machine. */
export async function isHere(name: string): Promise<boolean> {
  const definition = (await engineDefinitions()).find((one) => one.name === name)
  const opened = await definition?.open('test')
  if (opened === undefined || isUnavailable(opened)) return false
  await opened.close()
  return true
}
