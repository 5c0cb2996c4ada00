/** The messages of an Arrow file or stream: where each is, and what its metadata say. Bodies are skipped. */
import type { FileBytes } from '../file-bytes.ts'
import { FlatTable } from './flatbuffer.ts'

export interface RecordBatch {
  readonly rows: number
  /** Of each column and its children: its length, and how many of it are null. */
  readonly nodes: readonly (readonly [number, number])[]
  /** Offset and length in the body. */
  readonly buffers: readonly (readonly [number, number])[]
  readonly compression: 'lz4' | 'zstd' | undefined
}

export interface Message {
  readonly header: FlatTable
  readonly kind: 'schema' | 'dictionary' | 'batch' | 'other'
  /** Where its body is in the file. */
  readonly body: number
  readonly bodyLength: number
}

const MAGIC = 'ARROW1'
const CONTINUES = 0xffffffff
const MOST_METADATA = 16 * 1024 * 1024
const KINDS: Readonly<Record<number, Message['kind']>> = { 1: 'schema', 2: 'dictionary', 3: 'batch' }

export interface Messages {
  readonly schema: FlatTable
  /** The others, one after the other. */
  readonly rest: Iterable<Message>
}

/** A stream begins with its schema. A file has the same messages between magic bytes and a footer, which has the schema. */
export function messagesOf(file: FileBytes): Messages {
  const isFile = file.size >= 8 && file.read(0, 6).toString('latin1') === MAGIC
  if (isFile) {
    const footer = footerOf(file)
    return { schema: footer.schema, rest: messagesBetween(file, 8, footer.at) }
  }
  const messages = messagesBetween(file, 0, file.size)
  const { value: first } = messages.next()
  if (first?.kind !== 'schema') throw new Error('it is not Arrow: it does not begin with a schema')
  return { schema: first.header, rest: messages }
}

function footerOf(file: FileBytes): { readonly schema: FlatTable; readonly at: number } {
  const tail = file.size < 18 ? undefined : file.read(file.size - 10, 10)
  const length = tail?.readInt32LE(0) ?? 0
  const at = file.size - 10 - length
  if (tail?.subarray(4).toString('latin1') !== MAGIC || length <= 0 || length > MOST_METADATA || at < 8)
    throw new Error('it has no end, as if it were cut off')
  const schema = FlatTable.root(file.read(at, length)).table(1)
  if (schema === undefined) throw new Error('it is not Arrow: it has no schema')
  return { schema, at }
}

function* messagesBetween(file: FileBytes, start: number, end: number): Generator<Message, undefined> {
  for (let at = start; at + 4 <= end; ) {
    const word = file.read(at, 4).readUInt32LE()
    const from = word === CONTINUES ? at + 8 : at + 4
    const length = word === CONTINUES ? file.read(at + 4, 4).readUInt32LE() : word
    if (length === 0) return
    if (length > MOST_METADATA) throw new Error('it is not Arrow: a message has no length that makes sense')
    const message = messageOf(file.read(from, length), from + length)
    if (message.body + message.bodyLength > end)
      throw new Error(`the file ends within the message at byte ${at}; it may have been cut off`)
    yield message
    at = message.body + message.bodyLength
  }
}

function messageOf(bytes: Buffer, body: number): Message {
  const root = FlatTable.root(bytes)
  const header = root.table(2)
  const bodyLength = root.long(3)
  if (header === undefined || bodyLength < 0) throw new Error('it is not Arrow: a message has no header')
  return { header, kind: KINDS[root.byte(1)] ?? 'other', body, bodyLength }
}

export function batchOf(header: FlatTable): RecordBatch {
  const rows = header.long(0)
  if (rows < 0) throw new Error('a record batch has fewer than no rows')
  const compression = header.table(3)
  return {
    rows,
    nodes: header.pairs(1),
    buffers: header.pairs(2),
    compression: compression && (compression.byte(0) === 0 ? 'lz4' : 'zstd'),
  }
}
