/** Content hashing of arrays, so that equal class weights are recognized without comparing them. */
import { createHash } from 'node:crypto'
import type { NumericArray } from '../tensor.ts'

/** SHA-256 in hex. A collision would give one client the weights of another. */
export function digest(data: NumericArray): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
}
