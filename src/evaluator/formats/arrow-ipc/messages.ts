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

/** A file has the same messages as a stream, after its magic bytes; what follows them is not needed. */
export function* messagesOf(file: FileBytes): Generator<Message> {
  const isFile = file.size >= 8 && file.read(0, 6).toString('latin1') === MAGIC
  for (let at = isFile ? 8 : 0; at + 4 <= file.size; ) {
    const word = file.read(at, 4).readUInt32LE()
    const start = word === CONTINUES ? at + 8 : at + 4
    const length = word === CONTINUES ? file.read(at + 4, 4).readUInt32LE() : word
    if (length === 0) return
    if (length > MOST_METADATA) throw new Error('it is not Arrow: a message has no length that makes sense')
    const message = messageOf(file.read(start, length), start + length)
    if (message.body + message.bodyLength > file.size)
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
