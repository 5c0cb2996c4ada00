/** Listens in the place of the workers, which get the connections unread. */
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { type AddressInfo, createServer, isIP, type Server, type Socket } from 'node:net'

export class Listener {
  readonly #servers: Server[] = []
  readonly #onConnection: (connection: Socket) => void

  private constructor(onConnection: (connection: Socket) => void) {
    this.#onConnection = onConnection
  }

  /**
   * Listens on all addresses of a host (`localhost` has two), on the same port.
   *
   * @throws Error of the system, for example that the port is in use
   */
  static async open(
    { host, port }: { readonly host: string; readonly port: number },
    onConnection: (connection: Socket) => void,
  ): Promise<Listener> {
    const listener = new Listener(onConnection)
    for (const address of await addressesOf(host)) await listener.#listen(address, listener.#port(port))
    return listener
  }

  get address(): AddressInfo {
    return this.#servers[0].address() as AddressInfo
  }

  /** Stops accepting connections. */
  async close() {
    // Right after a poll, no connection is still waiting to be accepted; the system would reset it.
    await new Promise((resolve) => setImmediate(resolve))
    for (const server of this.#servers) server.close()
  }

  #port(wanted: number): number {
    return this.#servers.length === 0 ? wanted : this.address.port
  }

  async #listen(host: string, port: number) {
    // As Node's HTTP server accepts them.
    const server = createServer(
      { pauseOnConnect: true, noDelay: true, allowHalfOpen: true },
      this.#onConnection,
    )
    server.listen({ host, port })
    await once(server, 'listening')
    this.#servers.push(server)
  }
}

async function addressesOf(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host]
  const found = await lookup(host, { all: true })
  return [...new Set(found.map(({ address }) => address))]
}
