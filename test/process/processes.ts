/** Several processes behind one port: reload, crash, drain, and what they share. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { childrenOf, isThere } from '../../load/process-info.ts'
import { KeyRing } from '../support/key-ring.ts'
import { swiftshaderEnvironment } from '../support/swiftshader.ts'
import { clients, run } from './clients.ts'
import { post, send } from './http.ts'
import { check, ROOT, type Service, start } from './service.ts'
import { Steady } from './steady.ts'

const TWO = { LOSSD_PROCESSES: '2', LOSSD_STORE: 'none' }
const CLIENTS = 100
const RELOADS = 3
const made = (file: string) => new URL(`../support/certificates/${file}`, import.meta.url).pathname

const SECURE = { ...TWO, LOSSD_TLS_CERT: made('server.pem'), LOSSD_TLS_KEY: made('server.key') }

const CHECKS = [
  () => checkReload('HTTP', TWO),
  () => checkReload('TLS', SECURE),
  checkDrains,
  checkCrash,
  checkFailedReload,
  checkOrphans,
  checkShared,
  checkQuotas,
  checkFirstProcess,
  checkSharedDevice,
]

export async function checkProcesses(): Promise<void> {
  if (process.platform !== 'linux') {
    console.log('processes: not tested here, it takes Linux')
    return
  }
  for (const one of CHECKS) await one()
}

async function checkReload(name: string, settings: Readonly<Record<string, string>>) {
  const service = await start(settings)
  const steady = new Steady({ url: service.url, clients: CLIENTS })
  await steady.warm()
  const before = workersOf(service)
  check(before.length === 2, `${before.length} workers serve`)
  for (let i = 0; i < RELOADS; i++) {
    const earlier = workersOf(service)
    service.child.kill('SIGHUP')
    await until(() => {
      const now = workersOf(service)
      return now.length === 2 && !now.some((pid) => earlier.includes(pid))
    }, `both are replaced: ${service.output()}`)
  }
  await steady.stop()
  checkClean(steady, `${name}: ${RELOADS} reloads`)
  await end(service)
  console.log(
    `processes: ${RELOADS} reloads by SIGHUP under ${CLIENTS} clients over ${name}: ${steady.answered} answered, 0 refused, 0 reset`,
  )
}

/** The drain of one process, in clients of three languages, holds for several. */
async function checkDrains() {
  for (const { language, command } of clients()) {
    if (command === undefined) continue
    for (const count of [24, 500]) {
      const service = await start(TWO)
      const { warm, outcome } = run(command, service.url, count)
      await warm
      await sleep(50 + Math.random() * 50)
      service.child.kill('SIGTERM')
      const { answered, faults } = await outcome
      check(Object.keys(faults).length === 0, `${count} clients in ${language} see ${JSON.stringify(faults)}`)
      const code = await service.exit
      check(code === 0, `it exits with 0, not ${code}: ${service.output()}`)
      console.log(`processes: SIGTERM with ${count} clients in ${language}: ${answered} answered, 0 faults`)
    }
  }
}

async function checkCrash() {
  const service = await start(TWO)
  const steady = new Steady({ url: service.url, clients: CLIENTS })
  await steady.warm()
  const [first] = workersOf(service)
  process.kill(first!, 'SIGKILL')
  const began = performance.now()
  await until(
    () => workersOf(service).length === 2 && !workersOf(service).includes(first!),
    'it is started again',
  )
  await until(async () => (await metric(service, 'lossd_processes')) === 2, 'both serve')
  const seconds = (performance.now() - began) / 1000
  const reset = steady.faults.length
  await sleep(300)
  check(steady.faults.length === reset, 'nobody notices the new one')
  await steady.stop()
  check(steady.wrong === 0, 'no answer is wrong')
  // What it was working on is lost with it: at most one request of each client.
  check(reset <= CLIENTS, `${reset} requests are lost: ${[...new Set(steady.faults)].join('; ')}`)
  check(
    steady.faults.every((fault) => fault === 'ECONNRESET' || fault === 'EPIPE' || fault === 'socket hang up'),
    `clients see ${[...new Set(steady.faults)].join('; ')}`,
  )
  await end(service)
  console.log(
    `processes: SIGKILL of one of two: ${reset} requests were in it, both serve after ${seconds.toFixed(1)} s`,
  )
}

/** A new process that cannot start replaces nothing. */
async function checkFailedReload() {
  const ring = new KeyRing()
  try {
    const key = await ring.add()
    const service = await start({ ...TWO, LOSSD_KEYS: `file:${ring.path}` })
    const steady = new Steady({
      url: service.url,
      clients: 10,
      headers: { authorization: `Bearer ${key}` },
    })
    await steady.warm(100)
    const before = workersOf(service)
    writeFileSync(ring.path, '{')
    service.child.kill('SIGHUP')
    await until(() => service.output().includes('the reload has stopped'), `it says so: ${service.output()}`)
    await steady.stop()
    checkClean(steady, 'a reload that fails')
    await until(() => workersOf(service).join() === before.join(), 'the earlier ones stay')
    await end(service)
    console.log('processes: a reload with keys that cannot be read leaves the earlier processes as they are')
  } finally {
    ring.remove()
  }
}

/** A worker whose parent is gone answers what it has, and ends. */
async function checkOrphans() {
  const service = await start(TWO)
  const workers = workersOf(service)
  const rows = 1500
  const body = JSON.stringify({
    embeddings: Array.from({ length: rows }, (_, i) => [i % 7, i % 5]),
    labels: Array.from({ length: rows }, (_, i) => i % 3),
  })
  const asked = [1, 2, 3, 4].map(() => post(`${service.url}/v1/losses/nt_xent`, body))
  await sleep(100)
  service.child.kill('SIGKILL')
  const statuses = (await Promise.all(asked)).map(({ status }) => status)
  check(statuses.join() === '200,200,200,200', `what was accepted is answered: ${statuses}`)
  await until(() => !workers.some(isThere), 'no worker stays behind')
  console.log(
    'processes: SIGKILL of the parent: 4 of 4 requests in flight are answered, and nothing stays behind',
  )
}

/** Registered losses, metrics and engines are those of all processes. */
async function checkShared() {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-processes-'))
  try {
    const service = await start({ ...TWO, LOSSD_STORE: `file:${folder}/lossd.db` })
    const body = readFileSync(join(ROOT, 'docs/cookbook/trend.json'), 'utf8')
    const registered = await post(`${service.url}/v1/losses`, body)
    check(registered.status === 201, `it is registered: ${registered.text}`)
    // Each has a connection of its own, so both processes are asked.
    const found = await Promise.all(
      Array.from({ length: 20 }, () => send(`${service.url}/v1/losses/cookbook/trend`)),
    )
    check(
      found.every(({ status }) => status === 200),
      `all processes know it at once: ${found.map(({ status }) => status)}`,
    )
    const before = await metric(service, 'lossd_requests_total{loss="huber",format="json",status="200"}')
    check(before === 0, 'nothing was asked yet')
    for (let i = 0; i < 30; i++)
      await post(`${service.url}/v1/losses/huber`, '{"predictions":[1],"targets":[2]}')
    for (let i = 0; i < 4; i++) {
      const count = await metric(service, 'lossd_requests_total{loss="huber",format="json",status="200"}')
      check(count === 30, `each process counts all requests, not ${count}`)
    }
    const { engines } = JSON.parse((await send(`${service.url}/v1/engines`)).text)
    check(engines[0].name === 'compiled' && engines[0].isReady, 'the engines of all are one catalog')
    check(engines[0].compiled.misses >= 2, `each has compiled: ${JSON.stringify(engines[0])}`)
    await end(service)
    console.log('processes: a registered loss is known to all at once; metrics and engines are those of all')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A quota is one quota, whichever process a connection belongs to. */
async function checkQuotas() {
  const ring = new KeyRing()
  try {
    const key = await ring.add({ quotas: ['requests=40/h', 'concurrency=1000'] })
    const service = await start({ ...TWO, LOSSD_KEYS: `file:${ring.path}` })
    const headers = { 'x-api-key': key }
    const one = async () =>
      post(`${service.url}/v1/losses/huber`, '{"predictions":[1],"targets":[2]}', headers)
    let admitted = 0
    for (let i = 0; i < 60; i++) {
      if ((await one()).status === 200) admitted++
      // Longer than a report takes.
      await sleep(60)
    }
    check(admitted === 40, `${admitted} of a quota of 40 are admitted by two processes`)
    service.child.kill('SIGHUP')
    await until(() => service.output().includes('"reloaded"'), 'it reloads')
    const { status } = await one()
    check(status === 429, `a new process does not bring a new quota: ${status}`)
    await end(service)
    const burst = await burstOf(ring)
    console.log(
      `processes: a quota of 40 requests admits 40 with two processes, also after a reload; in a burst over 20 connections, ${burst}`,
    )
  } finally {
    ring.remove()
  }
}

/** As fast as 20 connections can: more may be admitted within a report, and are debt. */
async function burstOf(ring: KeyRing): Promise<number> {
  const key = await ring.add({ quotas: ['requests=40/h'] })
  const service = await start({ ...TWO, LOSSD_KEYS: `file:${ring.path}` })
  let admitted = 0
  const client = async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let i = 0; i < 10; i++) {
      const body = '{"predictions":[1],"targets":[2]}'
      const { status } = await post(`${service.url}/v1/losses/huber`, body, { 'x-api-key': key }, agent)
      if (status === 200) admitted++
    }
    agent.destroy()
  }
  await Promise.all(Array.from({ length: 20 }, client))
  check(admitted >= 40 && admitted <= 80, `${admitted} of a quota of 40 are admitted`)
  await end(service)
  return admitted
}

/** As process 1 of a container: signals arrive, and what ends is reaped. */
async function checkFirstProcess() {
  const unshare = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
  if (spawnSync(unshare[0]!, [...unshare.slice(1), 'true']).status !== 0) {
    console.log('processes: process 1 is not tested here, the machine allows no namespaces')
    return
  }
  const command = [...unshare, process.execPath, '--single-threaded-gc', 'dist/server.js']
  const service = await start(TWO, command)
  const [first] = childrenOf(service.child.pid!)
  check(namespaceId(first!) === 1, 'it is process 1')
  for (let i = 0; i < 3; i++) {
    const [worker] = childrenOf(first!)
    process.kill(worker!, 'SIGKILL')
    await until(
      async () => !childrenOf(first!).includes(worker!) && (await metric(service, 'lossd_processes')) === 2,
      'a worker that was killed is reaped and started again',
    )
  }
  check(zombiesOf(first!) === 0, `${zombiesOf(first!)} zombies are left`)
  const steady = new Steady({ url: service.url, clients: 20 })
  await steady.warm(200)
  await steady.stop()
  process.kill(first!, 'SIGTERM')
  check((await service.exit) === 0, `it ends with 0: ${service.output()}`)
  checkClean(steady, 'process 1')
  console.log('processes: as process 1: three crashed workers are reaped, SIGTERM drains')
}

/** A device is opened once, whatever happens to the processes that compute with it, or to its own. */
async function checkSharedDevice() {
  const driver = swiftshaderEnvironment()
  if (driver.VK_DRIVER_FILES === undefined) return
  const service = await start({ ...TWO, ...driver, LOSSD_ENGINE: 'webgpu' })
  const devices = () => workersOf(service).filter((pid) => commandOf(pid).includes('shared-child'))
  check(devices().length === 1, `${devices().length} processes have opened the device`)
  const steady = new Steady({ url: service.url, clients: 20 })
  await steady.warm(200)
  const [device] = devices()
  service.child.kill('SIGHUP')
  await until(() => service.output().includes('"reloaded"'), `it reloads: ${service.output()}`)
  await steady.stop()
  checkClean(steady, 'a reload with a shared device')
  await until(() => devices().length === 1 && devices()[0] !== device, 'a reload opens the device again')
  const { engines } = JSON.parse((await send(`${service.url}/v1/engines`)).text)
  check(engines[0].name === 'webgpu' && engines[0].isShared, `it is reported: ${JSON.stringify(engines[0])}`)
  process.kill(devices()[0]!, 'SIGKILL')
  const body = '{"predictions":[1],"targets":[2]}'
  const computedBy = async () => {
    const { status, headers } = await post(`${service.url}/v1/losses/huber`, body)
    check(status === 200 || status === 503, `${status} while the device is opened again`)
    return String(headers['server-timing'])
  }
  await until(async () => /engine;desc="compiled"/.test(await computedBy()), 'the standby computes')
  await until(async () => /engine;desc="webgpu"/.test(await computedBy()), 'the device is found again')
  const [again] = devices()
  await end(service)
  await until(() => !isThere(again!), 'the device is closed')
  console.log(
    'processes: a device is opened once for two processes, again by a reload that nobody notices, and again after SIGKILL',
  )
}

function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
}

function checkClean({ faults, wrong }: Steady, what: string) {
  check(wrong === 0, `${what}: ${wrong} answers are wrong`)
  check(
    faults.length === 0,
    `${what}: ${faults.length} faults, clients see ${[...new Set(faults)].slice(0, 5).join('; ')}`,
  )
}

function workersOf({ child }: Service): number[] {
  return childrenOf(child.pid!)
}

/** Its id in its innermost namespace. */
function namespaceId(pid: number): number {
  return Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

function zombiesOf(pid: number): number {
  return execFileSync('ps', ['-o', 'stat=', '--ppid', String(pid)], { encoding: 'utf8' })
    .split('\n')
    .filter((stat) => stat.startsWith('Z')).length
}

async function metric({ url }: Service, name: string): Promise<number> {
  const { text } = await send(`${url}/metrics`)
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? 0 : Number(line.slice(name.length + 1))
}

async function end(service: Service) {
  service.child.kill('SIGTERM')
  const code = await service.exit
  check(code === 0, `it exits with 0, not ${code}: ${service.output()}`)
}

async function until(holds: () => boolean | Promise<boolean>, promise: string) {
  for (let i = 0; !(await holds()); i++) {
    check(i < 300, promise)
    await sleep(50)
  }
}
