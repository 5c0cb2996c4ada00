/**
 * Benchmarking: how long a batch's dispatches take with all data already on the device, and the device's copy
 * bandwidth, for comparison. Not used to serve requests.
 */
import type { Batch, DeviceTiming } from '../contract.ts'
import { type Buffers, bind, dispatch, fill, type LaunchContext, takeBuffers } from './launch.ts'
import { layoutOf, packUniforms } from './memory-layout.ts'
import type { Compiled } from './pipelines.ts'

/** Large enough to occupy every multiprocessor and to exceed every cache. */
const COPIED_BYTES = 2 ** 28
const COPIES = 20

/** Times a launch, and a copy of about the same size, but at least large enough to occupy the device. */
export async function timeOnDevice(
  station: LaunchContext,
  batch: Batch,
  launches: number,
): Promise<DeviceTiming> {
  const { milliseconds, bytes } = await measureKernel(station, batch, launches)
  const most = station.device.limits.maxBufferSize / 4
  const copyBytesPerSecond = await copyBandwidth(station, Math.min(most, COPIED_BYTES), COPIES)
  return { kernelMs: milliseconds, bytes, copyBytesPerSecond }
}

export interface KernelTime {
  /** For all dispatches of the batch together; the median of the repeats. */
  readonly milliseconds: number
  /** The minimum that has to be moved: every input read once, every result written once. */
  readonly bytes: number
  /**
   * Whether it was measured with the device's own clock. Otherwise the wall-clock time of many repeats was divided.
   */
  readonly isOnDevice: boolean
}

/**
 * @param repeats in addition to one warm-up run
 * @example
 * const { milliseconds, bytes } = await measureKernel(engine.session!, batch, 20)
 * bytes / milliseconds / 1e6 // GB/s
 */
export async function measureKernel(
  station: LaunchContext,
  batch: Batch,
  repeats: number,
): Promise<KernelTime> {
  const compiled = await station.pipelines.find(batch)
  const layout = layoutOf(compiled, batch)
  const words = packUniforms(compiled, layout, batch)
  const buffers = await takeBuffers(station, layout, words)
  try {
    fill(buffers, layout, batch, words)
    upload(station, buffers, layout.totals.inputs * 4, words.byteLength)
    const run = (pass: GPUComputePassEncoder) =>
      dispatch(pass, compiled, layout, bind(station.device, station.pipelines, buffers))
    const isOnDevice = station.device.features.has('timestamp-query')
    await byWallClock(station.device, run, 1)
    const milliseconds = isOnDevice
      ? median(await byDeviceClock(station.device, run, repeats))
      : await byWallClock(station.device, run, repeats)
    return { milliseconds, bytes: bytesOf(compiled, batch, layout.sizes), isOnDevice }
  } finally {
    for (const buffer of Object.values(buffers)) station.pool.give(buffer)
  }
}

function upload({ device }: LaunchContext, buffers: Buffers, inputBytes: number, wordBytes: number) {
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(buffers.upload, 0, buffers.inputs, 0, inputBytes)
  encoder.copyBufferToBuffer(buffers.upload, inputBytes, buffers.words, 0, wordBytes)
  device.queue.submit([encoder.finish()])
}

type Run = (pass: GPUComputePassEncoder) => void

/** @returns milliseconds per run */
async function byWallClock(device: GPUDevice, run: Run, repeats: number): Promise<number> {
  await device.queue.onSubmittedWorkDone()
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  for (let i = 0; i < repeats; i++) run(pass)
  pass.end()
  const commands = encoder.finish()
  const started = performance.now()
  device.queue.submit([commands])
  await device.queue.onSubmittedWorkDone()
  return (performance.now() - started) / repeats
}

/** WebGPU's limit of timestamps per query set; each run needs two. */
const MOST_RUNS = 2048

async function byDeviceClock(device: GPUDevice, run: Run, repeats: number): Promise<number[]> {
  const count = Math.min(repeats, MOST_RUNS)
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * count })
  const size = count * 16
  const resolved = device.createBuffer({
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  })
  const readable = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  const encoder = device.createCommandEncoder()
  for (let i = 0; i < count; i++) {
    const timestampWrites = { querySet, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 }
    const pass = encoder.beginComputePass({ timestampWrites })
    run(pass)
    pass.end()
  }
  encoder.resolveQuerySet(querySet, 0, 2 * count, resolved, 0)
  encoder.copyBufferToBuffer(resolved, 0, readable, 0, size)
  device.queue.submit([encoder.finish()])
  await readable.mapAsync(GPUMapMode.READ)
  const nanoseconds = new BigInt64Array(readable.getMappedRange().slice(0))
  for (const { destroy } of [resolved, readable, querySet].map((one) => ({ destroy: () => one.destroy() })))
    destroy()
  return Array.from({ length: count }, (_, i) => Number(nanoseconds[2 * i + 1] - nanoseconds[2 * i]) / 1e6)
}

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[times.length >> 1]
}

function bytesOf({ blocks }: Compiled, { inputs }: Batch, sizes: Readonly<Record<string, number>>): number {
  const read = Object.values(inputs)
    .flat()
    .reduce((total, { byteLength }) => total + byteLength, 0)
  const written = blocks.filter(({ role }) => role !== 'scratch')
  return (
    read +
    written.reduce((total, { axes }) => total + 4 * axes.reduce((count, axis) => count * sizes[axis], 1), 0)
  )
}

/**
 * Bytes per second that the device copies from one of its buffers to another. Each byte counts twice, as read and
 * as written.
 *
 * @param bytes size of each buffer
 */
export async function copyBandwidth(
  { device, pool }: LaunchContext,
  bytes: number,
  repeats: number,
): Promise<number> {
  const [from, to] = [await pool.take('inputs', bytes), await pool.take('scratch', bytes)]
  const copies = async (count: number) => {
    const encoder = device.createCommandEncoder()
    for (let i = 0; i < count; i++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes)
    const commands = encoder.finish()
    const started = performance.now()
    device.queue.submit([commands])
    await device.queue.onSubmittedWorkDone()
    return performance.now() - started
  }
  try {
    await copies(1)
    // Both measurements include waiting for the result, so it cancels in their difference.
    const [one, all] = [await copies(1), await copies(repeats + 1)]
    return (2 * bytes * repeats) / (Math.max(all - one, 1e-3) / 1e3)
  } finally {
    pool.give(from)
    pool.give(to)
  }
}
