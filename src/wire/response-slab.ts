/** A slab allocator with free lists for response bodies, aligned to 8 bytes and with a float view of the memory. */

/** The size of a shared slab, and the largest response that is cut from one. */
const [SLAB_BYTES, MOST_BYTES] = [64 * 1024, 16 * 1024]
/** The largest slab that is reused, and the maximum size of all slabs on the free lists. */
const [LARGEST_BYTES, IDLE_BYTES] = [1024 * 1024, 8 * 1024 * 1024]

interface Slab {
  readonly bytes: Buffer
  readonly floats: Float32Array
}

/** An allocation: `length` bytes from `start`. */
export interface Allocation extends Slab {
  readonly start: number
}

let current: Slab = slabOf(0)
let used = 0

/** Free lists by size. The last slab is reused first, because it may still be in the CPU cache. */
const idle = new Map<number, Slab[]>()
let idleBytes = 0
/** Slabs that are borrowed. If one is not returned, the garbage collector frees it. */
const lent = new WeakMap<ArrayBufferLike, Slab>()

/**
 * Memory for a response, not cleared. Small responses are cut from a shared slab, like Node's own buffer pool, so that
 * writing a response creates one view instead of one per tensor. Larger ones borrow a whole slab and return it to a free
 * list: allocating a fresh one for every response would keep the garbage collector busy all the time.
 *
 * @example
 * const { floats, start } = allocate(1024)
 * floats.set(gradient, start / 4)
 */
export function allocate(length: number): Allocation {
  if (length > MOST_BYTES) return cutOf(lend(length), 0)
  if (used + length > current.bytes.length) {
    current = slabOf(SLAB_BYTES)
    used = 0
  }
  const start = used
  used += (length + 7) & ~7
  return cutOf(current, start)
}

/** Written out, because copying the members with a spread takes longer than everything else here. */
function cutOf({ bytes, floats }: Slab, start: number): Allocation {
  return { bytes, floats, start }
}

/** Call this when the response has been sent. Parts that were not borrowed are ignored. */
export function releaseChunks(parts: readonly Uint8Array[]) {
  for (const { buffer } of parts) {
    const slab = lent.get(buffer)
    if (slab === undefined) continue
    lent.delete(buffer)
    if (idleBytes + slab.bytes.length > IDLE_BYTES) continue
    idleBytes += slab.bytes.length
    idleOf(slab.bytes.length).push(slab)
  }
}

/** Bytes of memory that a response occupies until it is released. */
export function retainedBytes(parts: readonly Uint8Array[]): number {
  let bytes = 0
  for (const part of parts) {
    bytes += part.length > MOST_BYTES ? sizeOf(part) : part.length
  }
  return bytes
}

/**
 * The whole buffer if it was allocated for this part. The engine's memory is shared, so only the part itself
 * counts.
 */
function sizeOf({ length, buffer }: Uint8Array): number {
  const whole = lent.has(buffer) || length > LARGEST_BYTES ? buffer.byteLength : length
  return whole > 2 * length ? length : whole
}

function lend(length: number): Slab {
  if (length > LARGEST_BYTES) return slabOf(length)
  // The next power of two, so that responses of similar size share slabs.
  const size = 2 ** Math.ceil(Math.log2(length))
  const known = idleOf(size).pop()
  if (known !== undefined) idleBytes -= size
  const slab = known ?? slabOf(size)
  lent.set(slab.bytes.buffer, slab)
  return slab
}

function idleOf(size: number): Slab[] {
  const known = idle.get(size) ?? []
  idle.set(size, known)
  return known
}

function slabOf(length: number): Slab {
  const bytes = Buffer.allocUnsafeSlow((length + 7) & ~7)
  return { bytes, floats: new Float32Array(bytes.buffer) }
}
