/** The header of an array of NumPy (numpy/lib/format.py). */
import type { StoredArray } from './arrays.ts'
import type { Element } from './elements.ts'

export interface NpyHeader extends Pick<StoredArray, 'shape' | 'element' | 'isBigEndian' | 'isFortran'> {
  /** Where its elements begin. */
  readonly length: number
}

const MAGIC = '\x93NUMPY'
/** More than the header of any array that has no fields. */
export const MOST_NPY_HEADER = 64 * 1024

const KINDS: Readonly<Record<string, Element | 'bool'>> = {
  f8: 'float64',
  f4: 'float32',
  f2: 'float16',
  i8: 'int64',
  i4: 'int32',
  i2: 'int16',
  i1: 'int8',
  u8: 'uint64',
  u4: 'uint32',
  u2: 'uint16',
  u1: 'uint8',
  b1: 'bool',
}

/**
 * @param bytes at least the header
 * @throws Error
 */
export function readNpyHeader(bytes: Buffer): NpyHeader {
  if (bytes.subarray(0, 6).toString('latin1') !== MAGIC) throw new Error('it is not an array of NumPy')
  const isLong = bytes[6] >= 2
  const start = isLong ? 12 : 10
  const length = start + (isLong ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  if (length > bytes.length) throw new Error('the header of an array is too long, or cut off')
  const text = bytes.subarray(start, length).toString(bytes[6] >= 3 ? 'utf8' : 'latin1')
  const descr = /'descr':\s*'([<>|=])([a-zA-Z])(\d+)'/.exec(text)
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text)
  if (shape === null || !/'fortran_order':\s*(True|False)/.test(text))
    throw new Error('the header of an array is not what NumPy writes')
  if (descr === null) throw new Error('an array has fields or objects, which cannot be read')
  const [, order, kind, size] = descr
  return {
    length,
    shape: shape[1].split(',').flatMap((part) => (part.trim() === '' ? [] : [Number(part)])),
    element: elementOf(kind, Number(size)),
    isBigEndian: order === '>',
    isFortran: /'fortran_order':\s*True/.test(text),
  }
}

function elementOf(kind: string, size: number): StoredArray['element'] {
  if (kind === 'U' && size > 0) return { text: 'utf32', length: size }
  if (kind === 'S' && size > 0) return { text: 'latin1', length: size }
  const element = KINDS[`${kind}${size}`]
  if (element === undefined) throw new Error(`an array has the dtype ${kind}${size}, which cannot be read`)
  return element
}
