/**
 * Files in memory that two processes hold open: large arrays go from one to the other through them, copied by Node's thread
 * pool and not by the event loops, some three times as fast as over a pipe. Where the system has none (only Linux does),
 * or too little of it, the pipe carries everything.
 */
import { closeSync, ftruncate, openSync, read, rmSync, writev } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const MEMORY = '/dev/shm'
/** Messages that may be on their way at once in each direction; others take the pipe. */
const SLOTS = 4
/** A slot that held more gives its memory back. */
const KEPT_BYTES = 64 * 2 ** 20

const [readAt, writeAt, truncate] = [promisify(read), promisify(writev), promisify(ftruncate)]

/**
 * Opens files that nobody else can open, because their names are gone at once; a process that dies leaves nothing behind.
 *
 * @param name no other process's
 * @returns their descriptors; none where there are no files in memory
 */
export function openSlots(name: string): number[] {
  try {
    return Array.from({ length: SLOTS }, (_, i) => {
      const path = join(MEMORY, `${name}-${i}`)
      const slot = openSync(path, 'wx+', 0o600)
      rmSync(path)
      return slot
    })
  } catch {
    return []
  }
}

/** What one side writes and the other one reads. Slots are called by their place in the list. */
export class SharedMemorySlots {
  readonly #slots: readonly number[]
  readonly #free: Set<number>
  /** What the thread pool is doing with the files. */
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  /** @param slots descriptors of the same files on both sides, in the same order */
  constructor(slots: readonly number[]) {
    this.#slots = slots
    this.#free = new Set(slots.keys())
  }

  /** @returns the slot that was filled; undefined where none is free, or the memory is full */
  async put(pieces: readonly Uint8Array[]): Promise<number | undefined> {
    const [slot] = this.#free
    if (slot === undefined || this.#isClosed) return undefined
    this.#free.delete(slot)
    if (await this.#tracked(this.#tryWrite(slot, pieces))) return slot
    this.#free.add(slot)
    return undefined
  }

  /** The writer hears that the reader has what it wants. */
  async empty(slot: number, bytes: number): Promise<void> {
    if (bytes > KEPT_BYTES && !this.#isClosed) await this.#tracked(truncate(this.#slots[slot], 0))
    this.#free.add(slot)
  }

  /** @throws Error (rejects) when the file holds less, or the mailbox is closed */
  take(slot: number, bytes: number): Promise<ArrayBuffer> {
    if (this.#isClosed) return Promise.reject(new Error('the mailbox is closed'))
    return this.#tracked(this.#read(slot, bytes))
  }

  /** Closes the files, once nobody reads or writes: a descriptor that is closed too early may be another file's next. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#running)
    for (const slot of this.#slots) closeSync(slot)
  }

  #tracked<T>(work: Promise<T>): Promise<T> {
    const done = work.finally(() => this.#running.delete(done))
    this.#running.add(done)
    return done
  }

  async #read(slot: number, bytes: number): Promise<ArrayBuffer> {
    // Not cleared first: every byte is read.
    const target = Buffer.allocUnsafeSlow(bytes)
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await readAt(this.#slots[slot], target, at, bytes - at, at)
      if (bytesRead === 0) throw new Error(`a message of ${bytes} bytes ended at ${at}`)
      at += bytesRead
    }
    return target.buffer as ArrayBuffer
  }

  /** @returns false where the memory is full: containers often have 64 MB; what was written is given back */
  async #tryWrite(slot: number, pieces: readonly Uint8Array[]): Promise<boolean> {
    try {
      await this.#write(slot, pieces)
      return true
    } catch {
      await truncate(this.#slots[slot], 0)
      return false
    }
  }

  async #write(slot: number, pieces: readonly Uint8Array[]): Promise<void> {
    let at = 0
    for (let rest = pieces; rest.length > 0; ) {
      const { bytesWritten } = await writeAt(this.#slots[slot], rest as NodeJS.ArrayBufferView[], at)
      if (bytesWritten === 0) throw new Error('no room')
      at += bytesWritten
      rest = after(rest, bytesWritten)
    }
  }
}

/** What is left when so many bytes have been written. */
function after(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const piece of pieces) {
    if (skip < piece.length) left.push(piece.subarray(skip))
    skip = Math.max(0, skip - piece.length)
  }
  return left
}
