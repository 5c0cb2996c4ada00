/**
 * The server's connections: which are open, who no longer reads, and how they end. HTTP/1.1 has one way to close a kept
 * connection without losing what is on its way: the answer before says `Connection: close`. A connection that is merely
 * closed may have a request in flight, and its sender gets a reset. It knows no requests' content.
 */
import type { IncomingMessage } from 'node:http'
import { type Server, type Socket, Server as TcpServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How often open connections are looked at while they drain, in ms. A connection must be quiet for one of them to be closed. */
const DRAIN_TICK_MS = 50
/** How long a closed connection is still read, so that what its caller had sent is met by an end and no reset, in ms. */
const LINGER_MS = 500
/** Readers are looked at so many times within their timeout, and once a second at least. */
const LOOKS = 8

/** The latest request of a connection. A property, because looking it up elsewhere would cost each request more. */
const LATEST = Symbol('latest request')

/** Set where a connection was cut off; Node then says of its response that it is finished. */
const CUT = Symbol('cut off')

/** What Node keeps on a socket beside its public members. */
interface HttpSocket extends Socket {
  [LATEST]?: IncomingMessage
  [CUT]?: true
  /** The response that is being written or waited for. */
  readonly _httpMessage?: unknown
  /** Bytes of the write under way that the kernel has not taken. */
  readonly _handle?: { readonly writeQueueSize?: number } | null
}

/** How far a connection was at a look, and since when it is there. */
interface Place {
  /** Bytes of writes that are done, and those of the one under way that are not. */
  readonly done: number
  readonly left: number
  readonly since: number
}

export class Connections {
  readonly #servers = new Set<Server>()
  readonly #open = new Set<HttpSocket>()
  #phase: 'serving' | 'closing' | 'farewell' | 'overdue' = 'serving'

  /** Takes note of a server's connections from now on; of one that is known already nothing changes. */
  watch(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    server.on('connection', (socket: Socket) => {
      this.#open.add(socket)
      socket.once('close', () => this.#open.delete(socket))
    })
  }

  /** Connections that are open now. */
  get count(): number {
    return this.#open.size
  }

  /** Whether the process is going down. */
  get isClosing(): boolean {
    return this.#phase !== 'serving'
  }

  /** To be told of every request as it begins. */
  arrived(request: IncomingMessage): void {
    ;(request.socket as HttpSocket)[LATEST] = request
  }

  /** The process will go down soon; nothing else changes. */
  beginClosing(): void {
    if (this.#phase === 'serving') this.#phase = 'closing'
  }

  /** Whether a request's answer is to be its connection's last: what is pipelined behind it would be lost. */
  isLast(request: IncomingMessage): boolean {
    if (this.#phase === 'serving' || this.#phase === 'closing') return false
    return this.#phase === 'overdue' || (request.socket as HttpSocket)[LATEST] === request
  }

  /** Whether a request's connection was closed because its reader took nothing. */
  wasCut(request: IncomingMessage): boolean {
    return (request.socket as HttpSocket)[CUT] === true
  }

  /**
   * Accepts no new connection, and resolves when those that are open have ended: each after an answer that said so, or,
   * where nothing was asked on it, when the grace is over.
   *
   * @param graceMs how long connections on which nothing is due stay open
   * @example
   * await connections.drain(2000)
   */
  async drain(graceMs: number): Promise<void> {
    await this.#stopListening()
    // Not before: whoever is told would come back at once, and those who wait to be accepted are reset by the system.
    this.#phase = 'farewell'
    const end = performance.now() + graceMs
    let before = new Map<HttpSocket, number>()
    while (this.#open.size > 0) {
      await sleep(Math.min(DRAIN_TICK_MS, Math.max(1, graceMs)))
      if (performance.now() >= end) {
        this.#phase = 'overdue'
        for (const socket of this.#open) if (isQuiet(socket, before.get(socket))) closeGently(socket)
      }
      before = new Map([...this.#open].map((socket) => [socket, socket.bytesRead]))
    }
    // The timers of Node's own.
    for (const server of this.#servers) server.close()
  }

  async #stopListening() {
    // Right after a poll nobody who has connected is still to be accepted: the system would reset them.
    await new Promise((resolve) => setImmediate(resolve))
    for (const server of this.#servers) {
      // Fastify closes its second server (`localhost` has two addresses) when the first one has closed, as http does it.
      server.removeAllListeners('close')
      // That of http closes all idle connections, whatever is on its way on them.
      TcpServer.prototype.close.call(server)
    }
  }

  /**
   * Closes connections whose reader takes nothing for so long.
   *
   * @returns ends the watch
   */
  closeStalled(timeoutMs: number, onClose: (socket: Socket) => void): () => void {
    let places = new Map<HttpSocket, Place>()
    const look = () => {
      const now = performance.now()
      const next = new Map<HttpSocket, Place>()
      for (const socket of this.#open) {
        if (socket.writableLength === 0) continue
        const place = placeOf(socket, places.get(socket), now)
        if (now - place.since < timeoutMs) next.set(socket, place)
        else {
          onClose(socket)
          socket[CUT] = true
          // Nobody reads what is left.
          socket.resetAndDestroy()
        }
      }
      places = next
    }
    const timer = setInterval(look, Math.min(1000, Math.ceil(timeoutMs / LOOKS)))
    timer.unref()
    return () => clearInterval(timer)
  }
}

/** Nothing is due on it, and nothing has come since the last look. */
function isQuiet(
  { _httpMessage, bytesRead, writableEnded }: HttpSocket,
  before: number | undefined,
): boolean {
  return !_httpMessage && bytesRead === before && !writableEnded
}

/** A request that crosses the end on its way is read and dropped: clients repeat what met an end, and report a reset. */
function closeGently(socket: Socket) {
  socket.end()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/** Since when neither a write has ended nor the one under way has shrunk. */
function placeOf(socket: HttpSocket, before: Place | undefined, now: number): Place {
  const done = socket.bytesWritten - socket.writableLength
  const left = socket._handle?.writeQueueSize ?? 0
  return before?.done === done && before.left === left ? before : { done, left, since: now }
}
