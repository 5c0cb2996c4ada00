/** The built service and the echo server, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Server {
  readonly url: string
  readonly pid: number
  /** The line that it printed when it was ready. */
  readonly line: string
}

/**
 * Starts a service, runs `use`, and stops the service in any case.
 *
 * @param settings `LOSSD_*` variables
 */
export async function withService<Found>(
  settings: Readonly<Record<string, string>>,
  use: (service: Server) => Promise<Found>,
): Promise<Found> {
  return whileRunning(startService(settings), use)
}

/** The same with an echo server. */
export async function withEcho<Found>(use: (echo: Server) => Promise<Found>): Promise<Found> {
  return whileRunning(startProcess(['--import', 'tsx', 'load/echo.ts'], {}, 'http://'), use)
}

/** The URLs of both sides: a loss, and an echo of the same bytes. */
export function endpointUrls(
  service: Server,
  echo: Server,
  { loss, format }: { loss: string; format: string },
) {
  return { service: `${service.url}/v1/losses/${loss}`, echo: `${echo.url}/echo/${format}` }
}

async function whileRunning<Found>(
  starting: Promise<Started>,
  use: (server: Server) => Promise<Found>,
): Promise<Found> {
  const { server, stop } = await starting
  try {
    return await use(server)
  } finally {
    await stop()
  }
}

export interface Started {
  readonly server: Server
  stop(): Promise<void>
}

/**
 * @param settings `LOSSD_*` variables
 * @throws Error if the service does not start; the message is the last line that it printed
 */
export function startService(settings: Readonly<Record<string, string>>): Promise<Started> {
  // Like `npm start`.
  return startProcess(
    ['--single-threaded-gc', 'dist/server.js'],
    { PORT: '0', HOST: '127.0.0.1', ...settings },
    'lossd listens on',
  )
}

/** The environment variables for glibc in the Docker images, read from the Dockerfile. The echo server gets them, too. */
const IMAGE = Object.fromEntries(
  [...readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8').matchAll(/\b(MALLOC_\w+)=(\d+)/g)].map(
    ([, name, value]) => [name!, value!],
  ),
)
if (Object.keys(IMAGE).length === 0) throw new Error('the Dockerfile sets no variables for glibc')

async function startProcess(
  args: string[],
  env: Readonly<Record<string, string>>,
  ready: string,
): Promise<Started> {
  const child = spawn(process.execPath, args, {
    env: { ...inherited(), ...IMAGE, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const line = await lineWith(child, ready)
    const server = { url: /http:\/\/[\d.:]+/.exec(line)![0], pid: child.pid!, line }
    return { server, stop: () => stop(child) }
  } catch (error) {
    await stop(child)
    throw error
  }
}

/** The service rejects unknown `LOSSD_*` variables, and the benchmark has one of its own. */
function inherited(): NodeJS.ProcessEnv {
  const { LOSSD_BENCH_PYTHON: _, ...env } = process.env
  return env
}

/**
 * The first line of a process's output that contains a text. Later output is discarded, so that the pipe does not
 * fill up.
 */
async function lineWith(child: ChildProcess, text: string): Promise<string> {
  let last = ''
  for await (const line of createInterface({ input: child.stdout! })) {
    last = line
    if (!line.includes(text)) continue
    child.stdout!.resume()
    return line
  }
  throw new Error(`${child.spawnargs.join(' ')} ended: ${messageOf(last)}`)
}

/** The message of a line of the service's log; any other line as it is. */
function messageOf(line: string): string {
  try {
    return JSON.parse(line).msg
  } catch {
    return line
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill()
  await gone
}
