/** Hashes and random numbers that are the same on every machine. */

/** A hash of 32 bits (the finalizer of MurmurHash3). */
export function mix(word: number): number {
  let h = word | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/**
 * The hashes of rows that follow each other. In one loop, because a call for each of them would take longer than the
 * hash.
 *
 * @param hashes where they are written, from `at` on
 */
export function hashRows(first: number, count: number, seed: number, hashes: Uint32Array, at: number): void {
  const low = first >>> 0
  const high = Math.floor(first / 2 ** 32)
  for (let i = 0; i < count; i++) {
    const word = (low + i) >>> 0
    const above = Math.imul((word < low ? high + 1 : high) + 1, 0x9e3779b1)
    hashes[at + i] = mix((mix(word ^ seed) + above) | 0)
  }
}

/** A hash of a text (FNV-1a, mixed once more). */
export function hashOfText(text: string, seed: number): number {
  let h = 0x811c9dc5 ^ seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return mix(h)
}

/** Random integers of 32 bits (sfc32). */
export function randomWords(seed: number): () => number {
  let [a, b, c, d] = [mix(seed), mix(seed + 1), mix(seed + 2), 1]
  const next = () => {
    const t = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + t
    c |= 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  return next
}
