/** Hashes and random numbers that are the same on every machine. */

/** A hash of 32 bits (the finalizer of MurmurHash3). */
export function mix(word: number): number {
  let h = word | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A hash of a row's number, which may be larger than 2^32. */
export function hashOfRow(row: number, seed: number): number {
  const high = Math.floor(row / 2 ** 32)
  return mix(mix((row >>> 0) ^ seed) + Math.imul(high + 1, 0x9e3779b1))
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
