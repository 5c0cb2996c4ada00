/**
 * The float64 interpreter as an engine: the reference implementation of every program. What it computes in float32 is float64,
 * rounded once.
 */
import { interpret } from '../language/interpret.ts'
import { type Batch, type BatchResult, concatChunks } from './contract.ts'
import { defineEngine } from './define.ts'

export default defineEngine({
  name: 'interpreter',
  rank: 0,
  mergesExactly: true,
  runsWholeAxisOps: true,
  home: 'thread',
  open: async (reason) => ({
    info: { name: 'interpreter', device: 'float64, 1 thread', reason },
    isReady: true,
    run: async (batch) => run(batch),
    serving: () => ['interpreter'],
    stats: async () => ({ tensors: 0, bytes: 0 }),
    close: async () => {},
  }),
})

function run(batch: Batch): BatchResult {
  const started = performance.now()
  const inputs = Object.entries(batch.inputs).map(([name, column]) => [name, concatChunks(column)] as const)
  const { values, denominators, gradients } = interpret(batch.program, {
    ...batch,
    inputs: Object.fromEntries(inputs),
    cotangent: concatChunks(batch.cotangent),
  })
  const rounded = Object.entries(gradients).map(([name, data]) => [name, inPrecision(batch, data)] as const)
  return {
    values: inPrecision(batch, values),
    ...(denominators === undefined ? {} : { denominators: inPrecision(batch, denominators) }),
    gradients: Object.fromEntries(rounded),
    computeMs: performance.now() - started,
    engine: 'interpreter',
  }
}

function inPrecision({ precision }: Batch, data: Float64Array): Float32Array | Float64Array {
  return precision === 'float64' ? data : Float32Array.from(data)
}
