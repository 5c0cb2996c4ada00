/** What the end of a Parquet file says about it: columns, row groups, and where the pages of each are. */
import { closeSync, fstatSync, readSync } from 'node:fs'
import { openFile } from '../formats/file-bytes.ts'
import { type Struct, ThriftReader, type Value } from './thrift.ts'

/** The file has something that this reader does not know. DuckDB then reads it. */
export class NotReadHere extends Error {
  override readonly name = 'NotReadHere'
}

/** How values are stored. */
export type Physical = 'BOOLEAN' | 'INT32' | 'INT64' | 'FLOAT' | 'DOUBLE' | 'BYTE_ARRAY'

/** A column: a tree at the top of the schema. This reader knows single values, and lists of them. */
export interface ParquetColumn {
  readonly name: string
  readonly physical: Physical | undefined
  /** As DuckDB calls it: `DOUBLE`, `VARCHAR`, `FLOAT[]`; undefined if this reader does not know it. */
  readonly type: string | undefined
  readonly isList: boolean
  /** Whether a row may have none. */
  readonly isOptional: boolean
  /** The level of a value that is there: how many of its ancestors might be missing. */
  readonly mostDefined: number
  /** Its place among the columns of a row group. */
  readonly leaf: number
}

/** The pages of a column in a row group. */
export interface ColumnChunk {
  readonly codec: number
  /** Values, with those that are missing. */
  readonly values: number
  readonly start: number
  readonly bytes: number
}

export interface RowGroup {
  readonly rows: number
  readonly chunks: readonly ColumnChunk[]
}

export interface ParquetFooter {
  readonly columns: readonly ParquetColumn[]
  readonly groups: readonly RowGroup[]
}

const MAGIC = 'PAR1'
const TAIL = 8
const MOST_FOOTER = 2 ** 28

/**
 * @returns undefined if this reader does not understand it
 * @example
 * readFooter('predictions.parquet')?.columns.map(({ name }) => name)
 */
export function readFooter(path: string, root?: string): ParquetFooter | undefined {
  let file: number | undefined
  try {
    file = openFile({ path, root })
    return footerOf(bytesOfFooter(file))
  } catch {
    // DuckDB says better what is wrong.
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function bytesOfFooter(file: number): Uint8Array {
  const { size } = fstatSync(file)
  const tail = bytesAt(file, size - TAIL, TAIL)
  const length = new DataView(tail.buffer).getUint32(0, true)
  if (new TextDecoder().decode(tail.subarray(4)) !== MAGIC || length > MOST_FOOTER || length > size - TAIL)
    throw new NotReadHere()
  return bytesAt(file, size - TAIL - length, length)
}

function bytesAt(file: number, place: number, length: number): Uint8Array {
  if (place < 0) throw new NotReadHere()
  const bytes = new Uint8Array(length)
  if (readSync(file, bytes, 0, length, place) !== length) throw new NotReadHere()
  return bytes
}

function footerOf(bytes: Uint8Array): ParquetFooter {
  const meta = new ThriftReader(bytes).struct()
  const columns = columnsOf(structs(meta.get(2)))
  const names = new Set(columns.map(({ name }) => name.toLowerCase()))
  // DuckDB would give them other names.
  if (names.size < columns.length) throw new NotReadHere()
  return { columns, groups: structs(meta.get(4)).map(groupOf) }
}

function groupOf(group: Struct): RowGroup {
  return { rows: Number(group.get(3)), chunks: structs(group.get(1)).map(chunkOf) }
}

function chunkOf(chunk: Struct): ColumnChunk {
  const meta = chunk.get(3) as Struct
  // Pages in another file, and encryption.
  if (chunk.has(1) || chunk.has(8) || meta === undefined) throw new NotReadHere()
  const [data, dictionary] = [Number(meta.get(9)), meta.get(11)]
  // Some writers put 0 where there is no dictionary.
  const start = typeof dictionary === 'number' && dictionary > 0 ? Math.min(dictionary, data) : data
  return { codec: Number(meta.get(4)), values: Number(meta.get(5)), start, bytes: Number(meta.get(7)) }
}

function structs(value: Value | undefined): Struct[] {
  return (value ?? []) as Struct[]
}

const TYPES: readonly (Physical | undefined)[] = [
  'BOOLEAN',
  'INT32',
  'INT64',
  undefined,
  'FLOAT',
  'DOUBLE',
  'BYTE_ARRAY',
]
const [OPTIONAL, REPEATED] = [1, 2]

/** The columns of the schema, which is a tree written in preorder. */
function columnsOf(schema: readonly Struct[]): ParquetColumn[] {
  const columns: ParquetColumn[] = []
  let [at, leaf] = [1, 0]
  for (let i = 0; i < childrenOf(schema[0]); i++) {
    const end = endOf(schema, at)
    columns.push(columnOf(schema.slice(at, end), leaf))
    leaf += schema.slice(at, end).filter((element) => childrenOf(element) === 0).length
    at = end
  }
  return columns
}

/** Where the next element begins that is not below this one. */
function endOf(schema: readonly Struct[], at: number): number {
  let end = at + 1
  for (let i = 0; i < childrenOf(schema[at]); i++) end = endOf(schema, end)
  return end
}

/** @param tree the elements of the column */
function columnOf(tree: readonly Struct[], leaf: number): ParquetColumn {
  const name = nameOf(tree[0])
  const isList = isListOf(tree)
  const element = tree.at(-1)!
  const type = tree.length === 1 || isList ? typeOf(element) : undefined
  return {
    name,
    physical: TYPES[Number(element.get(1))],
    type: type === undefined || repetitionOf(tree[0]) === REPEATED ? undefined : isList ? `${type}[]` : type,
    isList,
    isOptional: repetitionOf(tree[0]) === OPTIONAL,
    mostDefined: tree.filter((one) => repetitionOf(one) === OPTIONAL).length + Number(isList),
    leaf,
  }
}

/** A group of one repeated group of one value. */
function isListOf(tree: readonly Struct[]): boolean {
  const [top, middle, element] = tree
  if (tree.length !== 3 || childrenOf(top) !== 1 || childrenOf(middle) !== 1) return false
  return repetitionOf(middle) === REPEATED && repetitionOf(element) !== REPEATED
}

/** The converted types of integers, from 8 to 64 bits. */
const UNSIGNED = ['UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT']
const SIGNED = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT']
const [UTF8, DATE, FIRST_UNSIGNED, FIRST_SIGNED] = [0, 6, 11, 15]
/** Fields of the union of logical types. */
const LOGICAL = { string: 1, date: 6, integer: 10 } as const

/** @returns undefined if this reader does not know it */
function typeOf(leaf: Struct): string | undefined {
  const physical = TYPES[Number(leaf.get(1))]
  const [converted, logical] = [leaf.get(6) as number | undefined, leaf.get(10) as Struct | undefined]
  const is = (one: number, other: number) =>
    converted === one || (converted === undefined && logical?.has(other) === true)
  if (physical === undefined) return undefined
  if (physical === 'BYTE_ARRAY') return is(UTF8, LOGICAL.string) ? 'VARCHAR' : undefined
  if (physical === 'INT32' && is(DATE, LOGICAL.date)) return 'DATE'
  if (converted === undefined && logical === undefined) return PLAIN[physical]
  if (physical !== 'INT32' && physical !== 'INT64') return undefined
  if (converted !== undefined) return UNSIGNED[converted - FIRST_UNSIGNED] ?? SIGNED[converted - FIRST_SIGNED]
  const integer = logical!.get(LOGICAL.integer) as Struct | undefined
  const place = [8, 16, 32, 64].indexOf(Number(integer?.get(1)))
  return integer === undefined ? undefined : (integer.get(2) === true ? SIGNED : UNSIGNED)[place]
}

const PLAIN: Readonly<Record<Exclude<Physical, 'BYTE_ARRAY'>, string>> = {
  BOOLEAN: 'BOOLEAN',
  INT32: 'INTEGER',
  INT64: 'BIGINT',
  FLOAT: 'FLOAT',
  DOUBLE: 'DOUBLE',
}

function nameOf(element: Struct): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(element.get(4) as Uint8Array)
}

function childrenOf(element: Struct): number {
  return Number(element.get(5) ?? 0)
}

function repetitionOf(element: Struct): number {
  return Number(element.get(3) ?? 0)
}
