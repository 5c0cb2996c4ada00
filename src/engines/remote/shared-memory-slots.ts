/**
 * Shared memory between two processes: both have the same in-memory files open and exchange large arrays through
 * them. Node's thread pool copies the data, not the event loops, about three times as fast as a pipe. If the system
 * has no in-memory files (only Linux does) or not enough space, everything goes through the pipe.
 */
import { closeSync, ftruncate, openSync, read, rmSync, writev } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

const MEMORY = '/dev/shm'
/** Maximum number of messages in flight per direction. Further ones use the pipe. */
const SLOTS = 4
/** If a slot held more than this, its memory is released afterwards. */
const KEPT_BYTES = 64 * 2 ** 20

const [readAt, writeAt, truncate] = [promisify(read), promisify(writev), promisify(ftruncate)]

/**
 * Opens files that nobody else can open, because their names are removed at once. A process that dies leaves
 * nothing behind.
 *
 * @param name a name that no other process uses
 * @returns the file descriptors; empty if there are no in-memory files
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

/**
 * Opens the slots of another process of the same user, which has told us its id and its descriptors.
 *
 * @returns our own descriptors of the same files; undefined if the system does not allow it
 */
export function openSlotsOf(pid: number, slots: readonly number[]): number[] | undefined {
  const opened: number[] = []
  try {
    for (const slot of slots) opened.push(openSync(`/proc/${pid}/fd/${slot}`, 'r+'))
    return opened
  } catch {
    for (const slot of opened) closeSync(slot)
    return undefined
  }
}

/** One direction: one side writes and the other one reads. Slots are identified by their index. */
export class SharedMemorySlots {
  #slots: readonly number[]
  #free: Set<number>
  /** Pending file operations in the thread pool. */
  readonly #running = new Set<Promise<unknown>>()
  #isClosed = false

  /** @param slots descriptors of the same files on both sides, in the same order */
  constructor(slots: readonly number[]) {
    this.#slots = slots
    this.#free = new Set(slots.keys())
  }

  /** Uses these descriptors from now on. There were none before, so that everything went through the pipe. */
  adopt(slots: readonly number[]) {
    this.#slots = slots
    this.#free = new Set(slots.keys())
  }

  /** @returns the slot that was filled; undefined if none is free or the memory is full */
  async put(pieces: readonly Uint8Array[]): Promise<number | undefined> {
    const [slot] = this.#free
    if (slot === undefined || this.#isClosed) return undefined
    this.#free.delete(slot)
    if (await this.#tracked(this.#tryWrite(slot, pieces))) return slot
    this.#free.add(slot)
    return undefined
  }

  /** Frees a slot after the reader has read it. */
  async empty(slot: number, bytes: number): Promise<void> {
    if (bytes > KEPT_BYTES && !this.#isClosed) await this.#tracked(truncate(this.#slots[slot], 0))
    this.#free.add(slot)
  }

  /** @throws Error (rejects) if the file contains less, or the slots are closed */
  take(slot: number, bytes: number): Promise<ArrayBuffer> {
    if (this.#isClosed) return Promise.reject(new Error('the shared memory slots are closed'))
    return this.#tracked(this.#read(slot, bytes))
  }

  /**
   * Closes the files when no operation is pending: if a descriptor were closed earlier, its number could be reused
   * for another file.
   */
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
    // Not cleared, because every byte is overwritten.
    const target = Buffer.allocUnsafeSlow(bytes)
    for (let at = 0; at < bytes; ) {
      const { bytesRead } = await readAt(this.#slots[slot], target, at, bytes - at, at)
      if (bytesRead === 0) throw new Error(`a message of ${bytes} bytes ended at ${at}`)
      at += bytesRead
    }
    return target.buffer as ArrayBuffer
  }

  /** @returns false if the memory is full (containers often have 64 MB); what was written is released */
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

/** What is left after this many bytes have been written. */
function after(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes
  const left: Uint8Array[] = []
  for (const piece of pieces) {
    if (skip < piece.length) left.push(piece.subarray(skip))
    skip = Math.max(0, skip - piece.length)
  }
  return left
}
