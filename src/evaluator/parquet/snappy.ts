/**
 * Snappy, the compression that most writers of Parquet choose.
 *
 * @see https://github.com/google/snappy/blob/main/format_description.txt
 */

/** Below this, a loop is faster than a call that moves bytes. */
const FEW = 24

/**
 * @param into as long as the result
 * @throws Error if these bytes are not that much data
 */
export function decompressSnappy(from: Uint8Array, into: Uint8Array): void {
  let at = lengthOfLength(from)
  let to = 0
  const end = from.length
  const size = into.length
  while (at < end) {
    const tag = from[at++]
    const kind = tag & 3
    let length: number
    if (kind === 0) {
      length = (tag >>> 2) + 1
      if (length > 60) {
        const bytes = length - 60
        length = (little(from, at, bytes) >>> 0) + 1
        at += bytes
      }
      if (at + length > end || to + length > size) throw damaged()
      if (length > FEW) into.set(from.subarray(at, at + length), to)
      else for (let i = 0; i < length; i++) into[to + i] = from[at + i]
      at += length
      to += length
      continue
    }
    let offset: number
    if (kind === 1) {
      length = ((tag >>> 2) & 7) + 4
      offset = ((tag >>> 5) << 8) | from[at++]
    } else {
      const bytes = kind === 2 ? 2 : 4
      length = (tag >>> 2) + 1
      offset = little(from, at, bytes) >>> 0
      at += bytes
    }
    // NaN where the bytes end early.
    if (!(offset > 0 && offset <= to && to + length <= size)) throw damaged()
    if (length > FEW && offset >= length) into.copyWithin(to, to - offset, to - offset + length)
    else for (let i = 0; i < length; i++) into[to + i] = into[to - offset + i]
    to += length
  }
  if (to !== size) throw damaged()
}

function lengthOfLength(from: Uint8Array): number {
  let at = 0
  while (from[at] >= 128) at++
  return at + 1
}

function little(from: Uint8Array, at: number, bytes: number): number {
  let value = 0
  for (let i = 0; i < bytes; i++) value |= from[at + i] << (8 * i)
  return value
}

const damaged = () => new Error('compressed data is damaged')
