/**
 * Memory for answers, at multiples of 8 and with a view of its floats. Small ones are cut from one piece after the other,
 * like Node's own pool of buffers, so that writing an answer makes one view and not one a tensor. Larger ones are lent
 * whole and come back: fresh ones for every answer would be so many bytes that the collector never rests.
 */

/** What small ones are cut from, and the most that one of them may take. */
const [SLAB_BYTES, MOST_BYTES] = [64 * 1024, 16 * 1024]
/** The largest that is lent again, and all that waits to be. */
const [LARGEST_BYTES, IDLE_BYTES] = [1024 * 1024, 8 * 1024 * 1024]

interface Slab {
  readonly bytes: Buffer
  readonly floats: Float32Array
}

/** A cut: `length` bytes from `start`. */
export interface Allocation extends Slab {
  readonly start: number
}

let current: Slab = slabOf(0)
let used = 0

/** By their size; the last one is the next, for it may still be in the processor's cache. */
const idle = new Map<number, Slab[]>()
let idleBytes = 0
/** Those that are out; who does not give them back leaves them to the collector. */
const lent = new WeakMap<ArrayBufferLike, Slab>()

/**
 * Room for an answer, not cleared.
 *
 * @example
 * const { floats, start } = cut(1024)
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

/** Written out: copying the members takes longer than all else here. */
function cutOf({ bytes, floats }: Slab, start: number): Allocation {
  return { bytes, floats, start }
}

/** To be called when nobody reads an answer any more; what was not lent is none of it. */
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

/** Bytes that an answer holds until it is given back. */
export function heldBy(parts: readonly Uint8Array[]): number {
  let bytes = 0
  for (const part of parts) {
    bytes += part.length > MOST_BYTES ? sizeOf(part) : part.length
  }
  return bytes
}

/** All of a piece that was made for it; the engine's memory is shared. */
function sizeOf({ length, buffer }: Uint8Array): number {
  const whole = lent.has(buffer) || length > LARGEST_BYTES ? buffer.byteLength : length
  return whole > 2 * length ? length : whole
}

function lend(length: number): Slab {
  if (length > LARGEST_BYTES) return slabOf(length)
  // The next power of two, so that answers of about the same size share memory.
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
