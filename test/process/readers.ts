/**
 * A thousand clients that never read: memory stays bounded, all are disconnected, and nobody else is rejected
 * afterwards.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { residentMB } from '../../load/process-info.ts'
import { check, start } from './service.ts'

const COUNT = 1000
const BYTES = 1_200_000
/** Of requests waiting for the engine, and of responses waiting for their clients. */
const LIMIT_BYTES = 64 * 1024 * 1024
/**
 * Both limits are 134 MB. The rest is what V8 has not collected yet of the buffers that Node reads into (300 MB on two
 * quiet cores, 700 MB were seen on a slow machine). Without limits the clients would occupy 4 GB: 1.2 MB each for the
 * request, 2.9 MB for the response.
 */
const MOST_MB = 1000
const TIMEOUT_MS = 5000
/** How much garbage the peak includes depends on the load of the machine. */
const ATTEMPTS = 3

export async function checkReaders(): Promise<void> {
  if (process.platform !== 'linux' || spawnSync('python3', ['--version']).status !== 0) {
    console.log('readers: not tested here, it takes Linux and Python')
    return
  }
  const found: number[] = []
  while (found.length < ATTEMPTS && !found.some((most) => most <= MOST_MB))
    found.push(await mostUnderAttack())
  check(Math.min(...found) <= MOST_MB, `${found.join(', ')} MB above the start are more than ${MOST_MB}`)
}

/** @returns how far the peak of the resident memory is above the start, in MB */
async function mostUnderAttack(): Promise<number> {
  const service = await start({
    LOSSD_WRITE_TIMEOUT_MS: String(TIMEOUT_MS),
    // A refusal fits into the buffers of the connection, which is idle from then on.
    LOSSD_KEEP_ALIVE_TIMEOUT_MS: String(TIMEOUT_MS),
    LOSSD_QUEUE_BYTES: String(LIMIT_BYTES),
    LOSSD_OUTBOUND_BYTES: String(LIMIT_BYTES),
    LOSSD_LOG_LEVEL: 'info',
  })
  check((await ask(service.url)) === 200, 'it answers')
  const before = residentMB(service.child.pid!)
  await attack(service.url)
  const most = Math.round(residentMB(service.child.pid!, 'VmHWM') - before)
  const statuses = new Set<number>()
  for (let i = 0; i < 50; i++) statuses.add(await ask(service.url))
  console.log(`readers: ${COUNT} who send ${BYTES} bytes and read nothing: ${most} MB above the start`)
  check([...statuses].join() === '200', `others get ${[...statuses].join()} when they are gone`)
  service.child.kill('SIGTERM')
  check((await service.exit) === 0, 'it ends')
  return most
}

/** Resolves when the service has closed all of them. */
async function attack(url: string) {
  const program = fileURLToPath(new URL('clients/readers.py', import.meta.url))
  const child = spawn('python3', [program, url, String(COUNT), String(BYTES), 'mixed'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // Twice the timeout, in addition to the time that sending and dropping takes.
  const limit = setTimeout(() => child.kill('SIGTERM'), 2 * TIMEOUT_MS + 20_000)
  let last = ''
  for await (const line of createInterface({ input: child.stdout })) last = line
  clearTimeout(limit)
  check(last.includes('"closed", "sent"'), `all connections are closed in time, not ${last}`)
  console.log(`readers: all were closed ${JSON.parse(last).seconds} s after the first`)
}

async function ask(url: string): Promise<number> {
  const response = await fetch(`${url}/v1/losses/huber`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ predictions: [1], targets: [2] }),
  })
  await response.arrayBuffer()
  return response.status
}
