/** Frames of LZ4 (lz4_Frame_format.md), which Arrow compresses buffers with. */

const MAGIC = 0x184d2204
const UNCOMPRESSED = 0x80000000

/**
 * @param length of what comes out, which must be exactly that
 * @throws Error for bytes that are not such a frame
 */
export function fromLz4(bytes: Buffer, length: number): Buffer {
  const out = Buffer.allocUnsafeSlow(length)
  let at = startOf(bytes)
  const hasChecksums = (bytes[4] & 0x10) !== 0
  let end = 0
  for (;;) {
    const word = bytes.readUInt32LE(at)
    at += 4
    if (word === 0) break
    const size = word % UNCOMPRESSED
    if (at + size > bytes.length) throw new Error('compressed data are cut off')
    const block = bytes.subarray(at, at + size)
    end = word >= UNCOMPRESSED ? copyBlock(block, out, end) : expandBlock(block, out, end)
    at += size + (hasChecksums ? 4 : 0)
  }
  if (end !== length) throw new Error('compressed data are shorter than they say')
  return out
}

/** Where the first block is. */
function startOf(bytes: Buffer): number {
  if (bytes.length < 11 || bytes.readUInt32LE(0) !== MAGIC || bytes[4] >> 6 !== 1)
    throw new Error('compressed data are not LZ4')
  const hasSize = (bytes[4] & 0x08) !== 0
  const hasDictionary = (bytes[4] & 0x01) !== 0
  return 7 + (hasSize ? 8 : 0) + (hasDictionary ? 4 : 0)
}

function copyBlock(block: Buffer, out: Buffer, end: number): number {
  if (end + block.length > out.length) throw tooLong()
  block.copy(out, end)
  return end + block.length
}

function expandBlock(block: Buffer, out: Buffer, start: number): number {
  let [at, end] = [0, start]
  const lengthOf = (short: number) => {
    let length = short
    if (short !== 15) return length
    for (let more = 255; more === 255; length += more) more = byteAt(block, at++)
    return length
  }
  while (at < block.length) {
    const token = block[at++]
    const literals = lengthOf(token >> 4)
    if (at + literals > block.length) throw new Error('compressed data are cut off')
    if (end + literals > out.length) throw tooLong()
    block.copy(out, end, at, at + literals)
    at += literals
    end += literals
    // The last sequence has only literals.
    if (at === block.length) break
    const distance = byteAt(block, at) + 256 * byteAt(block, at + 1)
    at += 2
    const length = lengthOf(token & 15) + 4
    if (distance === 0 || distance > end) throw new Error('compressed data refer to what is not there')
    if (end + length > out.length) throw tooLong()
    // Byte by byte where both overlap: what is copied is then copied again.
    if (distance >= length) out.copyWithin(end, end - distance, end - distance + length)
    else for (let i = 0; i < length; i++) out[end + i] = out[end + i - distance]
    end += length
  }
  return end
}

function byteAt(block: Buffer, at: number): number {
  if (at < block.length) return block[at]
  throw new Error('compressed data are cut off')
}

function tooLong() {
  return new Error('compressed data are longer than they say')
}
