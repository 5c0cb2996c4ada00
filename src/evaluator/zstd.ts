/** Zstandard. Node has it from 22.15 on only. */
import { decompress } from 'fzstd'

/** @throws Error if these bytes are not that much data */
export function fromZstd(bytes: Uint8Array, into: Uint8Array): void {
  if (decompress(bytes, into).length !== into.length)
    throw new Error('compressed data are not as long as they say')
}
