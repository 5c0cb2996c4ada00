/**
 * Buffer pool for request bodies: reads a body from the connection into one piece of memory. Large bodies are
 * copied to their place as they arrive, into memory that is reused, because every page of fresh memory costs a page
 * fault. This file does not look at the content.
 */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Problem } from '../errors.ts'
import { freeMemory } from '../free-memory.ts'
import { unpacked, unpackingProblem } from './content-encoding.ts'

/** Bodies from this size on use memory from the pool. For smaller ones, collecting the chunks is cheaper. */
export const POOLED_BYTES = 64 * 1024
/** Sizes are rounded up to a multiple of this, so that bodies of similar size can reuse each other's memory. */
const STEP_BYTES = 256 * 1024

/** A bounded pool of memory for bodies. Nobody waits for memory: if there is none, a body allocates its own. */
export class BodyPool {
  readonly #limit: number
  #bytes = 0
  /** Memory in the pool that is not in use. */
  readonly #idle: Buffer[] = []

  /** @param limit maximum number of bytes, in use and idle together */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Number of bytes, in use and idle together. */
  get bytes(): number {
    return this.#bytes
  }

  /** Memory of at least this size; undefined if too much is in use already. */
  take(bytes: number): Buffer | undefined {
    const size = Math.ceil(bytes / STEP_BYTES) * STEP_BYTES
    const place = this.#idle.findIndex(({ length }) => length === size)
    if (place >= 0) return this.#idle.splice(place, 1)[0]
    while (this.#bytes + size > this.#limit && this.#idle.length > 0) this.#drop(this.#idle.shift()!)
    if (this.#bytes + size > this.#limit) return undefined
    this.#bytes += size
    return Buffer.allocUnsafeSlow(size)
  }

  /** Returns memory that nobody reads any more. */
  giveBack(memory: Buffer) {
    this.#idle.push(memory)
  }

  /** Gives up memory that may still be read. The garbage collector frees it. */
  forget(memory: Buffer) {
    this.#drop(memory)
  }

  #drop({ length }: Buffer) {
    this.#bytes -= length
  }
}

/**
 * How many bytes of large bodies are read per event loop iteration, over all clients. Where more are processed, more are read, so that
 * long iterations do not wait for uploads.
 */
const ROUND_BYTES = 1024 * 1024
const READ_AHEAD = 1.25
/** Node delivers 64 kB at a time. */
const DELIVERED_BYTES = 64 * 1024
/**
 * When this many bytes of large bodies have arrived and are not processed yet, other uploads wait on their
 * connections.
 */
const BACKLOG_BYTES = 32 * 1024 * 1024

/**
 * Backpressure for uploads: limits large bodies to a share of each event loop iteration. libuv reads up to 2 MB per
 * connection before it does anything else, so with several uploads, everyone else would wait for all of them.
 */
class Intake {
  #bytes = 0
  /** How many bytes may be read in this iteration. */
  #most = ROUND_BYTES
  /** Bytes of bodies that have been processed in this iteration. */
  #processed = 0
  /** The order of the youngest upload that was resumed. */
  #youngest = 0
  /** Bytes of bodies that have arrived completely. */
  #backlog = 0
  #isWaiting = false
  #paused: Upload[] = []

  /**
   * Must be called for every chunk of a large body. Pauses the body when the share of this iteration is used up, or when older ones
   * wait: otherwise the kernel would decide whose body is read first, and some would wait for seconds.
   */
  count(length: number, upload: Upload) {
    this.#wait()
    this.#bytes += length
    const isYounger = this.#paused.length > 0 && upload.order > this.#youngest
    if (this.#bytes < this.#most && !isYounger) return
    upload.source.pause()
    this.#paused.push(upload)
  }

  #wait() {
    if (this.#isWaiting) return
    this.#isWaiting = true
    setImmediate(() => this.#begin())
  }

  /** A whole body has arrived. */
  arrived(bytes: number) {
    this.#backlog += bytes
  }

  /** A body has been processed. */
  left(bytes: number) {
    this.#backlog -= bytes
    this.#processed += bytes
    if (this.#paused.length > 0) this.#wait()
  }

  /**
   * Resumes the oldest uploads first, so that a thousand concurrent uploads are not all half in memory until the
   * last one has arrived.
   */
  #begin() {
    this.#bytes = 0
    this.#isWaiting = false
    this.#most = Math.max(ROUND_BYTES, READ_AHEAD * this.#processed)
    this.#processed = 0
    // Bodies that are still to be processed will call this again.
    if (this.#backlog > BACKLOG_BYTES) return
    this.#paused.sort((a, b) => a.order - b.order)
    let bytes = 0
    let count = 0
    for (; count < this.#paused.length && bytes < this.#most; count++)
      bytes += Math.max(DELIVERED_BYTES, this.#paused[count].left())
    for (const { source, order } of this.#paused.splice(0, count)) {
      this.#youngest = order
      source.resume()
    }
    if (this.#paused.length > 0) this.#wait()
  }
}

/** A large body that is being received. */
interface Upload {
  readonly source: Readable
  /** Older uploads have lower numbers. */
  readonly order: number
  /** Bytes that have not arrived yet, if their number is known. */
  left(): number
}

let uploads = 0

/** There is one event loop, so there is one instance. */
const intake = new Intake()

/** A body that has arrived. */
export interface Body {
  readonly bytes: Uint8Array
  /**
   * Must be called when the body has been processed. `unread` means that no view of the bytes is in use any more,
   * so that their memory can be reused.
   */
  leave(unread: boolean): void
}

/** Receives the result: either the body or an error, once. */
export interface Receiver {
  /**
   * Called before more of a large body is read.
   *
   * @throws Problem to reject the rest
   */
  goOn?(): void
  /** Called once, before `take` or `fail`, with the bytes that have arrived: a body that fails costs as much as another. */
  arrived?(bytes: number): void
  take(body: Body): void
  fail(error: Error): void
}

/**
 * Reads a body.
 *
 * @param limit maximum number of bytes
 * @param receiver gets the body, or Problem `payload-too-large`, or the error of the connection
 * @example
 * receiveBody(request.raw, 2 ** 20, new BodyPool(2 ** 26), { take: ({ bytes }) => {}, fail: (error) => {} })
 */
export function receiveBody(raw: IncomingMessage, limit: number, pool: BodyPool, receiver: Receiver): void {
  const source = unpacked(raw)
  const declared = source === raw ? Number(raw.headers['content-length'] ?? 0) : 0
  const isPooled = declared >= POOLED_BYTES
  // The first chunk of a larger body is kept as it is, so that uploads that are waiting do not occupy pool memory
  // that others need.
  let arrival: Arrival = (isPooled && declared <= STEP_BYTES && Room.of(declared, pool)) || new Parts()
  let open = true
  let upload: Upload | undefined
  let arrived = 0
  const end = (error?: Error) => {
    if (!open) return
    open = false
    receiver.arrived?.(arrived)
    if (error === undefined) {
      if (upload !== undefined) arrival.count()
      return receiver.take(arrival)
    }
    arrival.leave(true)
    if (source !== raw) abandon(raw, source)
    receiver.fail(source === raw ? error : unpackingProblem(raw, error))
  }
  const more = (bytes: number) => {
    upload ??= { source, order: uploads++, left: () => declared - arrival.length }
    intake.count(bytes, upload)
    try {
      receiver.goOn?.()
    } catch (error) {
      end(error as Error)
    }
  }
  const discard = (part: Buffer) => {
    if (upload !== undefined) intake.count(part.length, upload)
    // A decompressor goes on writing into its own.
    if (source === raw) freeMemory(part)
  }
  source.on('data', (part: Buffer) => {
    const { length } = part
    if (!open) return discard(part)
    arrived += length
    if (arrival.length + length > limit) return end(tooLong(limit))
    if (isPooled && arrival.length > 0) arrival = arrival.moved(declared, pool)
    arrival.add(part)
    if (arrival.length > POOLED_BYTES) more(length)
  })
  source.on('end', () => end())
  source.on('error', end)
}

/** The rest is not decompressed. */
function abandon(raw: IncomingMessage, source: Readable) {
  raw.unpipe()
  source.destroy()
}

function tooLong(limit: number): Problem {
  return new Problem('payload-too-large', `a body may have at most ${limit} bytes`)
}

/** Collects the chunks of a body. */
abstract class Arrival implements Body {
  #counted = 0
  length = 0
  abstract get bytes(): Uint8Array
  abstract add(part: Buffer): void
  protected abstract free(unread: boolean): void

  /** Itself, or a copy of what has arrived so far, in memory for the whole body. */
  moved(_declared: number, _pool: BodyPool): Arrival {
    return this
  }

  /** Counts the body as part of the backlog until it has been processed. */
  count() {
    this.#counted = this.length
    intake.arrived(this.#counted)
  }

  leave(unread: boolean) {
    if (this.#counted > 0) intake.left(this.#counted)
    this.#counted = 0
    this.free(unread)
  }
}

/** Collects the chunks, and concatenates them if there are several. */
class Parts extends Arrival {
  #parts: Buffer[] = []

  add(part: Buffer) {
    this.#parts.push(part)
    this.length += part.length
  }

  get bytes(): Uint8Array {
    return this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts, this.length)
  }

  override moved(declared: number, pool: BodyPool): Arrival {
    // Tried only once: later, more and more would have to be copied.
    if (this.#parts.length > 1) return this
    const room = Room.of(declared, pool)
    if (room === undefined) return this
    for (const part of this.#parts) room.add(part)
    return room
  }

  protected free() {
    this.#parts = []
  }
}

/** Copies the chunks to their final place at once. Node's parser ensures that the body has the declared length. */
class Room extends Arrival {
  #memory: Buffer | undefined
  readonly #pool: BodyPool

  static of(declared: number, pool: BodyPool): Room | undefined {
    const memory = pool.take(declared)
    return memory === undefined ? undefined : new Room(memory, pool)
  }

  private constructor(memory: Buffer, pool: BodyPool) {
    super()
    this.#memory = memory
    this.#pool = pool
  }

  add(part: Buffer) {
    this.#memory!.set(part, this.length)
    this.length += part.length
    freeMemory(part)
  }

  get bytes(): Uint8Array {
    return this.#memory!.subarray(0, this.length)
  }

  protected free(unread: boolean) {
    const memory = this.#memory
    if (memory === undefined) return
    this.#memory = undefined
    if (unread) this.#pool.giveBack(memory)
    else this.#pool.forget(memory)
  }
}
