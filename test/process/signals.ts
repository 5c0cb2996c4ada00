/** SIGHUP reloads keys and certificates without losing a request, or ends what runs in a terminal; SIGUSR1 opens nothing. */
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, request as open } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { freePort } from '../support/free-port.ts'
import { KeyRing } from '../support/key-ring.ts'
import { check, ROOT, type Service, start } from './service.ts'

const CONNECTIONS = 64
const RELOADS = 10
const made = (file: string) => new URL(`../support/certificates/${file}`, import.meta.url)

export async function checkSignals(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-signals-'))
  const ring = new KeyRing()
  try {
    await checkInspector()
    await checkReload(folder, ring)
    await checkEnd()
    await checkNpm(ring)
    await checkTerminal(ring)
  } finally {
    ring.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function checkInspector() {
  const service = await start()
  for (let i = 0; i < 20; i++) {
    service.child.kill('SIGUSR1')
    await sleep(10)
  }
  check(!service.output().includes('Debugger'), `SIGUSR1 opens the inspector: ${service.output()}`)
  check((await fetch(`${service.url}/health/live`)).status === 200, 'it goes on after SIGUSR1')
  await end(service)
  console.log('signals: SIGUSR1 opens no inspector')
}

interface Load {
  answered: number
  readonly faults: string[]
  readonly certificates: Set<string>
  /** The service was told to end. */
  isEnding: boolean
  /** A connection was refused. */
  isOver: boolean
}

async function checkReload(folder: string, ring: KeyRing) {
  const key = await ring.add()
  renew(folder, 'server')
  const service = await start({
    LOSSD_KEYS: `file:${ring.path}`,
    LOSSD_TLS_CERT: join(folder, 'cert.pem'),
    LOSSD_TLS_KEY: join(folder, 'key.pem'),
  })
  const load: Load = { answered: 0, faults: [], certificates: new Set(), isEnding: false, isOver: false }
  const { port } = new URL(service.url)
  const clients = Array.from({ length: CONNECTIONS }, (_, i) => keepAsking(load, port, key, i % 2 === 0))
  for (let i = 0; i < RELOADS; i++) {
    await sleep(100)
    renew(folder, i % 2 === 0 ? 'renewed' : 'server')
    await ring.add()
    service.child.kill('SIGHUP')
  }
  await sleep(300)
  // Every client goes on until its connection is refused.
  load.isEnding = true
  await end(service)
  await Promise.all(clients)
  check(load.faults.length === 0, `clients see ${load.faults.slice(0, 3).join('; ')}`)
  check(load.answered > 500, `only ${load.answered} requests were answered`)
  check(
    [...load.certificates].sort().join() === 'renewed,server',
    `they saw ${[...load.certificates].join()}`,
  )
  console.log(
    `signals: ${RELOADS} reloads by SIGHUP with keys and TLS, and a drain: ${load.answered} answered, 0 faults`,
  )
}

function renew(folder: string, name: string) {
  copyFileSync(made(`${name}.pem`), join(folder, 'cert.pem'))
  copyFileSync(made(`${name}.key`), join(folder, 'key.pem'))
}

async function keepAsking(load: Load, port: string, key: string, isKept: boolean) {
  const agent = isKept ? new Agent({ keepAlive: true, maxSockets: 1 }) : false
  while (!load.isOver)
    await ask(load, port, key, agent).catch((error: AskError) => {
      if (isRefused(error, load)) load.isOver = true
      else load.faults.push(String(error))
    })
  if (agent !== false) agent.destroy()
}

/**
 * The system resets connections that wait to be accepted when the listener closes. Before the handshake has ended, no request
 * has been sent on it, so none is lost.
 */
function isRefused({ code, isUnsent = false }: AskError, { isEnding }: Load): boolean {
  return code === 'ECONNREFUSED' || (isEnding && isUnsent && code === 'ECONNRESET')
}

interface AskError extends NodeJS.ErrnoException {
  /** The connection had not completed its handshake. */
  readonly isUnsent?: boolean
}

function ask(load: Load, port: string, key: string, agent: Agent | false): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const options = {
    host: '127.0.0.1',
    port,
    path: '/v1/losses/huber',
    method: 'POST',
    ca: readFileSync(made('ca.pem')),
  }
  return new Promise((resolve, reject) => {
    const sent = open({ ...options, agent, headers }, (response) => {
      // Without a new handshake there is none.
      const { CN } = (response.socket as TLSSocket).getPeerCertificate().subject ?? {}
      if (CN !== undefined) load.certificates.add(String(CN))
      if (response.statusCode === 200) load.answered++
      else load.faults.push(`status ${response.statusCode}`)
      response.resume().on('end', resolve).on('error', reject)
    })
    let isSecure = false
    sent.on('socket', (socket) => {
      isSecure = sent.reusedSocket
      if (isSecure) return
      socket.once('secureConnect', () => {
        isSecure = true
      })
    })
    sent.on('error', (error) => reject(Object.assign(error, { isUnsent: !isSecure })))
    sent.end('{"predictions":[1,2],"targets":[1,4]}')
  })
}

async function checkEnd() {
  const service = await start({ LOSSD_LOG_LEVEL: 'info' })
  service.child.kill('SIGHUP')
  check((await service.exit) === 0, `without keys, SIGHUP ends it: ${service.output()}`)
  console.log('signals: SIGHUP ends a service that has nothing to reload')
}

/** npm dies of SIGHUP, so a service that would only reload would stay behind. */
async function checkNpm(ring: KeyRing) {
  const env = { LOSSD_KEYS: `file:${ring.path}`, LOSSD_LOG_LEVEL: 'info' }
  const service = await start(env, ['npm', 'start'], { detached: true })
  const npm = service.child.pid!
  process.kill(childOf(npm), 'SIGHUP')
  await until(
    () => service.output().includes('reloading'),
    `SIGHUP to the service reloads: ${service.output()}`,
  )
  check((await fetch(`${service.url}/health/live`)).status === 200, 'it goes on')
  process.kill(-npm, 'SIGHUP')
  await service.exit
  await until(
    () => service.output().includes('"closed"'),
    `SIGHUP to npm and the service ends both: ${service.output()}`,
  )
  console.log('signals: npm start with keys: SIGHUP to the service reloads, SIGHUP to the group ends it')
}

/** The process that npm's shell has become. */
function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0])
}

/** With keys, too, a service ends with its terminal. */
async function checkTerminal(ring: KeyRing) {
  if (spawnSync('python3', ['--version']).status !== 0) {
    console.log('signals: in a terminal it is not tested here, the machine has no Python')
    return
  }
  const program = new URL('clients/terminal.py', import.meta.url).pathname
  const port = String(await freePort())
  const own = { PORT: port, HOST: '127.0.0.1', LOSSD_ENGINE: 'compiled', LOSSD_KEYS: `file:${ring.path}` }
  const env = { ...process.env, ...own, KEY: await ring.add() }
  const child = spawn('python3', [program, 'close', port], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  for await (const data of child.stdout) said += data
  check(said.trim() === 'answered, gone', `in a terminal with keys: ${said}`)
  console.log('signals: a service with keys ends with its terminal')
}

async function end(service: Service) {
  service.child.kill('SIGTERM')
  check((await service.exit) === 0, `it exits with 0: ${service.output()}`)
}

async function until(holds: () => boolean, promise: string) {
  for (let i = 0; !holds(); i++) {
    check(i < 200, promise)
    await sleep(50)
  }
}
