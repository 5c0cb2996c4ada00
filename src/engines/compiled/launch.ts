/** One launch: the batch's data into an arena, the kernel's results as views of it. */
import type { NumericArray } from '../../schemas/tensor.ts'
import type { Batch, BatchResult, Column } from '../define.ts'
import type { Arena } from './arena.ts'
import { type Layout, layoutOf, type Sizes, type Slice, writeArguments } from './kernel.ts'
import type { Compiled } from './kernels.ts'
import { HOST } from './math.ts'
import type { Buffer } from './plan.ts'

/** A launch that is ready to run: each slice is one call of the kernel with its address. */
export interface Prepared {
  readonly layout: Layout
  readonly addresses: readonly number[]
}

/** Bytes that a launch in so many slices takes. */
export function bytesFor({ scratch }: Layout, slices: number): number {
  return scratch.start + scratch.bytes * slices
}

/** Copies inputs and arguments into an arena that has room for them. */
export function prepare(
  kernel: Compiled,
  batch: Batch,
  sizes: Sizes,
  arena: Arena,
  slices: readonly Slice[],
): Prepared {
  const layout = layoutOf(kernel, sizes)
  for (const buffer of kernel.plan.buffers) {
    if (buffer.role === 'input') copy(batch.inputs[buffer.name], arena, layout.bases[buffer.id] / 4)
    else if (buffer.role === 'cotangent') copy(batch.cotangent, arena, layout.bases[buffer.id] / 4)
  }
  const args = { sizes, scalars: batch.scalars, cotangent: batch.cotangent[0][0] }
  return { layout, addresses: writeArguments(kernel, layout, args, arena, slices) }
}

function copy(column: Column, { words, floats }: Arena, place: number) {
  let at = place
  for (const part of column) {
    const target: NumericArray = part instanceof Int32Array ? words : floats
    target.set(part, at)
    at += part.length
  }
}

/** The results where the kernel left them. */
export function resultsOf(
  { plan }: Compiled,
  layout: Layout,
  arena: Arena,
): Pick<BatchResult, 'values' | 'denominators' | 'gradients'> {
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
  const host = Object.fromEntries(HOST.map(({ name, run }) => [name, run]))
  const { exports } = new WebAssembly.Instance(module, { env: { memory, ...host } })
  return exports.run as (at: number) => void
}
