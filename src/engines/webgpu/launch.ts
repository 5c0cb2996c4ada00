/**
 * One batch on one device: uploaded through a mapped buffer, computed in one dispatch per stage of its program, and
 * read back in one piece. Several batches may be pending at once: the device runs them in turn, and copies proceed
 * in the meantime.
 */
import type { Batch, BatchResult, ChunkedArray } from '../contract.ts'
import type { BufferPool, BufferRole } from './buffer-pool.ts'
import type { DeviceLostSignal } from './device-lost.ts'
import { type Layout, layoutOf, lengthOf, packUniforms, resultLength } from './memory-layout.ts'
import type { Compiled, PipelineCache } from './pipelines.ts'

/** What a launch needs from its session. */
export interface LaunchContext {
  readonly device: GPUDevice
  readonly pool: BufferPool
  readonly pipelines: PipelineCache
  readonly loss: DeviceLostSignal
}

/** The buffers of one launch. */
export type Buffers = Readonly<Record<BufferRole, GPUBuffer>>

/** @throws OutOfMemory, UnsupportedByEngine; DeviceLost */
export async function launch(station: LaunchContext, batch: Batch, engine: string): Promise<BatchResult> {
  const compileStarted = performance.now()
  const compiled = await station.loss.unless(station.pipelines.find(batch))
  const compileMs = performance.now() - compileStarted
  const layout = layoutOf(compiled, batch)
  const words = packUniforms(compiled, layout, batch)
  const buffers = await takeBuffers(station, layout, words)
  try {
    fill(buffers, layout, batch, words)
    const started = performance.now()
    await computed(station, compiled, layout, buffers, words)
    const answer = read(buffers.download, compiled, layout, batch)
    return { ...answer, computeMs: performance.now() - started, compileMs, engine }
  } finally {
    for (const buffer of Object.values(buffers)) station.pool.give(buffer)
  }
}

/**
 * Runs until the results can be read. A launch that the device rejects leaves the results of another one in the
 * buffer.
 */
async function computed(
  station: LaunchContext,
  compiled: Compiled,
  layout: Layout,
  buffers: Buffers,
  words: Uint32Array,
): Promise<void> {
  station.device.pushErrorScope('validation')
  submit(station, compiled, layout, buffers, words)
  const refused = station.device.popErrorScope()
  const read = buffers.download.mapAsync(GPUMapMode.READ, 0, resultBytes(layout))
  const [error] = await station.loss.unless(Promise.all([refused, read]))
  if (error !== null) throw new Error(`the device rejected a launch: ${error.message}`)
}

function resultBytes({ totals }: Layout): number {
  return Math.max(totals.results * 4, 4)
}

export async function takeBuffers(
  { pool }: LaunchContext,
  { totals }: Layout,
  words: Uint32Array,
): Promise<Buffers> {
  const sizes: Readonly<Record<BufferRole, number>> = {
    inputs: totals.inputs * 4,
    scratch: totals.scratch * 4,
    results: totals.results * 4,
    words: words.byteLength,
    upload: totals.inputs * 4 + words.byteLength,
    download: totals.results * 4,
  }
  const taken: Partial<Record<BufferRole, GPUBuffer>> = {}
  try {
    for (const use of Object.keys(sizes) as BufferRole[]) taken[use] = await pool.take(use, sizes[use])
    return taken as Buffers
  } catch (error) {
    for (const buffer of Object.values(taken)) pool.give(buffer)
    throw error
  }
}

/** Every job's array is copied straight to its place. The uniforms follow. */
export function fill(
  { upload }: Buffers,
  layout: Layout,
  { program, inputs, cotangent }: Batch,
  words: Uint32Array,
) {
  const memory = upload.getMappedRange()
  for (const [name, column] of Object.entries(inputs)) {
    const isWhole = program.inputs[name]?.type === 'index'
    copyColumn(memory, layout.inputs[name], column, isWhole ? Int32Array : Float32Array)
  }
  copyColumn(memory, layout.cotangent, cotangent, Float32Array)
  new Uint32Array(memory, layout.totals.inputs * 4, words.length).set(words)
  upload.unmap()
}

function copyColumn(
  memory: ArrayBuffer,
  start: number,
  column: ChunkedArray,
  View: typeof Float32Array | typeof Int32Array,
) {
  const target = new View(memory, start * 4, lengthOf(column))
  let at = 0
  for (const part of column) {
    target.set(part, at)
    at += part.length
  }
}

function submit(
  { device, pipelines }: LaunchContext,
  compiled: Compiled,
  layout: Layout,
  buffers: Buffers,
  words: Uint32Array,
) {
  const encoder = device.createCommandEncoder()
  const { inputs, upload, results, download } = buffers
  encoder.copyBufferToBuffer(upload, 0, inputs, 0, layout.totals.inputs * 4)
  encoder.copyBufferToBuffer(upload, layout.totals.inputs * 4, buffers.words, 0, words.byteLength)
  const pass = encoder.beginComputePass()
  dispatch(pass, compiled, layout, bind(device, pipelines, buffers))
  pass.end()
  encoder.copyBufferToBuffer(results, 0, download, 0, resultBytes(layout))
  device.queue.submit([encoder.finish()])
}

export function bind(device: GPUDevice, { layout }: PipelineCache, buffers: Buffers): GPUBindGroup {
  const bound = [buffers.words, buffers.inputs, buffers.scratch, buffers.results]
  return device.createBindGroup({
    layout,
    entries: bound.map((buffer, binding) => ({ binding, resource: { buffer } })),
  })
}

export function dispatch(
  pass: GPUComputePassEncoder,
  compiled: Compiled,
  layout: Layout,
  group: GPUBindGroup,
) {
  pass.setBindGroup(0, group)
  compiled.pipelines.forEach((pipeline, stage) => {
    const [across, down] = layout.groups[stage]
    if (across === 0) return
    pass.setPipeline(pipeline)
    pass.dispatchWorkgroups(across, down)
  })
}

type Answer = Pick<BatchResult, 'values' | 'denominators' | 'gradients'>

/** One copy from the mapped buffer, and views of it. */
function read(download: GPUBuffer, { blocks }: Compiled, layout: Layout, batch: Batch): Answer {
  const memory = new Float32Array(download.getMappedRange(0, resultBytes(layout)).slice(0))
  download.unmap()
  const gradients: Record<string, Float32Array> = {}
  const columns: { values?: Float32Array; denominators?: Float32Array } = {}
  for (const block of blocks) {
    if (block.role === 'scratch') continue
    const start = layout.blocks.get(block.id)!
    const data = memory.subarray(start, start + resultLength(batch.program, block, batch.sizes))
    if (block.role === 'gradient') gradients[block.name] = data
    else columns[block.role] = data
  }
  const { values = new Float32Array(0), denominators } = columns
  return { values, ...(denominators === undefined ? {} : { denominators }), gradients }
}
