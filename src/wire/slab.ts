/**
 * Memory for small answers: cut from one piece after the other, like Node's own pool of buffers, but at multiples of 8
 * and with a view of its floats, so that writing an answer makes one view and not one a tensor.
 */

/** What is cut from, and the most that one cut may take; anything larger gets memory of its own. */
const [SLAB_BYTES, MOST_BYTES] = [64 * 1024, 16 * 1024]

/** A cut: `length` bytes from `start`. */
export interface Cut {
  /** The whole slab. */
  readonly bytes: Buffer
  readonly floats: Float32Array
  readonly start: number
}

let bytes: Buffer = Buffer.alloc(0)
let floats: Float32Array = new Float32Array(0)
let used = 0

/**
 * Room for an answer, not cleared.
 *
 * @example
 * const { floats, start } = cut(1024)
 * floats.set(gradient, start / 4)
 */
export function cut(length: number): Cut {
  if (length > MOST_BYTES) return { ...slabOf(length), start: 0 }
  if (used + length > bytes.length) {
    const slab = slabOf(SLAB_BYTES)
    bytes = slab.bytes
    floats = slab.floats
    used = 0
  }
  const start = used
  used += (length + 7) & ~7
  return { bytes, floats, start }
}

function slabOf(length: number): Omit<Cut, 'start'> {
  const slab = Buffer.allocUnsafeSlow((length + 7) & ~7)
  return { bytes: slab, floats: new Float32Array(slab.buffer) }
}
