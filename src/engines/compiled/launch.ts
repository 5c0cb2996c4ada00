/** One launch: copies the data of the batch into an arena, and returns the kernel's results as views of it. */

import type { Buffer } from '../../loops/loop-plan.ts'
import type { NumericArray } from '../../tensor.ts'
import type { Batch, BatchResult, ChunkedArray } from '../contract.ts'
import type { Arena } from './arena.ts'
import type { Arguments, Kernel, Layout, Sizes } from './kernel.ts'
import { HOST_IMPORTS } from './math.ts'

/** Memory that a launch with this many slices needs, in bytes. */
export function bytesFor({ scratch }: Layout, slices: number): number {
  return scratch.start + scratch.bytes * slices
}

/** Copies the inputs into an arena that is large enough. */
export function copyInputs({ plan }: Kernel, { bases }: Layout, batch: Batch, arena: Arena) {
  for (const { role, name, id } of plan.buffers) {
    if (role === 'input') copy(batch.inputs[name], arena, bases[id] / 4)
    else if (role === 'cotangent') copy(batch.cotangent, arena, bases[id] / 4)
  }
}

/** What a kernel needs to know about a batch in addition to its arrays. */
export function argumentsOf({ scalars, cotangent }: Batch, sizes: Sizes): Arguments {
  return { sizes, scalars, cotangent: cotangent[0][0] }
}

function copy(column: ChunkedArray, { words, floats }: Arena, place: number) {
  let at = place
  for (const part of column) {
    const target: NumericArray = part instanceof Int32Array ? words : floats
    target.set(part, at)
    at += part.length
  }
}

export type Results = Pick<BatchResult, 'values' | 'denominators' | 'gradients'>

/** The results where the kernel wrote them. */
export function resultsOf({ plan }: Kernel, layout: Layout, arena: Arena): Results {
  const view = ({ id }: Buffer) =>
    arena.floats.subarray(layout.bases[id] / 4, layout.bases[id] / 4 + layout.counts[id])
  const gradients: Record<string, Float32Array> = {}
  let values: Float32Array | undefined
  let denominators: Float32Array | undefined
  for (const buffer of plan.buffers) {
    if (buffer.role === 'values') values = view(buffer)
    else if (buffer.role === 'denominators') denominators = view(buffer)
    else if (buffer.role === 'gradient') gradients[buffer.name] = view(buffer)
  }
  return { values: values!, ...(denominators === undefined ? {} : { denominators }), gradients }
}

/** The kernel's function on a memory. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): (at: number) => void {
  const host = Object.fromEntries(HOST_IMPORTS.map(({ name, run }) => [name, run]))
  const { exports } = new WebAssembly.Instance(module, { env: { memory, ...host } })
  return exports.run as (at: number) => void
}
