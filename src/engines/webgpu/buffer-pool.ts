/**
 * The device's buffers, kept for the next batch: by what they are for and by size class, so that few sizes are made again
 * and again. Bounded: beyond its limit a launch is refused, and what lies idle goes first.
 */
import { OutOfMemory } from '../contract.ts'

/** What a buffer is for. */
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
  /** Most bytes of all buffers together. */
  readonly memoryBytes: number
  /** Most bytes that lie idle. */
  readonly idleBytes: number
}

export class BufferPool {
  readonly #device: GPUDevice
  readonly #options: PoolOptions
  /** From the one unused for longest on. An idle upload buffer is mapped, ready to be written. */
  readonly #idle = new Map<GPUBuffer, BufferRole>()
  readonly #used = new Map<GPUBuffer, BufferRole>()

  constructor(device: GPUDevice, options: PoolOptions) {
    this.#device = device
    this.#options = options
  }

  /** Buffers in use and their bytes. */
  get used(): { readonly count: number; readonly bytes: number } {
    return { count: this.#used.size, bytes: bytesOf(this.#used) }
  }

  get idleBytes(): number {
    return bytesOf(this.#idle)
  }

  /**
   * A buffer of at least so many bytes; one for upload is mapped.
   *
   * @throws OutOfMemory when the device has not so many, or one binding cannot hold them
   */
  async take(use: BufferRole, bytes: number): Promise<GPUBuffer> {
    const wanted = sizeClassOf(bytes)
    const size = this.#limitOf(use) < wanted ? bytes : wanted
    if (size > this.#limitOf(use))
      throw new OutOfMemory(`${bytes} bytes of ${use}, the device binds ${this.#limitOf(use)}`)
    const known = [...this.#idle].find(([buffer, own]) => own === use && buffer.size === size)?.[0]
    const buffer = known ?? (await this.#make(use, size))
    this.#idle.delete(buffer)
    this.#used.set(buffer, use)
    return buffer
  }

  /** Gives a buffer back; what still runs on it is waited for by the device itself. */
  give(buffer: GPUBuffer) {
    const use = this.#used.get(buffer)
    if (use === undefined) return
    this.#used.delete(buffer)
    if (use === 'upload') void this.#mapAgain(buffer)
    else if (buffer.mapState === 'pending') buffer.destroy()
    else this.#rest(buffer, use)
  }

  /** An upload buffer counts as idle when the device has read it, and it can be written again. */
  async #mapAgain(buffer: GPUBuffer) {
    try {
      // A launch that failed may have left it mapped, and its memory is handed out only once.
      if (buffer.mapState === 'mapped') buffer.unmap()
      await buffer.mapAsync(GPUMapMode.WRITE)
      this.#rest(buffer, 'upload')
    } catch {
      // The device is lost, or the pool is closed: the buffer went with it.
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
    if (again === undefined) throw new OutOfMemory(`the device has no ${size} bytes for ${use}`)
    return again
  }

  async #tryMake(use: BufferRole, size: number): Promise<GPUBuffer | undefined> {
    const usage = USAGES[use].reduce((bits, name) => bits | GPUBufferUsage[name], 0)
    this.#device.pushErrorScope('out-of-memory')
    let buffer: GPUBuffer | undefined
    try {
      buffer = this.#device.createBuffer({ size, usage, mappedAtCreation: use === 'upload' })
    } catch (error) {
      // Mapped memory is taken at once, and its lack thrown.
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
 * Four classes between one power of two and the next.
 *
 * @example
 * sizeClassOf(9000) // 10240
 */
export function sizeClassOf(bytes: number): number {
  if (bytes <= LEAST_BYTES) return LEAST_BYTES
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 2)
  return Math.ceil(bytes / step) * step
}
