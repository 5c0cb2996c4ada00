/** A network that is slow, narrow, or cuts connections: a proxy between clients and the service. */
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Network {
  /** Each piece of data arrives so much later, in ms, and up to twice that. */
  readonly delayMs?: number
  /** The share of pieces of data with which the connection is cut, by a reset. */
  readonly cuts?: number
  readonly bytesPerSecond?: number
}

export interface NetworkProxy {
  readonly url: string
  /** From now on the network is like this. */
  become(network: Network): void
  /** Connections that were cut. */
  readonly cuts: number
  close(): void
}

/** @example const proxy = await startProxy(service.url, { delayMs: 100 }) */
export async function startProxy(target: string, network: Network): Promise<NetworkProxy> {
  const { hostname, port } = new URL(target)
  const open = new Set<Socket>()
  const state = { network, cuts: 0 }
  const server = createServer((client) => {
    const service = createConnection({ host: hostname, port: Number(port) })
    const both = [client, service]
    for (const socket of both) {
      open.add(socket)
      socket.setNoDelay(true).on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        for (const other of both) other.destroy()
      })
    }
    const cut = () => {
      state.cuts++
      for (const socket of both) socket.resetAndDestroy()
    }
    void pass(client, service, state, cut)
    void pass(service, client, state, cut)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    become: (next) => {
      state.network = next
    },
    get cuts() {
      return state.cuts
    },
    close: () => {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}

async function pass(from: Socket, to: Socket, state: { readonly network: Network }, cut: () => void) {
  try {
    for await (const data of from as AsyncIterable<Buffer>) {
      const { delayMs = 0, cuts = 0, bytesPerSecond } = state.network
      if (Math.random() < cuts) return cut()
      const narrow = bytesPerSecond === undefined ? 0 : (data.length / bytesPerSecond) * 1000
      const ms = delayMs * (1 + Math.random()) + narrow
      if (ms > 0) await sleep(ms)
      if (!to.write(data)) await Promise.race([once(to, 'drain'), once(to, 'close')])
    }
    to.end()
  } catch {
    // The other side has closed the connection.
  }
}
