/** The engine of evaluations: compiled kernels on this thread, and the interpreter for what has no kernel. */
import compiled from '../engines/compiled.ts'
import type { Engine } from '../engines/contract.ts'
import { type EngineDefinition, isUnavailable } from '../engines/define.ts'
import interpreter from '../engines/interpreter.ts'
import { withFallback } from '../engines/routing/fallback-chain.ts'

export async function openKernels(): Promise<Engine> {
  const first = await opened(compiled)
  return withFallback(
    first,
    () => opened(interpreter),
    () => [interpreter.name],
  )
}

async function opened(definition: EngineDefinition): Promise<Engine> {
  const engine = await definition.open('evaluations')
  if (isUnavailable(engine)) throw new Error(engine.unavailable)
  return engine
}
