/** Launches kernels directly, without the engine around them. */
import { Arena } from '../../../src/engines/compiled/arena.ts'
import { type Kernel, layoutOf, packKernelParams } from '../../../src/engines/compiled/kernel.ts'
import {
  argumentsOf,
  bytesFor,
  copyInputs,
  instantiate,
  resultsOf,
} from '../../../src/engines/compiled/launch.ts'
import type { Batch } from '../../../src/engines/contract.ts'
import { sizesWithRenamedAxes } from '../../../src/language/ir.ts'
import { bitsOf } from '../../support/close.ts'

/** A launch of one kernel in slices that begin and end at these rows. Its memory contains NaN wherever there is no input. */
export function launch(kernel: Kernel, batch: Batch, bounds: readonly number[]) {
  const sizes = sizesWithRenamedAxes(batch.program, batch.sizes)
  const arena = new Arena()
  const layout = layoutOf(kernel, sizes)
  arena.reserve(bytesFor(layout, bounds.length))
  arena.floats.fill(Number.NaN)
  copyInputs(kernel, layout, batch, arena)
  const slices = bounds.slice(1).map((last, index) => ({ index, first: bounds[index]!, last }))
  const run = instantiate(new WebAssembly.Module(kernel.bytes), arena.memory)
  for (const at of packKernelParams(kernel, layout, argumentsOf(batch, sizes), arena, slices)) run(at)
  return { ...resultsOf(kernel, layout, arena), layout, arena }
}

export function bitsIn(kernel: Kernel, batch: Batch, bounds: readonly number[]): Record<string, string> {
  const { values, gradients } = launch(kernel, batch, bounds)
  const all = Object.entries({ values, ...gradients })
  return Object.fromEntries(all.map(([name, data]) => [name, bitsOf(data.slice())]))
}
