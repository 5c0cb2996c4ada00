/**
 * One end of the transport between two processes: messages in order over a pipe, with large arrays through
 * shared-memory slots.
 */
import type { Socket } from 'node:net'
import { FrameReader, frameOf, pack, unpack } from './frames.ts'
import type { SharedMemorySlots } from './shared-memory-slots.ts'

/** From this size on, shared memory is faster than the pipe. */
const LARGE_BYTES = 2 ** 18

type Header =
  | { readonly message: unknown }
  /** The payload is in a slot of the sender. */
  | { readonly message: unknown; readonly slot: number; readonly bytes: number }
  /** The receiver has read the slot. */
  | { readonly emptied: number; readonly bytes: number }

export interface LinkOptions {
  readonly pipe: Socket
  readonly outgoing: SharedMemorySlots
  readonly incoming: SharedMemorySlots
  readonly onMessage: (message: unknown) => void
}

export class IpcTransport {
  readonly #pipe: Socket
  readonly #outgoing: SharedMemorySlots
  readonly #incoming: SharedMemorySlots
  readonly #onMessage: (message: unknown) => void
  readonly #sending: Order
  readonly #receiving: Order

  constructor({ pipe, outgoing, incoming, onMessage }: LinkOptions) {
    this.#pipe = pipe
    this.#outgoing = outgoing
    this.#incoming = incoming
    this.#onMessage = onMessage
    // If messages are lost, the connection is useless.
    const fail = (error: Error) => pipe.destroy(error)
    this.#sending = new Order(fail)
    this.#receiving = new Order(fail)
    const frames = new FrameReader((header, payload) => this.#hear(header as Header, payload))
    pipe.on('data', (chunk: Uint8Array) => frames.push(chunk))
    // If the other side has ended, its process or the end of the pipe reports it.
    pipe.on('error', () => {})
  }

  /** @param sent is called when the message's arrays are no longer needed */
  send(message: unknown, sent?: () => void) {
    const { rest, pieces, bytes } = pack(message)
    const direct = () => this.#write(frameOf({ message: rest }, pieces, bytes), sent)
    if (bytes < LARGE_BYTES) return this.#sending.next(direct)
    this.#sending.next(async () => {
      const slot = await this.#outgoing.put(pieces)
      if (slot === undefined) return direct()
      this.#write(frameOf({ message: rest, slot, bytes }))
      sent?.()
    })
  }

  #hear(header: Header, payload: ArrayBuffer) {
    if ('emptied' in header) {
      void this.#outgoing.empty(header.emptied, header.bytes)
      return
    }
    if (!('slot' in header))
      return this.#receiving.next(() => this.#onMessage(unpack(header.message, payload)))
    const { message, slot, bytes } = header
    this.#receiving.next(async () => {
      const found = await this.#incoming.take(slot, bytes)
      this.#write(frameOf({ emptied: slot, bytes } satisfies Header))
      this.#onMessage(unpack(message, found))
    })
  }

  #write(parts: Uint8Array[], sent?: () => void) {
    const last = parts.pop()!
    this.#pipe.cork()
    for (const part of parts) this.#pipe.write(part)
    this.#pipe.write(last, sent)
    this.#pipe.uncork()
  }
}

/**
 * Runs tasks one after the other, because a message may depend on an earlier one. Runs a task immediately if none
 * is pending.
 */
class Order {
  readonly #fail: (error: Error) => void
  #last: Promise<void> | undefined

  constructor(fail: (error: Error) => void) {
    this.#fail = fail
  }

  next(act: () => Promise<void> | void) {
    const done = this.#last === undefined ? act() : this.#last.then(act)
    if (done === undefined) return
    const settled: Promise<void> = done.catch(this.#fail).finally(() => {
      if (this.#last === settled) this.#last = undefined
    })
    this.#last = settled
  }
}
