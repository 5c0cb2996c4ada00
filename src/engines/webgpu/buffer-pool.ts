/**
 * A pool of the device's buffers, reused by later batches. Idle buffers are kept by role and size class, so that
 * few distinct sizes are created again and again. Its total size is bounded: idle buffers are destroyed first
 * (LRU), then launches are rejected.
 */
import { OutOfMemory } from '../contract.ts'

/** What a buffer is used for. */
export type BufferRole = 'inputs' | 'scratch' | 'results' | 'words' | 'upload' | 'download'

type Usage = 'MAP_READ' | 'MAP_WRITE' | 'COPY_SRC' | 'COPY_DST' | 'UNIFORM' | 'STORAGE'

const USAGES: Readonly<Record<BufferRole, readonly Usage[]>> = {
  inputs: ['STORAGE', 'COPY_DST', 'COPY_SRC'],
  scratch: ['STORAGE', 'COPY_DST'],
  results: ['STORAGE', 'COPY_SRC'],
  words: ['UNIFORM', 'COPY_DST'],
  upload: ['MAP_WRITE', 'COPY_SRC'],
  download: ['MAP_READ', 'COPY_DST'],
}

const BOUND_AS_STORAGE: ReadonlySet<BufferRole> = new Set(['inputs', 'scratch', 'results'])
const LEAST_BYTES = 4096

export interface PoolOptions {
  /** Maximum size of all buffers together, in bytes. */
  readonly memoryBytes: number
  /** Maximum size of idle buffers, in bytes. */
  readonly idleBytes: number
}

export class BufferPool {
  readonly #device: GPUDevice
  readonly #options: PoolOptions
  /** Least recently used first. An idle upload buffer is mapped, ready to be written. */
  readonly #idle = new Map<GPUBuffer, BufferRole>()
  readonly #used = new Map<GPUBuffer, BufferRole>()

  constructor(device: GPUDevice, options: PoolOptions) {
    this.#device = device
    this.#options = options
  }

  /** Number and size of the buffers in use. */
  get used(): { readonly count: number; readonly bytes: number } {
    return { count: this.#used.size, bytes: bytesOf(this.#used) }
  }

  get idleBytes(): number {
    return bytesOf(this.#idle)
  }

  /**
   * A buffer of at least this size. An upload buffer is mapped.
   *
   * @throws OutOfMemory if the device does not have this much memory, or it exceeds the limit of a binding
   */
  async take(use: BufferRole, bytes: number): Promise<GPUBuffer> {
    const wanted = sizeClassOf(bytes)
    const size = this.#limitOf(use) < wanted ? bytes : wanted
    if (size > this.#limitOf(use))
      throw new OutOfMemory(
        `${bytes} bytes of ${use} exceed the device's limit of ${this.#limitOf(use)} bytes per binding`,
      )
    const known = [...this.#idle].find(([buffer, own]) => own === use && buffer.size === size)?.[0]
    const buffer = known ?? (await this.#make(use, size))
    this.#idle.delete(buffer)
    this.#used.set(buffer, use)
    return buffer
  }

  /** Returns a buffer. The device itself waits for commands that still use it. */
  give(buffer: GPUBuffer) {
    const use = this.#used.get(buffer)
    if (use === undefined) return
    this.#used.delete(buffer)
    if (use === 'upload') void this.#mapAgain(buffer)
    else if (buffer.mapState === 'pending') buffer.destroy()
    else this.#rest(buffer, use)
  }

  /** An upload buffer becomes idle when the device has read it and it can be written again. */
  async #mapAgain(buffer: GPUBuffer) {
    try {
      // A launch that failed may have left it mapped, and a mapped range can be obtained only once.
      if (buffer.mapState === 'mapped') buffer.unmap()
      await buffer.mapAsync(GPUMapMode.WRITE)
      this.#rest(buffer, 'upload')
    } catch {
      // The device is lost, or the pool is closed; the buffer no longer exists.
      buffer.destroy()
    }
  }

  #rest(buffer: GPUBuffer, use: BufferRole) {
    this.#idle.set(buffer, use)
    this.#trim(this.#options.idleBytes)
  }

  #limitOf(use: BufferRole): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits
    return BOUND_AS_STORAGE.has(use) ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize
  }

  async #make(use: BufferRole, size: number): Promise<GPUBuffer> {
    const { memoryBytes } = this.#options
    const used = bytesOf(this.#used)
    if (used + size > memoryBytes)
      throw new OutOfMemory(`${used + size} bytes of buffers, the limit is ${memoryBytes}`)
    this.#trim(memoryBytes - used - size)
    const made = await this.#tryMake(use, size)
    if (made !== undefined) return made
    this.#trim(0)
    const again = await this.#tryMake(use, size)
    if (again === undefined) throw new OutOfMemory(`the device has no ${size} bytes left for ${use}`)
    return again
  }

  async #tryMake(use: BufferRole, size: number): Promise<GPUBuffer | undefined> {
    const usage = USAGES[use].reduce((bits, name) => bits | GPUBufferUsage[name], 0)
    this.#device.pushErrorScope('out-of-memory')
    let buffer: GPUBuffer | undefined
    try {
      buffer = this.#device.createBuffer({ size, usage, mappedAtCreation: use === 'upload' })
    } catch (error) {
      // Mapped memory is allocated immediately, and throws if there is none.
      if (!(error instanceof RangeError)) throw error
    }
    if ((await this.#device.popErrorScope()) === null) return buffer
    buffer?.destroy()
    return undefined
  }

  #trim(most: number) {
    let bytes = bytesOf(this.#idle)
    for (const buffer of this.#idle.keys()) {
      if (bytes <= most) return
      this.#idle.delete(buffer)
      bytes -= buffer.size
      buffer.destroy()
    }
  }

  close() {
    for (const buffer of [...this.#idle.keys(), ...this.#used.keys()]) buffer.destroy()
    this.#idle.clear()
    this.#used.clear()
  }
}

function bytesOf(buffers: ReadonlyMap<GPUBuffer, BufferRole>): number {
  let bytes = 0
  for (const { size } of buffers.keys()) bytes += size
  return bytes
}

/**
 * Size classes: four between consecutive powers of two.
 *
 * @example
 * sizeClassOf(9000) // 10240
 */
export function sizeClassOf(bytes: number): number {
  if (bytes <= LEAST_BYTES) return LEAST_BYTES
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2)
  return Math.ceil(bytes / step) * step
}
