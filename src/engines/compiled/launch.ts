/** One launch: copies the data of the batch into an arena, and returns the kernel's results as views of it. */

import type { Buffer } from '../../loops/loop-plan.ts'
import type { NumericArray } from '../../tensor.ts'
import type { Batch, BatchResult } from '../contract.ts'
import type { Arena } from './arena.ts'
import { type ElementTypes, storedTypeOf } from './element-types.ts'
import type { Arguments, Kernel, Layout, Sizes } from './kernel.ts'
import { HOST_FUNCTIONS } from './math.ts'

/** Memory that a launch with this many slices needs, in bytes. */
export function bytesFor({ scratch }: Layout, slices: number): number {
  return scratch.start + scratch.bytes * slices
}

/** Copies the inputs into an arena that is large enough. */
export function copyInputs({ plan, types }: Kernel, { bases }: Layout, batch: Batch, arena: Arena) {
  for (const buffer of plan.buffers) {
    const { role, name, id } = buffer
    if (role !== 'input' && role !== 'cotangent') continue
    const view = viewOf(arena, types, buffer)
    let at = bases[id] / view.BYTES_PER_ELEMENT
    for (const part of role === 'input' ? batch.inputs[name] : batch.cotangent) {
      view.set(part, at)
      at += part.length
    }
  }
}

/** The memory as elements of a buffer. */
export function viewOf({ words, floats, doubles }: Arena, types: ElementTypes, buffer: Buffer): NumericArray {
  if (buffer.role === 'input' && buffer.type === 'index') return words
  return storedTypeOf(types, buffer).bytes === 8 ? doubles : floats
}

/** What a kernel needs to know about a batch in addition to its arrays. */
export function argumentsOf({ scalars, cotangent }: Batch, sizes: Sizes): Arguments {
  return { sizes, scalars, cotangent: cotangent[0][0] }
}

type Floats = Float32Array | Float64Array

export type Results = Pick<BatchResult, 'values' | 'denominators' | 'gradients'>

/** The results where the kernel wrote them. */
export function resultsOf({ plan, types }: Kernel, layout: Layout, arena: Arena): Results {
  const { bytes } = types.lane.native
  const all = bytes === 8 ? arena.doubles : arena.floats
  const view = ({ id }: Buffer) => {
    const start = layout.bases[id] / bytes
    return all.subarray(start, start + layout.counts[id])
  }
  const gradients: Record<string, Floats> = {}
  let values: Floats | undefined
  let denominators: Floats | undefined
  for (const buffer of plan.buffers) {
    if (buffer.role === 'values') values = view(buffer)
    else if (buffer.role === 'denominators') denominators = view(buffer)
    else if (buffer.role === 'gradient') gradients[buffer.name] = view(buffer)
  }
  return { values: values!, ...(denominators === undefined ? {} : { denominators }), gradients }
}

/** The kernel's function on a memory. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): (at: number) => void {
  const { exports } = new WebAssembly.Instance(module, { env: { memory, ...HOST_FUNCTIONS } })
  return exports.run as (at: number) => void
}
