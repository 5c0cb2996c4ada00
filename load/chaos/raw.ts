/** Connections that behave badly on purpose: idle, slow, or deaf. */
import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Raw {
  readonly sockets: readonly Socket[]
  /** Connections that the service has ended, by any means. */
  readonly ended: number
  close(): void
}

/** Opens connections, a few at a time, and lets each do something. */
export async function open(
  url: string,
  count: number,
  act: (socket: Socket, place: number) => void,
): Promise<Raw> {
  const { hostname, port } = new URL(url)
  const sockets: Socket[] = []
  let ended = 0
  for (let i = 0; i < count; i++) {
    const socket = createConnection({ host: hostname, port: Number(port) })
    socket.on('error', () => {})
    socket.once('close', () => ended++)
    sockets.push(socket)
    if (i % 50 === 49) await Promise.race([once(socket, 'connect'), once(socket, 'close'), sleep(500)])
    act(socket, i)
  }
  return {
    sockets,
    get ended() {
      return ended
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** Says nothing. */
export function idle(socket: Socket) {
  // So that it notices its end.
  socket.resume()
}

/** Sends a large request and never reads the answer. */
export function deaf(body: Buffer) {
  return (socket: Socket) => {
    socket.pause()
    socket.write(head(body.length))
    socket.write(body)
  }
}

/** Sends its body one byte at a time. */
export function slow(body: Buffer, everyMs: number) {
  return (socket: Socket) => {
    socket.write(head(body.length))
    let at = 0
    const timer = setInterval(() => {
      if (socket.destroyed || at === body.length) return clearInterval(timer)
      socket.write(body.subarray(at, ++at))
    }, everyMs)
    socket.once('close', () => clearInterval(timer))
    // The answer is read.
    socket.resume()
  }
}

function head(length: number): string {
  return `POST /v1/losses/huber HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`
}
