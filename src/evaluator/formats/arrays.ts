/** Arrays of equal length as a table: what npz and safetensors hold. */
import { cut } from '../../errors.ts'
import { sizeOf } from '../../tensor.ts'
import type { ColumnRows, ColumnType, Table, TableColumn } from './define.ts'
import { bytesOf, type Element, isLong, swap, widen } from './elements.ts'
import type { FileBytes } from './file-bytes.ts'

/** An array in a file. */
export interface StoredArray {
  readonly name: string
  readonly file: FileBytes
  /** Where its elements begin. */
  readonly offset: number
  readonly shape: readonly number[]
  readonly element: Element | 'bool' | TextElement
  readonly isBigEndian?: boolean
  /** Column by column. */
  readonly isFortran?: boolean
}

/** Texts of a fixed length: UTF-32 or bytes. */
export interface TextElement {
  readonly text: 'utf32' | 'latin1'
  readonly length: number
}

/** What is read of a column at once. */
const MOST_BYTES = 4 * 1024 * 1024
/** More would not fit into a row of DuckDB. */
const MOST_WIDTH = 100_000

export class ArrayTable implements Table {
  readonly columns: readonly TableColumn[]
  readonly rows: number
  readonly #arrays: readonly StoredArray[]
  readonly #close: () => void
  /** Of the widest column. */
  readonly #rowBytes: number

  /**
   * @param arrays single numbers among them are left out
   * @throws Error if they are not the columns of one table
   */
  constructor(arrays: readonly StoredArray[], close: () => void) {
    this.#arrays = arrays.filter(({ shape }) => shape.length > 0)
    this.#close = close
    this.rows = commonLength(this.#arrays)
    this.#rowBytes = Math.max(1, ...this.#arrays.map(rowBytesOf))
    this.columns = this.#arrays.map((array) => ({ name: array.name, type: typeOf(array) }))
    for (const { file, offset, name, shape, element } of this.#arrays) {
      const bytes = sizeOf(shape) * widthOf(element)
      if (!Number.isSafeInteger(bytes) || offset + bytes > file.size)
        throw new Error(`the array "${cut(name)}" of ${bytes} bytes does not fit into the file`)
    }
  }

  atOnce(from: number, most: number): number {
    return Math.max(1, Math.min(most, this.rows - from, Math.floor(MOST_BYTES / this.#rowBytes)))
  }

  read(column: number, from: number, count: number): ColumnRows {
    const array = this.#arrays[column]
    const { element, shape } = array
    const { type } = this.columns[column]
    if (type.kind === 'other') return { texts: new Array<null>(count).fill(null) }
    if (typeof element === 'object') return { texts: textsOf(this.#bytes(array, from, count), element) }
    if (element === 'bool')
      return { booleans: [...this.#bytes(array, from, count)].map((byte) => byte !== 0) }
    if (shape.length === 1) return { numbers: this.#numbers(array, element, from, count) }
    return {
      flat: array.isFortran
        ? this.#transposed(array, element, from, count)
        : this.#rowsOf(array, element, from, count),
    }
  }

  close(): void {
    this.#close()
  }

  #rowsOf(array: StoredArray, element: Element, from: number, count: number): Float64Array {
    const width = array.shape[1]
    return this.#numbers(array, element, from * width, count * width)
  }

  #transposed(array: StoredArray, element: Element, from: number, count: number): Float64Array {
    const [rows, width] = array.shape
    const flat = new Float64Array(count * width)
    for (let place = 0; place < width; place++) {
      const own = this.#numbers(array, element, place * rows + from, count)
      for (let i = 0; i < count; i++) flat[i * width + place] = own[i]
    }
    return flat
  }

  #numbers(array: StoredArray, element: Element, from: number, count: number): Float64Array {
    return widen(element, this.#bytes(array, from, count))
  }

  #bytes({ file, offset, element, isBigEndian }: StoredArray, from: number, count: number): Buffer {
    const width = widthOf(element)
    const bytes = file.read(offset + from * width, count * width)
    return isBigEndian ? swap(bytes, typeof element === 'object' ? 4 : width) : bytes
  }
}

function widthOf(element: StoredArray['element']): number {
  if (typeof element === 'object') return element.length * (element.text === 'utf32' ? 4 : 1)
  return element === 'bool' ? 1 : bytesOf(element)
}

function rowBytesOf({ element, shape: [, width = 1] }: StoredArray): number {
  return widthOf(element) * width
}

function typeOf({ shape, element }: StoredArray): ColumnType {
  if (shape.length === 1) return columnTypeOf(element)
  const isList = shape.length === 2 && shape[1] > 0 && shape[1] <= MOST_WIDTH
  if (isList && element !== 'bool' && typeof element === 'string') return { kind: 'list', length: shape[1] }
  return { kind: 'other', type: `${typeof element === 'string' ? element : 'text'}[${shape.join(', ')}]` }
}

function columnTypeOf(element: StoredArray['element']): ColumnType {
  if (typeof element === 'object') return { kind: 'text' }
  return element === 'bool' ? { kind: 'boolean' } : { kind: 'number', isLong: isLong(element) }
}

function commonLength(arrays: readonly StoredArray[]): number {
  if (arrays.length === 0) throw new Error('there are no arrays in it')
  const [first] = arrays
  const other = arrays.find(({ shape }) => shape[0] !== first.shape[0])
  if (other === undefined) return first.shape[0]
  throw new Error(
    `its arrays must have equally many rows: "${cut(first.name)}" has ${first.shape[0]}, "${cut(other.name)}" has ${other.shape[0]}`,
  )
}

function textsOf(bytes: Buffer, { text, length }: TextElement): string[] {
  const width = text === 'utf32' ? 4 * length : length
  const count = width === 0 ? 0 : bytes.length / width
  return Array.from({ length: count }, (_, i) => {
    const own = bytes.subarray(i * width, (i + 1) * width)
    return (text === 'utf32' ? fromUtf32(own) : own.toString('latin1')).replace(/\0+$/, '')
  })
}

function fromUtf32(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    const point = bytes.readUInt32LE(at)
    if (point > 0x10ffff) throw new Error('a text is not UTF-32')
    text += String.fromCodePoint(point)
  }
  return text
}
