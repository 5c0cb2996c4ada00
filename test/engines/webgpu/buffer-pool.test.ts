/**
 * The buffer pool: buffers are reused and bounded, and lack of memory is reported; on a fake device that can run out of
 * memory.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { OutOfMemory } from '../../../src/engines/contract.ts'
import { BufferPool, sizeClassOf } from '../../../src/engines/webgpu/buffer-pool.ts'

/** A fake device with this many bytes. It reports out of memory like Dawn: by its error scope, or at once for mapped buffers. */
class Device {
  readonly limits = { maxBufferSize: 2 ** 24, maxStorageBufferBindingSize: 2 ** 22 }
  readonly #bytes: number
  allocated = 0
  made = 0
  #failed = false

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  pushErrorScope() {
    this.#failed = false
  }

  async popErrorScope() {
    return this.#failed ? { message: 'out of memory' } : null
  }

  createBuffer({ size, mappedAtCreation }: { size: number; mappedAtCreation: boolean }) {
    if (this.allocated + size > this.#bytes) {
      this.#failed = true
      if (mappedAtCreation) throw new RangeError('createBuffer failed')
      return { size, mapState: 'unmapped', destroy: () => {} }
    }
    this.allocated += size
    this.made++
    const buffer = {
      size,
      mapState: mappedAtCreation ? 'mapped' : 'unmapped',
      unmap: () => {
        buffer.mapState = 'unmapped'
      },
      mapAsync: async () => {
        buffer.mapState = 'mapped'
      },
      destroy: () => {
        this.allocated -= size
      },
    }
    return buffer
  }
}

function poolOn(device: Device, memoryBytes = Number.POSITIVE_INFINITY, idleBytes = 2 ** 20): BufferPool {
  return new BufferPool(device as unknown as GPUDevice, { memoryBytes, idleBytes })
}

describe('the pool', () => {
  beforeAll(() => {
    const flags = { MAP_READ: 1, MAP_WRITE: 2, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 }
    Object.assign(globalThis, { GPUBufferUsage: flags, GPUMapMode: { READ: 1, WRITE: 2 } })
  })

  it('reuses a released buffer for the same role and size class', async () => {
    const device = new Device(2 ** 24)
    const pool = poolOn(device)
    const first = await pool.take('inputs', 9000)
    pool.give(first)
    expect(await pool.take('inputs', 9500)).toBe(first)
    expect(await pool.take('scratch', 9500)).not.toBe(first)
    expect(device.made).toBe(2)
  })

  it('reuses an upload buffer only when it is mapped', async () => {
    const pool = poolOn(new Device(2 ** 24))
    const first = await pool.take('upload', 100)
    pool.give(first)
    expect(await pool.take('upload', 100)).not.toBe(first)
    await Promise.resolve()
    expect(await pool.take('upload', 100)).toBe(first)
    expect(first.mapState).toBe('mapped')
  })

  it('evicts idle buffers above the limit, the least recently used first', async () => {
    const device = new Device(2 ** 24)
    const pool = poolOn(device, undefined, 2 ** 17)
    const taken = [
      await pool.take('inputs', 2 ** 16),
      await pool.take('scratch', 2 ** 16),
      await pool.take('results', 2 ** 16),
    ]
    for (const buffer of taken) pool.give(buffer)
    expect(pool.idleBytes).toBe(2 ** 17)
    expect(await pool.take('results', 2 ** 16)).toBe(taken[2])
    expect(await pool.take('inputs', 2 ** 16)).not.toBe(taken[0])
  })

  it.each(['scratch', 'upload'] as const)(
    'evicts idle buffers to make space for %s before it reports out of memory',
    async (use) => {
      const device = new Device(2 ** 17)
      const pool = poolOn(device)
      pool.give(await pool.take('inputs', 2 ** 17))
      expect((await pool.take(use, 2 ** 17)).size).toBe(2 ** 17)
      await expect(pool.take(use, 2 ** 16)).rejects.toBeInstanceOf(OutOfMemory)
      expect(device.allocated).toBe(2 ** 17)
    },
  )

  it('rejects what exceeds its own limit, or that of a binding', async () => {
    const pool = poolOn(new Device(2 ** 30), 2 ** 23)
    await expect(pool.take('inputs', 2 ** 22 + 4)).rejects.toBeInstanceOf(OutOfMemory)
    await pool.take('download', 2 ** 23)
    await expect(pool.take('words', 64)).rejects.toBeInstanceOf(OutOfMemory)
    expect(pool.used).toEqual({ count: 1, bytes: 2 ** 23 })
  })

  it('wastes at most a quarter through size classes', () => {
    for (const bytes of [5000, 8193, 65536, 70001, 1e6, 123456789]) {
      expect(sizeClassOf(bytes)).toBeGreaterThanOrEqual(bytes)
      expect(sizeClassOf(bytes)).toBeLessThanOrEqual(bytes * 1.25 + 4096)
      expect(sizeClassOf(bytes) % 4).toBe(0)
    }
  })
})
