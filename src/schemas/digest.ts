/** A fingerprint of an array's content, so that equal class weights are recognised without being compared. */
import { createHash } from 'node:crypto'
import type { NumericArray } from '../tensor.ts'

/** SHA-256 in hex: a collision would hand one caller another's weights. */
export function digest(data: NumericArray): string {
  return createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')
}
