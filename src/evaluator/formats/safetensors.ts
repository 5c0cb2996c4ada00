import { sizeOf } from '../../tensor.ts'
import { DTYPE_OF_CODE } from '../../wire/safetensors/dtype-codes.ts'
import { ArrayTable, type StoredArray } from './arrays.ts'
import type { FormatDefinition, Source, Table } from './define.ts'
import { bytesOf, type Element } from './elements.ts'
import { FileBytes } from './file-bytes.ts'

/** Those of requests, and those that only files have. */
const DTYPES: ReadonlyMap<string, Element | 'bool'> = new Map<string, Element | 'bool'>([
  ...DTYPE_OF_CODE,
  ['I16', 'int16'],
  ['I8', 'int8'],
  ['U64', 'uint64'],
  ['U32', 'uint32'],
  ['U16', 'uint16'],
])

/** A file of a few columns has a header of a few hundred bytes. */
const MOST_HEADER = 8 * 1024 * 1024

export default {
  name: 'safetensors',
  title: 'safetensors',
  extensions: ['.safetensors'],
  mediaTypes: ['application/safetensors', 'application/vnd.safetensors', 'application/x-safetensors'],
  reader: { open },
} satisfies FormatDefinition

async function open(source: Source): Promise<Table> {
  const file = FileBytes.open(source)
  try {
    return new ArrayTable(arraysOf(file), () => file.close())
  } catch (error) {
    file.close()
    throw error
  }
}

function arraysOf(file: FileBytes): StoredArray[] {
  const length = file.size < 8 ? 0 : Number(file.read(0, 8).readBigUInt64LE())
  if (length < 2 || length > Math.min(MOST_HEADER, file.size - 8))
    throw new Error('it is not a safetensors file: its first 8 bytes are not the length of a header')
  const header = parsed(file.read(8, length).toString('utf8'))
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__')
  return entries.map(([name, entry]) => arrayOf(name, entry as Partial<Entry>, file, 8 + length))
}

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

function parsed(text: string): object {
  try {
    const header: unknown = JSON.parse(text)
    if (typeof header === 'object' && header !== null) return header
  } catch {}
  throw new Error('it is not a safetensors file: its header is not JSON')
}

function arrayOf(
  name: string,
  { dtype = '', shape, data_offsets }: Partial<Entry>,
  file: FileBytes,
  start: number,
): StoredArray {
  const element = DTYPES.get(dtype)
  if (element === undefined)
    throw new Error(`the tensor "${name}" has the dtype ${dtype}, which is not supported`)
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0)
  const [from = Number.NaN, to = Number.NaN] = Array.isArray(data_offsets) ? data_offsets : []
  const bytes = isShape ? sizeOf(shape) * (element === 'bool' ? 1 : bytesOf(element)) : Number.NaN
  if (!(Number.isSafeInteger(from) && from >= 0 && to - from === bytes))
    throw new Error(`the tensor "${name}" does not have the place that its shape needs`)
  return { name, file, offset: start + from, shape: shape!, element }
}
