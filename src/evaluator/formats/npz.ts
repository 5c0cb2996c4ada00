/**
 * npz: a zip of arrays. Those that are stored are read where they are; those that are compressed are first unpacked into a
 * temporary file, which has no name, so that nothing is left of it whatever happens.
 */
import { mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInflateRaw } from 'node:zlib'
import { ArrayTable, type StoredArray } from './arrays.ts'
import type { FormatDefinition, Source, Table } from './define.ts'
import { FileBytes } from './file-bytes.ts'
import { MOST_NPY_HEADER, readNpyHeader } from './npy.ts'

export default {
  name: 'npz',
  title: 'npz',
  extensions: ['.npz'],
  mediaTypes: ['application/x-npz', 'application/x-numpy-npz'],
  magic: 'PK',
  reader: { open },
} satisfies FormatDefinition

/** An array among the others. */
interface Entry {
  readonly name: string
  readonly method: number
  /** Of its own header in the zip. */
  readonly at: number
  readonly packed: number
  readonly size: number
}

const STORED = 0
const DEFLATED = 8
/** Files that unpack to more than this many times their size, and to more than a little, are taken for attacks. */
const MOST_RATIO = 200
const LITTLE = 64 * 1024 * 1024
const MOST_ENTRIES = 4096
const MOST_DIRECTORY = 16 * 1024 * 1024

async function open(source: Source): Promise<Table> {
  const opened = [FileBytes.open(source)]
  const close = () => {
    for (const file of opened) file.close()
  }
  try {
    const [zip] = opened
    const entries = entriesOf(zip)
    checkSize(entries, zip.size)
    const arrays: StoredArray[] = []
    const unpacked = entries.some(({ method }) => method === DEFLATED) ? new Unpacked(opened) : undefined
    for (const entry of entries)
      arrays.push(
        entry.method === DEFLATED
          ? await unpacked!.arrayOf(entry, zip)
          : arrayAt(entry, zip, startOf(entry, zip), entry.size),
      )
    return new ArrayTable(arrays, close)
  } catch (error) {
    close()
    throw error
  }
}

function checkSize(entries: readonly Entry[], size: number) {
  const unpacked = entries.reduce((sum, entry) => sum + entry.size, 0)
  if (unpacked > Math.max(LITTLE, MOST_RATIO * size))
    throw new Error(
      `its ${size} bytes say that they unpack to ${unpacked}, more than ${MOST_RATIO} times as many`,
    )
}

/** Unpacks arrays into one file, one after the other. */
class Unpacked {
  readonly #descriptor: number
  #length = 0

  constructor(opened: FileBytes[]) {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-npz-'))
    this.#descriptor = openSync(join(folder, 'arrays'), 'wx+', 0o600)
    rmSync(folder, { recursive: true })
    opened.push(new FileBytes(this.#descriptor))
  }

  async arrayOf(entry: Entry, zip: FileBytes): Promise<StoredArray> {
    const from = this.#length
    await this.#unpack(entry, zip)
    // The file as long as it is now. It is closed once, with the others that are open.
    return arrayAt(entry, new FileBytes(this.#descriptor), from, entry.size)
  }

  async #unpack({ name, packed, size, ...entry }: Entry, zip: FileBytes) {
    const start = startOf({ name, packed, size, ...entry }, zip)
    const inflate = createInflateRaw()
    const done = (async () => {
      const end = this.#length + size
      for await (const part of inflate as AsyncIterable<Buffer>) {
        if (this.#length + part.length > end) throw new Error(`"${name}" is longer than the zip says`)
        writeSync(this.#descriptor, part, 0, part.length, this.#length)
        this.#length += part.length
      }
      if (this.#length !== end) throw new Error(`"${name}" is shorter than the zip says`)
    })()
    done.catch(() => inflate.destroy())
    for (let at = 0; at < packed && !inflate.destroyed; at += STEP) {
      const part = zip.read(start + at, Math.min(STEP, packed - at))
      if (!inflate.write(part))
        await new Promise((resolve) => inflate.once('drain', resolve).once('close', resolve))
    }
    inflate.end()
    await done
  }
}

const STEP = 256 * 1024

function arrayAt({ name }: Entry, file: FileBytes, start: number, size: number): StoredArray {
  try {
    const { length, ...header } = readNpyHeader(file.read(start, Math.min(size, MOST_NPY_HEADER)))
    return { ...header, name: name.replace(/\.npy$/, ''), file, offset: start + length }
  } catch (error) {
    throw new Error(`"${name}": ${(error as Error).message}`, { cause: error })
  }
}

// The zip

const END = 0x06054b50
const END_64 = 0x06064b50
const LOCATOR_64 = 0x07064b50
const ENTRY = 0x02014b50
const LOCAL = 0x04034b50
const NOT_HERE = 0xffffffff

/** Where the data of an entry begin. */
function startOf({ name, at, packed }: Entry, zip: FileBytes): number {
  const head = zip.read(at, 30)
  if (head.readUInt32LE(0) !== LOCAL) throw new Error(`the zip has nothing where "${name}" should be`)
  const start = at + 30 + head.readUInt16LE(26) + head.readUInt16LE(28)
  if (start + packed > zip.size) throw new Error(`"${name}" is cut off`)
  return start
}

function entriesOf(zip: FileBytes): Entry[] {
  const { count, offset, size } = directoryOf(zip)
  if (count > MOST_ENTRIES) throw new Error(`the zip has more than ${MOST_ENTRIES} arrays`)
  if (size > MOST_DIRECTORY) throw new Error(`the directory of the zip has more than ${MOST_DIRECTORY} bytes`)
  const bytes = zip.read(offset, size)
  const entries: Entry[] = []
  for (let at = 0; entries.length < count; ) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== ENTRY)
      throw new Error('the directory of the zip is damaged')
    const [name, extra, comment] = [28, 30, 32].map((place) => bytes.readUInt16LE(at + place))
    entries.push(entryAt(bytes, at, name, extra))
    at += 46 + name + extra + comment
  }
  return entries
}

function entryAt(bytes: Buffer, at: number, nameLength: number, extraLength: number): Entry {
  const name = bytes.subarray(at + 46, at + 46 + nameLength).toString('utf8')
  const method = bytes.readUInt16LE(at + 10)
  if ((bytes.readUInt16LE(at + 8) & 1) !== 0) throw new Error(`"${name}" is encrypted`)
  if (method !== STORED && method !== DEFLATED)
    throw new Error(`"${name}" is compressed in a way that is not known`)
  const long = longFields(bytes.subarray(at + 46 + nameLength, at + 46 + nameLength + extraLength))
  const [size, packed, place] = [24, 20, 42].map((field) => {
    const short = bytes.readUInt32LE(at + field)
    return short === NOT_HERE ? long() : short
  })
  return { name, method, at: place, packed, size }
}

/** The fields that do not fit into 32 bits, one after the other. */
function longFields(extra: Buffer): () => number {
  let at = 0
  while (at + 4 <= extra.length && extra.readUInt16LE(at) !== 1) at += 4 + extra.readUInt16LE(at + 2)
  at += 4
  return () => {
    if (at + 8 > extra.length) throw new Error('the directory of the zip is damaged')
    at += 8
    return Number(extra.readBigUInt64LE(at - 8))
  }
}

function directoryOf(zip: FileBytes): { count: number; offset: number; size: number } {
  const length = Math.min(zip.size, 22 + 65_535)
  const tail = zip.read(zip.size - length, length)
  let at = length - 22
  while (at >= 0 && tail.readUInt32LE(at) !== END) at--
  if (at < 0) throw new Error('it is not a zip, or it is cut off')
  const found = {
    count: tail.readUInt16LE(at + 10),
    size: tail.readUInt32LE(at + 12),
    offset: tail.readUInt32LE(at + 16),
  }
  if (found.offset !== NOT_HERE && found.count !== 0xffff) return found
  if (at < 20 || tail.readUInt32LE(at - 20) !== LOCATOR_64)
    throw new Error('the directory of the zip is damaged')
  const end = zip.read(Number(tail.readBigUInt64LE(at - 12)), 56)
  if (end.readUInt32LE(0) !== END_64) throw new Error('the directory of the zip is damaged')
  return {
    count: Number(end.readBigUInt64LE(32)),
    size: Number(end.readBigUInt64LE(40)),
    offset: Number(end.readBigUInt64LE(48)),
  }
}
