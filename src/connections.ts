/**
 * Connection draining and slow-reader timeouts: tracks the open connections of the server, finds clients that no longer
 * read, and closes connections gracefully at shutdown. This file knows nothing about the content of requests.
 */
import type { IncomingMessage } from 'node:http'
import { type Server, type Socket, Server as TcpServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * How often open connections are checked during the drain, in ms. A connection must be quiet for one tick before it
 * is closed.
 */
const DRAIN_TICK_MS = 50
/**
 * How long a closed connection is still read, so that the client of a late request gets an end of stream instead of
 * a reset, in ms.
 */
const LINGER_MS = 500
/** How many times the readers are checked within their timeout; they are checked at least once per second. */
const LOOKS = 8

/**
 * The latest request of a connection. It is a property, because a lookup elsewhere would cost more for every
 * request.
 */
const LATEST = Symbol('latest request')

/** Set when a connection was cut off; Node then reports its response as finished. */
const CUT = Symbol('cut off')

/** What Node keeps on a socket in addition to its public members. */
interface HttpSocket extends Socket {
  [LATEST]?: IncomingMessage
  [CUT]?: true
  /** The response that is being written or waited for. */
  readonly _httpMessage?: unknown
  /** Bytes of the current write that the kernel has not accepted yet. */
  readonly _handle?: { readonly writeQueueSize?: number } | null
}

/** A socket of TLS, and the one that it reads from and writes to. */
interface SecureSocket extends HttpSocket {
  readonly _parent?: HttpSocket | null
}

/** How far a connection had got at a check, and since when it has not moved. */
interface Place {
  /** Bytes of completed writes, and bytes of the current write that are left. */
  readonly done: number
  readonly left: number
  readonly since: number
}

/**
 * HTTP/1.1 has only one way to close a keep-alive connection without losing a request in flight: the previous response
 * says `Connection: close`. If a connection is simply closed, a request may be on its way, and its client gets a reset.
 */
export class Connections {
  readonly #servers = new Set<Server>()
  readonly #open = new Set<HttpSocket>()
  #phase: 'serving' | 'closing' | 'farewell' | 'overdue' = 'serving'

  /** Tracks the connections of a server from now on. A server that is already tracked is ignored. */
  watch(server: Server): void {
    if (this.#servers.has(server)) return
    this.#servers.add(server)
    server.on('connection', (socket: Socket) => this.#track(socket))
    // With TLS, requests belong to a socket of their own, which takes the place of the one below it.
    server.on('secureConnection', (socket: SecureSocket) => {
      if (socket._parent) this.#open.delete(socket._parent)
      this.#track(socket)
    })
  }

  #track(socket: HttpSocket) {
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
  }

  /** Number of open connections. */
  get count(): number {
    return this.#open.size
  }

  /** Whether the process is shutting down. */
  get isClosing(): boolean {
    return this.#phase !== 'serving'
  }

  /** Whether the process waits for its last responses: one that could go on for long should end. */
  get isDraining(): boolean {
    return this.#phase === 'farewell' || this.#phase === 'overdue'
  }

  /** Must be called for every request as it begins. */
  arrived(request: IncomingMessage): void {
    ;(request.socket as HttpSocket)[LATEST] = request
  }

  /** The process will shut down soon; nothing else changes. */
  beginClosing(): void {
    if (this.#phase === 'serving') this.#phase = 'closing'
  }

  /**
   * Whether the response to a request must be the last one of its connection. Later pipelined requests would be
   * lost.
   */
  isLast(request: IncomingMessage): boolean {
    if (!this.isDraining) return false
    return this.#phase === 'overdue' || (request.socket as HttpSocket)[LATEST] === request
  }

  /** Whether the connection of a request was closed because its client stopped reading. */
  wasCut(request: IncomingMessage): boolean {
    return (request.socket as HttpSocket)[CUT] === true
  }

  /**
   * Stops accepting connections, and resolves when all open connections have ended. Each is closed after a response
   * with `Connection: close`, or, if no request arrives on it, when the grace period is over.
   *
   * @param graceMs how long connections without a pending request stay open
   * @example
   * await connections.drain(2000)
   */
  async drain(graceMs: number): Promise<void> {
    await this.#stopListening()
    // Not earlier: a client that is told to close reconnects at once, and the system resets connections that wait
    // to be accepted.
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
    // Stops Node's own timers.
    for (const server of this.#servers) server.close()
  }

  async #stopListening() {
    // Right after a poll, no connection is still waiting to be accepted; the system would reset it.
    await new Promise((resolve) => setImmediate(resolve))
    for (const server of this.#servers) {
      // Fastify closes its second server (`localhost` has two addresses) when the first one is closed, with the
      // close() of http.
      server.removeAllListeners('close')
      // The close() of http would also close all idle connections, even if a request is on its way on one of them.
      TcpServer.prototype.close.call(server)
    }
  }

  /**
   * Closes connections whose client has read nothing for this long.
   *
   * @returns a function that stops the check
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

/** No response is pending, and nothing has arrived since the last check. */
function isQuiet(
  { _httpMessage, bytesRead, writableEnded }: HttpSocket,
  before: number | undefined,
): boolean {
  return !_httpMessage && bytesRead === before && !writableEnded
}

/**
 * A request that is on its way is read and dropped. Clients retry after an end of stream, but report a reset as an
 * error.
 */
function closeGently(socket: Socket) {
  socket.end()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/**
 * The progress of a connection, with the time since which no write has finished and the current one has not
 * advanced.
 */
function placeOf(socket: HttpSocket, before: Place | undefined, now: number): Place {
  const done = socket.bytesWritten - socket.writableLength
  const left = socket._handle?.writeQueueSize ?? 0
  return before?.done === done && before.left === left ? before : { done, left, since: now }
}
