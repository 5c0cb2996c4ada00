/** A port for what must know its port before it starts. */
import { once } from 'node:events'
import { createServer } from 'node:net'

/** Below the ports that systems give to outgoing connections, which keep a port for a minute after they have ended. */
const LOWEST = 10_000
const COUNT = 20_000

/** A port on which nobody listens; each process begins its search elsewhere. */
export async function freePort(): Promise<number> {
  for (let i = 0; i < COUNT; i++) {
    const port = LOWEST + ((process.pid + i) % COUNT)
    if (await isFree(port)) return port
  }
  throw new Error('no port is free')
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}
