/** Arrow IPC, as a file or a stream, as PyArrow, pandas (`to_feather`), Polars and R write it. */

import { BatchBody } from './arrow-ipc/bodies.ts'
import { type Field, type FieldType, fieldsOf } from './arrow-ipc/fields.ts'
import { batchOf, type Message, messagesOf, type RecordBatch } from './arrow-ipc/messages.ts'
import type { ColumnRows, ColumnType, FormatDefinition, Source, Table, TableColumn } from './define.ts'
import { bytesOf, type Element, isLong, widen } from './elements.ts'
import { FileBytes } from './file-bytes.ts'

export default {
  name: 'arrow',
  title: 'Arrow IPC',
  extensions: ['.arrow', '.arrows', '.feather', '.ipc'],
  mediaTypes: ['application/vnd.apache.arrow.file', 'application/vnd.apache.arrow.stream'],
  reader: { open },
} satisfies FormatDefinition

async function open(source: Source): Promise<Table> {
  const file = FileBytes.open(source)
  try {
    return new ArrowFile(file)
  } catch (error) {
    file.close()
    throw error instanceof RangeError ? new Error('its metadata are damaged', { cause: error }) : error
  }
}

interface Batch {
  readonly message: Message
  readonly first: number
  readonly rows: number
}

/** Of lists and texts that are read at once. */
const MOST_BYTES = 64 * 1024 * 1024
const MOST_ENTRIES = 1_000_000

type Dictionary = readonly (string | number | null)[]

class ArrowFile implements Table {
  readonly columns: readonly TableColumn[]
  readonly rows: number
  readonly #file: FileBytes
  readonly #fields: readonly Field[]
  readonly #batches: readonly Batch[]
  readonly #dictionaries: ReadonlyMap<number, Dictionary>
  #last: { readonly batch: Batch; readonly record: RecordBatch; readonly body: BatchBody } | undefined

  constructor(file: FileBytes) {
    this.#file = file
    const { schema, rest } = messagesOf(file)
    this.#fields = fieldsOf(schema)
    const batches: Batch[] = []
    const dictionaries = new Map<number, Dictionary>()
    let rows = 0
    for (const message of rest) {
      if (message.kind === 'dictionary') this.#addDictionary(message, dictionaries)
      if (message.kind !== 'batch') continue
      const own = batchOf(message.header).rows
      if (own > 0) batches.push({ message, first: rows, rows: own })
      rows += own
    }
    this.#batches = batches
    this.#dictionaries = dictionaries
    this.rows = rows
    this.columns = this.#fields.map(({ name, type }) => ({ name, type: columnType(type) }))
  }

  atOnce(from: number, most: number): number {
    const { first, rows } = this.#batchAt(from)
    return Math.min(most, first + rows - from)
  }

  read(column: number, from: number, count: number): ColumnRows {
    const field = this.#fields[column]
    const { batch, record, body } = this.#opened(from)
    const start = from - batch.first
    const [length, nullCount] = record.nodes[field.node] ?? [0, 0]
    if (length < start + count) throw new Error(`the column "${field.name}" is shorter than its record batch`)
    const hasNullItems = (record.nodes[field.node + 1]?.[1] ?? 0) > 0
    const slice: Slice = {
      body,
      field,
      start,
      count,
      hasNulls: nullCount > 0 && body.has(field.buffer),
      hasNullItems,
    }
    if (field.dictionary !== undefined && field.type.kind !== 'other')
      return this.#entries(slice, field.dictionary)
    return readSlice(slice, field.type)
  }

  close(): void {
    this.#file.close()
  }

  /** The values of a column that has numbers of entries. */
  #entries(slice: Slice, { id, index }: NonNullable<Field['dictionary']>): ColumnRows {
    const known = this.#dictionaries.get(id)
    if (known === undefined) throw new Error(`the dictionary of the column "${slice.field.name}" is missing`)
    const { numbers, nulls } = numbersOf(slice, index)
    const isNull = new Set(nulls)
    const values = Array.from(numbers, (entry, i) => (isNull.has(i) ? null : known[entry]))
    if (values.some((value) => value === undefined))
      throw new Error(`the column "${slice.field.name}" refers to entries that its dictionary lacks`)
    if (slice.field.type.kind === 'text') return { texts: values as (string | null)[] }
    return {
      numbers: Float64Array.from(values, (value) => Number(value)),
      nulls: values.flatMap((value, i) => (value === null ? [i] : [])),
    }
  }

  #addDictionary(message: Message, dictionaries: Map<number, Dictionary>) {
    const id = message.header.long(0)
    const field = this.#fields.find(({ dictionary }) => dictionary?.id === id)
    const data = message.header.table(1)
    if (field === undefined || data === undefined || field.type.kind === 'other') return
    const isDelta = message.header.byte(2) !== 0
    const known = dictionaries.get(id)
    if (known !== undefined && !isDelta)
      throw new Error(
        `the dictionary of the column "${field.name}" is replaced on the way, which is not supported`,
      )
    const record = batchOf(data)
    if (record.rows + (known?.length ?? 0) > MOST_ENTRIES)
      throw new Error(`the dictionary of the column "${field.name}" has more than ${MOST_ENTRIES} entries`)
    const body = new BatchBody(this.#file, message, record)
    const hasNulls = (record.nodes[0]?.[1] ?? 0) > 0 && body.has(0)
    const slice: Slice = {
      body,
      field: { ...field, node: 0, buffer: 0 },
      start: 0,
      count: record.rows,
      hasNulls,
      hasNullItems: false,
    }
    const rows = readSlice(slice, field.dictionary!.values)
    dictionaries.set(id, [...(known ?? []), ...entriesOf(rows)])
  }

  #batchAt(row: number): Batch {
    const last = this.#last?.batch
    if (last !== undefined && row >= last.first && row < last.first + last.rows) return last
    let [low, high] = [0, this.#batches.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (this.#batches[middle].first <= row) low = middle
      else high = middle - 1
    }
    return this.#batches[low]
  }

  #opened(row: number) {
    const batch = this.#batchAt(row)
    if (this.#last?.batch === batch) return this.#last
    const record = batchOf(batch.message.header)
    this.#last = { batch, record, body: new BatchBody(this.#file, batch.message, record) }
    return this.#last
  }
}

/** Entries may be null, too. */
function entriesOf(rows: ColumnRows): Dictionary {
  if ('texts' in rows) return rows.texts
  if (!('numbers' in rows)) return []
  const entries: (number | null)[] = [...rows.numbers]
  for (const place of rows.nulls ?? []) entries[place] = null
  return entries
}

function columnType(type: FieldType): ColumnType {
  switch (type.kind) {
    case 'number':
      return { kind: 'number', isLong: isLong(type.element) }
    case 'boolean':
    case 'text':
      return { kind: type.kind }
    case 'time':
      return { kind: 'text' }
    case 'list':
      return { kind: 'list', length: undefined }
    case 'fixed list':
      return { kind: 'list', length: type.length }
    case 'null':
      return { kind: 'other', type: 'null' }
    default:
      return type
  }
}

// Slices

/** Some rows of a column of a record batch. */
interface Slice {
  readonly body: BatchBody
  readonly field: Field
  readonly start: number
  readonly count: number
  readonly hasNulls: boolean
  /** Whether items of lists are null. */
  readonly hasNullItems: boolean
}

function readSlice(slice: Slice, type: FieldType): ColumnRows {
  switch (type.kind) {
    case 'number':
      return numbersOf(slice, type.element)
    case 'boolean':
      return { booleans: booleansOf(slice) }
    case 'text':
      return { texts: textsOf(slice, type.offset) }
    case 'time':
      return { texts: timesOf(slice, type) }
    case 'list':
      return { lists: listsOf(slice, type) }
    case 'fixed list':
      return fixedListsOf(slice, type)
    default:
      return { texts: new Array<null>(slice.count).fill(null) }
  }
}

function numbersOf(slice: Slice, element: Element) {
  const { body, field, start, count } = slice
  const width = bytesOf(element)
  return {
    numbers: widen(element, body.slice(field.buffer + 1, start * width, count * width)),
    nulls: nullsOf(slice),
  }
}

/** Places of rows that are null. */
function nullsOf({ body, field, start, count, hasNulls }: Slice): number[] {
  if (!hasNulls) return []
  const bits = bitsOf(body, field.buffer, start, count)
  return bits.flatMap((isThere, i) => (isThere ? [] : [i]))
}

function bitsOf(body: BatchBody, buffer: number, start: number, count: number): boolean[] {
  const from = Math.floor(start / 8)
  const bytes = body.slice(buffer, from, Math.ceil((start + count) / 8) - from)
  return Array.from({ length: count }, (_, i) => {
    const bit = start - 8 * from + i
    return ((bytes[bit >> 3] >> (bit & 7)) & 1) === 1
  })
}

function booleansOf(slice: Slice): (boolean | null)[] {
  const nulls = new Set(nullsOf(slice))
  const { body, field, start, count } = slice
  return bitsOf(body, field.buffer + 1, start, count).map((value, i) => (nulls.has(i) ? null : value))
}

/** Where each row begins and ends in the values. */
function offsetsOf({ body, field, start, count }: Slice, width: 4 | 8): Float64Array {
  const bytes = body.slice(field.buffer + 1, start * width, (count + 1) * width)
  const offsets = widen(width === 4 ? 'int32' : 'int64', bytes)
  for (let i = 0; i < count; i++)
    if (!(offsets[i] >= 0 && offsets[i + 1] >= offsets[i]))
      throw new Error(`the offsets of the column "${field.name}" are damaged`)
  return offsets
}

function textsOf(slice: Slice, width: 4 | 8): (string | null)[] {
  const offsets = offsetsOf(slice, width)
  const nulls = new Set(nullsOf(slice))
  const { body, field, count } = slice
  const from = offsets[0]
  const bytes = bounded(field, offsets[count] - from, (length) => body.slice(field.buffer + 2, from, length))
  return Array.from({ length: count }, (_, i) =>
    nulls.has(i) ? null : bytes.toString('utf8', offsets[i] - from, offsets[i + 1] - from),
  )
}

function bounded(field: Field, length: number, read: (length: number) => Buffer): Buffer {
  if (length > MOST_BYTES) throw new Error(`the rows of the column "${field.name}" are too long`)
  return length === 0 ? Buffer.alloc(0) : read(length)
}

function listsOf(slice: Slice, { offset, element }: FieldType & { readonly kind: 'list' }) {
  const offsets = offsetsOf(slice, offset)
  const nulls = new Set(nullsOf(slice))
  const { body, field, count } = slice
  const width = bytesOf(element)
  const from = offsets[0]
  // After the validity and the offsets come the validity and the values of the items.
  const bytes = bounded(field, (offsets[count] - from) * width, (length) =>
    body.slice(field.buffer + 3, from * width, length),
  )
  const values = widen(element, bytes)
  const isItem = itemsOf(slice, 2, from, values.length)
  return Array.from({ length: count }, (_, i) => {
    const [begin, end] = [offsets[i] - from, offsets[i + 1] - from]
    const isWhole = !nulls.has(i) && !isItem?.slice(begin, end).includes(false)
    return isWhole ? values.subarray(begin, end) : null
  })
}

/** Which items of lists are there; undefined if all are. */
function itemsOf(
  { body, field, hasNullItems }: Slice,
  buffer: number,
  from: number,
  count: number,
): boolean[] | undefined {
  const isAny = hasNullItems && body.has(field.buffer + buffer)
  return isAny ? bitsOf(body, field.buffer + buffer, from, count) : undefined
}

function fixedListsOf(slice: Slice, { length, element }: FieldType & { readonly kind: 'fixed list' }) {
  const { body, field, start, count } = slice
  const width = bytesOf(element) * length
  const bytes = bounded(field, count * width, (size) => body.slice(field.buffer + 2, start * width, size))
  const isItem = itemsOf(slice, 1, start * length, count * length)
  const partial = Array.from({ length: isItem === undefined ? 0 : count }, (_, i) => i).filter((i) =>
    isItem!.slice(i * length, (i + 1) * length).includes(false),
  )
  return { flat: widen(element, bytes), nulls: [...nullsOf(slice), ...partial] }
}

/** As DuckDB prints dates and times. */
function timesOf(slice: Slice, { perSecond }: FieldType & { readonly kind: 'time' }): (string | null)[] {
  const isNull = new Set(nullsOf(slice))
  const textAt = perSecond === 'days' ? daysOf(slice) : instantsOf(slice, perSecond)
  return Array.from({ length: slice.count }, (_, i) => (isNull.has(i) ? null : textAt(i)))
}

type TextAt = (row: number) => string

function daysOf(slice: Slice): TextAt {
  const { numbers } = numbersOf(slice, 'int32')
  return (row) => dateAndTime(numbers[row] * 86_400_000)[0]
}

/** Of integers that doubles do not hold: they would move nanoseconds of today by a hundred. */
function instantsOf({ body, field, start, count }: Slice, perSecond: number): TextAt {
  const bytes = body.slice(field.buffer + 1, start * 8, count * 8)
  const instants = new BigInt64Array(bytes.buffer, bytes.byteOffset, count)
  return (row) => instantText(instants[row], perSecond)
}

function instantText(instant: bigint, perSecond: number): string {
  const unit = BigInt(perSecond)
  const rest = ((instant % unit) + unit) % unit
  const text = dateAndTime(Number((instant - rest) / unit) * 1000).join(' ')
  if (rest === 0n) return text
  const digits = String(rest).padStart(Math.log10(perSecond), '0')
  return `${text}.${digits.replace(/0+$/, '')}`
}

/** @example dateAndTime(-62_200_000_000_000) // ['0003-12-17 (BC)', '14:13:20']: years have no sign, and no year is 0 */
function dateAndTime(ms: number): [date: string, time: string] {
  const [, sign, year, day, time] = /^([+-]?)0*(\d{4,})(-\d\d-\d\d)T(.{8})/.exec(new Date(ms).toISOString())!
  if (sign !== '-' && Number(year) > 0) return [year + day, time]
  return [`${String(Number(year) + 1).padStart(4, '0')}${day} (BC)`, time]
}
