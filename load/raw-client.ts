/**
 * A client that sends the same request again and again, at the least cost: it shares its cores with the service that it measures.
 * It keeps connections, and reads of each response the status and how long it is.
 */
import { createConnection, type Socket } from 'node:net'

export interface RawClientOptions {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export class RawClient {
  readonly #to: URL
  readonly #request: Buffer
  readonly #idle: Connection[] = []
  readonly #open = new Set<Connection>()

  constructor({ url, headers, body }: RawClientOptions) {
    this.#to = new URL(url)
    const fields = { Host: this.#to.host, 'Content-Length': body.length, ...headers }
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
    this.#request = Buffer.concat([
      Buffer.from(`POST ${this.#to.pathname} HTTP/1.1\r\n${lines.join('')}\r\n`),
      body,
    ])
  }

  /** @returns the status; 0 if the connection broke */
  async send(): Promise<number> {
    const connection = this.#idle.pop() ?? this.#connect()
    const status = await connection.ask(this.#request)
    if (connection.isOpen) this.#idle.push(connection)
    else this.#open.delete(connection)
    return status
  }

  close() {
    for (const connection of this.#open) connection.end()
  }

  #connect(): Connection {
    const connection = new Connection(this.#to)
    this.#open.add(connection)
    return connection
  }
}

const MEMORY_BYTES = 2 ** 16
const HEAD_END = '\r\n\r\n'

/** One connection, with one request at a time. */
class Connection {
  readonly #socket: Socket
  #isOpen = true
  #head = ''
  /** Bytes of the response that have not arrived yet, once its head has. */
  #left: number | undefined
  #status = 0
  #settle: ((status: number) => void) | undefined

  constructor({ hostname, port }: URL) {
    const buffer = Buffer.allocUnsafeSlow(MEMORY_BYTES)
    const callback = (bytes: number) => {
      this.#hear(buffer.subarray(0, bytes))
      return true
    }
    this.#socket = createConnection({ host: hostname, port: Number(port), onread: { buffer, callback } })
    this.#socket.setNoDelay(true)
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      this.#isOpen = false
      this.#finish(0)
    })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  ask(request: Uint8Array): Promise<number> {
    return new Promise((resolve) => {
      this.#settle = resolve
      this.#socket.write(request)
    })
  }

  end() {
    this.#socket.destroy()
  }

  #hear(bytes: Buffer) {
    const body = this.#left === undefined ? this.#readHead(bytes) : bytes.length
    if (this.#left === undefined) return
    this.#left -= body
    if (this.#left <= 0) this.#finish(this.#status)
  }

  /** @returns how many bytes follow the head */
  #readHead(bytes: Buffer): number {
    const before = this.#head.length
    this.#head += bytes.toString('latin1')
    const end = this.#head.indexOf(HEAD_END)
    if (end < 0) return 0
    const length = /^content-length: *(\d+)/im.exec(this.#head)
    if (length === null) throw new Error('a response without a Content-Length')
    this.#status = Number(this.#head.slice(9, 12))
    this.#left = Number(length[1])
    if (/^connection: *close/im.test(this.#head.slice(0, end))) this.#isOpen = false
    return bytes.length - (end + HEAD_END.length - before)
  }

  #finish(status: number) {
    this.#head = ''
    this.#left = undefined
    this.#settle?.(status)
    this.#settle = undefined
  }
}
