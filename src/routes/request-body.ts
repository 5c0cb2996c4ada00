/**
 * A request's body, from the connection into one piece of memory. Large bodies are copied where they belong as they
 * arrive, into memory that was used before: fresh megabytes cost a fault for each page. It reads nothing of what it holds.
 */
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Problem } from '../errors.ts'
import { unpacked, unpackingProblem } from './content-encoding.ts'

/** Bodies of at least so many bytes get memory from the pool; below it, collecting the parts costs less. */
export const POOLED_BYTES = 64 * 1024
/** Sizes are rounded up to this, so that bodies of about the same size share memory. */
const STEP_BYTES = 256 * 1024

/** Memory for bodies, lent and taken back; bounded, and nobody waits for it. */
export class BodyPool {
  readonly #limit: number
  #bytes = 0
  /** Lent and idle ones. */
  readonly #idle: Buffer[] = []

  /** @param limit bytes of all memory together, lent or idle */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes that are held, lent or idle. */
  get bytes(): number {
    return this.#bytes
  }

  /** Room for so many bytes or some more; undefined where too much is lent already. */
  take(bytes: number): Buffer | undefined {
    const size = Math.ceil(bytes / STEP_BYTES) * STEP_BYTES
    const place = this.#idle.findIndex(({ length }) => length === size)
    if (place >= 0) return this.#idle.splice(place, 1)[0]
    while (this.#bytes + size > this.#limit && this.#idle.length > 0) this.#drop(this.#idle.shift()!)
    if (this.#bytes + size > this.#limit) return undefined
    this.#bytes += size
    return Buffer.allocUnsafeSlow(size)
  }

  /** Nobody reads it any more. */
  giveBack(memory: Buffer) {
    this.#idle.push(memory)
  }

  /** Somebody may still read it: it is left to the garbage collector. */
  forget(memory: Buffer) {
    this.#drop(memory)
  }

  #drop({ length }: Buffer) {
    this.#bytes -= length
  }
}

/** Bytes of large bodies that are read in one round of the event loop, whoever sent them. */
const ROUND_BYTES = 1024 * 1024
/** How many go on in a round: Node hands out 64 kB at a time. */
const ROUND_UPLOADS = 16
/** Bytes of large bodies that have arrived and are not dealt with, beyond which others wait on their connections. */
const BACKLOG_BYTES = 32 * 1024 * 1024

/**
 * Holds large bodies to a share of each round of the event loop: libuv reads up to 2 MB a connection before it looks at
 * anything else, and with several of them whoever waits for the loop would wait for all.
 */
class Intake {
  #bytes = 0
  /** Of bodies that have arrived. */
  #backlog = 0
  #isWaiting = false
  #paused: Upload[] = []

  /** To be told of every part of a large body; pauses it where the round's share is used up. */
  count({ length }: Buffer, upload: Upload) {
    this.#wait()
    this.#bytes += length
    if (this.#bytes < ROUND_BYTES) return
    upload.source.pause()
    this.#paused.push(upload)
  }

  #wait() {
    if (this.#isWaiting) return
    this.#isWaiting = true
    setImmediate(() => this.#begin())
  }

  /** A body is there as a whole. */
  arrived(bytes: number) {
    this.#backlog += bytes
  }

  /** It was dealt with. */
  left(bytes: number) {
    this.#backlog -= bytes
    if (this.#paused.length > 0) this.#wait()
  }

  /** The oldest go on, so that a thousand at once are not all held in part until the last of them has arrived. */
  #begin() {
    this.#bytes = 0
    this.#isWaiting = false
    // Those who leave will begin the next.
    if (this.#backlog > BACKLOG_BYTES) return
    this.#paused.sort((a, b) => a.order - b.order)
    for (const { source } of this.#paused.splice(0, ROUND_UPLOADS)) source.resume()
    if (this.#paused.length > 0) this.#wait()
  }
}

/** A large body on its way. */
interface Upload {
  readonly source: Readable
  /** Older ones have lower ones. */
  readonly order: number
}

let uploads = 0

/** One event loop, one share. */
const intake = new Intake()

/** A body that has arrived. */
export interface Body {
  readonly bytes: Uint8Array
  /** To be called when it was dealt with; `unread` says that no view of the bytes is read any more, so that their memory may be used again. */
  leave(unread: boolean): void
}

/** Is told how it ended: one of both, once. */
export interface Receiver {
  /**
   * Asked before more of a large body is read.
   *
   * @throws Problem where it no longer can be
   */
  goOn?(): void
  take(body: Body): void
  fail(error: Error): void
}

/**
 * Reads a body.
 *
 * @param limit most bytes
 * @param receiver gets the body, or Problem `payload-too-large`, or the connection's own error
 * @example
 * receiveBody(request.raw, 2 ** 20, new BodyPool(2 ** 26), { take: ({ bytes }) => {}, fail: (error) => {} })
 */
export function receiveBody(raw: IncomingMessage, limit: number, pool: BodyPool, receiver: Receiver): void {
  const source = unpacked(raw)
  const declared = source === raw ? Number(raw.headers['content-length'] ?? 0) : 0
  const isPooled = declared >= POOLED_BYTES
  // Of a larger one the first part is kept as it is: those who wait for their turn take no memory from those who do not.
  let arrival: Arrival = (isPooled && declared <= STEP_BYTES && Room.of(declared, pool)) || new Parts()
  let open = true
  let upload: Upload | undefined
  const end = (error?: Error) => {
    if (!open) return
    open = false
    if (error === undefined) {
      if (upload !== undefined) arrival.count()
      return receiver.take(arrival)
    }
    arrival.leave(true)
    if (source !== raw) abandon(raw, source)
    receiver.fail(source === raw ? error : unpackingProblem(raw, error))
  }
  const more = (part: Buffer) => {
    upload ??= { source, order: uploads++ }
    intake.count(part, upload)
    try {
      receiver.goOn?.()
    } catch (error) {
      end(error as Error)
    }
  }
  source.on('data', (part: Buffer) => {
    // What is dropped has its share, too: it is memory until the collector comes.
    if (!open) return upload && intake.count(part, upload)
    if (arrival.length + part.length > limit) return end(tooLong(limit))
    if (isPooled && arrival.length > 0) arrival = arrival.moved(declared, pool)
    arrival.add(part)
    if (arrival.length > POOLED_BYTES) more(part)
  })
  source.on('end', () => end())
  source.on('error', end)
}

/** The rest is not unpacked. */
function abandon(raw: IncomingMessage, source: Readable) {
  raw.unpipe()
  source.destroy()
}

function tooLong(limit: number): Problem {
  return new Problem('payload-too-large', `a body may have ${limit} bytes`)
}

/** Where the parts of a body go. */
abstract class Arrival implements Body {
  #counted = 0
  length = 0
  abstract get bytes(): Uint8Array
  abstract add(part: Buffer): void
  protected abstract free(unread: boolean): void

  /** Itself, or what has come so far in memory for all of it. */
  moved(_declared: number, _pool: BodyPool): Arrival {
    return this
  }

  /** It belongs to the backlog until it was dealt with. */
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

/** Collects them, and joins them where there are several. */
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
    // Asked once: it would have to be copied again and again else.
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

/** Copies them to their place at once; Node's parser holds the body to the length that was declared. */
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
