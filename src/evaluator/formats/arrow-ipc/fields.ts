/** The columns that the schema of Arrow declares, and where their buffers are in every record batch. */
import type { Element } from '../elements.ts'
import type { FlatTable } from './flatbuffer.ts'

/** How the buffers of a column are read. */
export type FieldType =
  | { readonly kind: 'number'; readonly element: Element }
  | { readonly kind: 'boolean' }
  /** Offsets of 4 or 8 bytes. */
  | { readonly kind: 'text'; readonly offset: 4 | 8 }
  /** Days or fractions of seconds since 1970, read as texts. */
  | { readonly kind: 'time'; readonly element: 'int32' | 'int64'; readonly perSecond: number | 'days' }
  | { readonly kind: 'list'; readonly offset: 4 | 8; readonly element: Element }
  | { readonly kind: 'fixed list'; readonly length: number; readonly element: Element }
  | { readonly kind: 'null' }
  | { readonly kind: 'other'; readonly type: string }

export interface Field {
  readonly name: string
  readonly type: FieldType
  /** The first of its nodes and of its buffers. */
  readonly node: number
  readonly buffer: number
  /** The dictionary that its values are in: then it has numbers of entries. */
  readonly dictionary:
    | { readonly id: number; readonly index: Element; readonly values: FieldType }
    | undefined
}

const TYPE = {
  null: 1,
  int: 2,
  float: 3,
  binary: 4,
  text: 5,
  bool: 6,
  decimal: 7,
  date: 8,
  time: 9,
  timestamp: 10,
  interval: 11,
  list: 12,
  struct: 13,
  union: 14,
  fixedBinary: 15,
  fixedList: 16,
  map: 17,
  duration: 18,
  largeBinary: 19,
  largeText: 20,
  largeList: 21,
  runEndEncoded: 22,
  binaryView: 23,
  textView: 24,
  listView: 25,
  largeListView: 26,
} as const
const NAMES = new Map<number, string>(Object.entries(TYPE).map(([name, code]) => [code, name]))

/** Buffers of a column itself, without its children. */
const BUFFERS: Readonly<Record<number, number>> = {
  [TYPE.null]: 0,
  [TYPE.binary]: 3,
  [TYPE.text]: 3,
  [TYPE.largeBinary]: 3,
  [TYPE.largeText]: 3,
  [TYPE.struct]: 1,
  [TYPE.fixedList]: 1,
  [TYPE.runEndEncoded]: 0,
  [TYPE.listView]: 3,
  [TYPE.largeListView]: 3,
}
const MOST_FIXED = 100_000
const PER_SECOND = [1, 1e3, 1e6, 1e9] as const

/** @throws Error for columns whose buffers cannot be counted */
export function fieldsOf(schema: FlatTable): Field[] {
  if (schema.short(0) !== 0) throw new Error('its numbers are big-endian, which is not supported')
  let [node, buffer] = [0, 0]
  return schema.tables(1).map((table) => {
    const field = fieldOf(table, node, buffer)
    const size = sizeOf(table)
    node += size.nodes
    buffer += size.buffers
    return field
  })
}

function fieldOf(table: FlatTable, node: number, buffer: number): Field {
  const dictionary = table.table(4)
  const values = typeOf(table)
  const name = table.text(0)
  if (dictionary === undefined) return { name, type: values, node, buffer, dictionary: undefined }
  const index = dictionary.table(1) === undefined ? 'int32' : intOf(dictionary.table(1)!)
  const isText = values.kind === 'text' || values.kind === 'number'
  const type: FieldType = isText ? values : { kind: 'other', type: `dictionary of ${values.kind}` }
  return { name, type, node, buffer, dictionary: { id: dictionary.long(0), index, values } }
}

/** How many nodes and buffers a column has, with its children. */
function sizeOf(table: FlatTable): { nodes: number; buffers: number } {
  if (table.table(4) !== undefined) return { nodes: 1, buffers: 2 }
  const code = table.byte(2)
  if (code === TYPE.union || code === TYPE.binaryView || code === TYPE.textView)
    throw new Error(
      `the column "${table.text(0)}" is a ${NAMES.get(code)}, which cannot be read; write it as another type, or leave it out`,
    )
  const own = { nodes: 1, buffers: BUFFERS[code] ?? 2 }
  for (const child of table.tables(5)) {
    const { nodes, buffers } = sizeOf(child)
    own.nodes += nodes
    own.buffers += buffers
  }
  return own
}

function typeOf(table: FlatTable): FieldType {
  const code = table.byte(2)
  const own = table.table(3)
  if (own === undefined || !NAMES.has(code)) return { kind: 'other', type: 'unknown' }
  switch (code) {
    case TYPE.null:
      return { kind: 'null' }
    case TYPE.bool:
      return { kind: 'boolean' }
    case TYPE.text:
      return { kind: 'text', offset: 4 }
    case TYPE.largeText:
      return { kind: 'text', offset: 8 }
    case TYPE.date:
      return own.short(0, 1) === 0
        ? { kind: 'time', element: 'int32', perSecond: 'days' }
        : { kind: 'time', element: 'int64', perSecond: 1e3 }
    case TYPE.timestamp:
      return { kind: 'time', element: 'int64', perSecond: PER_SECOND[own.short(0)] ?? 1 }
    case TYPE.list:
    case TYPE.largeList:
    case TYPE.fixedList:
      return listOf(code, own, table.tables(5)[0])
    default:
      return numberOf(code, own) ?? { kind: 'other', type: NAMES.get(code)! }
  }
}

function numberOf(code: number, own: FlatTable): { kind: 'number'; element: Element } | undefined {
  if (code === TYPE.int) return { kind: 'number', element: intOf(own) }
  if (code === TYPE.float)
    return {
      kind: 'number',
      element: (['float16', 'float32', 'float64'] as const)[own.short(0)] ?? 'float64',
    }
  return undefined
}

function intOf(own: FlatTable): Element {
  const element = `${own.byte(1) === 0 ? 'u' : ''}int${own.int(0)}`
  if (/^u?int(8|16|32|64)$/.test(element)) return element as Element
  throw new Error(`there are no integers of ${own.int(0)} bits`)
}

function listOf(code: number, own: FlatTable, child: FlatTable | undefined): FieldType {
  const inner = child?.table(3)
  const isPlain = child !== undefined && child.table(4) === undefined && inner !== undefined
  const items = isPlain ? numberOf(child.byte(2), inner) : undefined
  const length = own.int(0)
  if (items === undefined || (code === TYPE.fixedList && !(length > 0 && length <= MOST_FIXED)))
    return { kind: 'other', type: 'list' }
  if (code === TYPE.fixedList) return { kind: 'fixed list', length, element: items.element }
  return { kind: 'list', offset: code === TYPE.list ? 4 : 8, element: items.element }
}
