/** What goes wrong, one row each. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bodyOf } from '../bodies.ts'
import { childrenOf, isThere, residentMB } from '../process-info.ts'
import type { Server } from '../processes.ts'
import { type Clients, post } from './clients.ts'
import { MemoryGroup } from './memory-group.ts'
import type { Network, NetworkProxy } from './proxy.ts'
import { deaf, idle, open, slow } from './raw.ts'

export interface Field {
  readonly service: Server
  readonly clients: Clients
  readonly proxy: NetworkProxy | undefined
}

export interface Scenario {
  readonly name: string
  readonly settings?: Readonly<Record<string, string>>
  /** The network between the clients and the service before something goes wrong. */
  readonly network?: Network
  /** Whether connections break: because the network cuts them, or because their process is killed. */
  readonly cuts?: boolean
  /** Before the service starts. Returns settings and what undoes it, or why it cannot be done here. */
  readonly prepare?: () => Prepared | string
  /** From the beginning of the fault to its end. Returns more to say, if there is. */
  readonly strike: (field: Field) => Promise<string | undefined>
  /** Whether the service ends with it. */
  readonly ends?: boolean
}

export interface Prepared {
  readonly settings: Readonly<Record<string, string>>
  readonly undo: () => void
}

/** How long a fault lasts, in ms. */
const LASTS_MS = 3000
const TWO = { LOSSD_PROCESSES: '2' }

/** Descriptors that come and go. */
const FEW = 5

const CONTAINER_MB = 512
/** Limits for a small container. */
const SMALL = {
  LOSSD_COMPUTE_MEMORY: String(2 ** 26),
  LOSSD_QUEUE_BYTES: String(2 ** 26),
  LOSSD_OUTBOUND_BYTES: String(2 ** 26),
}
/** The control group of the scenario that limits memory. */
let group: MemoryGroup | undefined

/** The disk of the scenario that fills it. */
let disk = ''

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'every piece of data is 100 to 200 ms late',
    network: {},
    strike: (field) => network(field, { delayMs: 100 }),
  },
  {
    name: 'the network carries 64 kB/s on each connection',
    network: {},
    strike: (field) => network(field, { bytesPerSecond: 64_000 }),
  },
  {
    name: 'the network cuts connections: one in 20 pieces of data',
    network: {},
    cuts: true,
    strike: async (field) => {
      await network(field, { cuts: 0.05 })
      return `${field.proxy!.cuts} connections were cut`
    },
  },
  {
    name: 'SIGKILL of one of two processes',
    settings: TWO,
    cuts: true,
    strike: async ({ service }) => {
      process.kill(childrenOf(service.pid)[0]!, 'SIGKILL')
      return undefined
    },
  },
  {
    name: 'SIGKILL of both processes at once',
    settings: TWO,
    cuts: true,
    strike: async ({ service }) => {
      for (const pid of childrenOf(service.pid)) process.kill(pid, 'SIGKILL')
      return 'connections wait until a process serves again'
    },
  },
  {
    name: 'SIGKILL of the parent of two processes',
    settings: TWO,
    ends: true,
    strike: async ({ service }) => {
      const workers = childrenOf(service.pid)
      process.kill(service.pid, 'SIGKILL')
      for (let i = 0; workers.some(isThere); i++) {
        if (i > 600) throw new Error('a process stays behind')
        await sleep(50)
      }
      return 'what was accepted is answered, then both end'
    },
  },
  {
    name: 'SIGSTOP of one of two processes, SIGCONT after 3 s',
    settings: TWO,
    strike: async ({ service }) => {
      const [first] = childrenOf(service.pid)
      return pause([first!])
    },
  },
  {
    name: 'SIGSTOP of the whole service, SIGCONT after 3 s',
    strike: ({ service }) => pause([service.pid]),
  },
  {
    name: 'three rolling reloads (SIGHUP)',
    settings: TWO,
    strike: async ({ service }) => {
      for (let i = 0; i < 3; i++) {
        const before = childrenOf(service.pid)
        process.kill(service.pid, 'SIGHUP')
        for (let j = 0; childrenOf(service.pid).some((pid) => before.includes(pid)); j++) {
          if (j > 600) throw new Error('it does not reload')
          await sleep(50)
        }
      }
      return undefined
    },
  },
  {
    name: 'a full disk',
    prepare: smallDisk,
    strike: fillDisk,
  },
  {
    name: '64 file descriptors and 300 connections',
    prepare: () => (has('prlimit') ? { settings: {}, undo: () => {} } : 'this machine has no prlimit'),
    strike: async ({ service }) => {
      // Those that are open already stay.
      limitFiles(service.pid, 64)
      const raw = await open(service.url, 300, idle)
      await sleep(LASTS_MS)
      raw.close()
      limitFiles(service.pid, 4096)
      return `the clients from before are served; ${raw.ended} of 300 new connections were closed, the others waited`
    },
  },
  {
    name: 'too little memory: 32 MB for launches, 10 requests of 8 MB and 10 of 32 MB at once',
    settings: { LOSSD_COMPUTE_MEMORY: String(32 * 2 ** 20) },
    strike: async ({ service }) => {
      const [fit, others] = await Promise.all([1000, 4000].map((rows) => large(service, rows, 10)))
      if (fit!.join() !== Array(10).fill(200).join()) throw new Error(`what fits gets ${fit}`)
      if (others!.join() !== Array(10).fill(503).join()) throw new Error(`what does not fit gets ${others}`)
      return 'all that fit are answered, the others refused'
    },
  },
  {
    name: `a container of ${CONTAINER_MB} MB, 60 requests of 8 MB at once`,
    settings: SMALL,
    prepare: smallContainer,
    strike: async ({ service }) => {
      group!.leave()
      const found = await large(service, 1000, 60)
      if (!found.every((status) => [200, 429, 503].includes(status))) throw new Error(`they get ${found}`)
      const answered = found.filter((status) => status === 200).length
      return `${answered} of the 60 are answered, ${60 - answered} refused; ${group!.peakMB.toFixed(0)} MB at most`
    },
  },
  {
    name: '200 clients that send a byte every 300 ms',
    settings: { LOSSD_BODY_TIMEOUT_MS: '3000', LOSSD_HEADERS_TIMEOUT_MS: '2000' },
    strike: async ({ service }) => {
      return closedWithin(service, 200, slow(Buffer.alloc(10_000, 32), 300), 8000)
    },
  },
  {
    name: '200 clients that never read',
    settings: {
      LOSSD_WRITE_TIMEOUT_MS: '2000',
      LOSSD_KEEP_ALIVE_TIMEOUT_MS: '2000',
      LOSSD_OUTBOUND_BYTES: String(2 ** 26),
    },
    strike: async ({ service }) => {
      const { bytes } = bodyOf({ loss: 'huber', format: 'json', rows: 512, columns: 100 })
      return closedWithin(service, 200, deaf(bytes), 30_000)
    },
  },
  {
    name: '2,000 idle connections',
    settings: { LOSSD_KEEP_ALIVE_TIMEOUT_MS: '2000', LOSSD_HEADERS_TIMEOUT_MS: '3000' },
    strike: async ({ service }) => {
      const before = residentMB(service.pid)
      const said = await closedWithin(service, 2000, idle, 15_000)
      return `resident memory ${before.toFixed(0)} MB before, ${residentMB(service.pid).toFixed(0)} MB after; ${said}`
    },
  },
  {
    name: 'more connections than LOSSD_MAX_CONNECTIONS',
    settings: { LOSSD_MAX_CONNECTIONS: '100' },
    strike: async ({ service }) => {
      const raw = await open(service.url, 300, idle)
      await sleep(1000)
      const { ended } = raw
      raw.close()
      if (ended < 200) throw new Error(`only ${ended} of 300 were closed`)
      return `${ended} of 300 were closed at once`
    },
  },
]

function has(program: string): boolean {
  return spawnSync(program, ['--version']).status === 0
}

/** The soft limit, which can be raised again. */
function limitFiles(pid: number, count: number) {
  execFileSync('prlimit', ['--pid', String(pid), `--nofile=${count}:`])
}

async function network({ proxy }: Field, bad: Network): Promise<undefined> {
  proxy!.become(bad)
  await sleep(LASTS_MS)
  proxy!.become({})
}

async function pause(pids: readonly number[]): Promise<undefined> {
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  await sleep(LASTS_MS)
  for (const pid of pids) process.kill(pid, 'SIGCONT')
}

/** Opens connections, and waits until the service has closed all of them. A client that does not read notices nothing of it. */
async function closedWithin(
  { url, pid }: Server,
  count: number,
  act: Parameters<typeof open>[2],
  limitMs: number,
): Promise<string> {
  const files = () => readdirSync(`/proc/${pid}/fd`).length
  const before = files()
  const raw = await open(url, count, act)
  const began = performance.now()
  const most = files() - before
  while (files() > before + FEW && performance.now() - began < limitMs) await sleep(50)
  const left = files() - before
  raw.close()
  if (left > FEW) throw new Error(`${left} of ${count} connections are open after ${limitMs} ms`)
  return `up to ${most} open at once, all closed ${((performance.now() - began) / 1000).toFixed(1)} s after the last was opened`
}

/** The statuses of requests of 1000 columns that are sent at once. */
function large({ url }: Server, rows: number, count: number): Promise<number[]> {
  const { bytes, contentType } = bodyOf({ loss: 'huber', format: 'safetensors', rows, columns: 1000 })
  const ask = async () => {
    const headers = { 'content-type': contentType }
    return (await post(`${url}/v1/losses/huber`, false, Buffer.from(bytes), 60_000, headers)).status
  }
  return Promise.all(Array.from({ length: count }, ask))
}

function smallContainer(): Prepared | string {
  try {
    group = new MemoryGroup(CONTAINER_MB * 1e6)
    return { settings: {}, undo: () => group?.remove() }
  } catch (error) {
    return `this machine allows no control groups (${(error as Error).message})`
  }
}

function smallDisk(): Prepared | string {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
  } catch {
    rmSync(folder, { recursive: true })
    return 'this machine mounts no small disk'
  }
  disk = folder
  writeFileSync(join(folder, 'ballast'), Buffer.alloc(300_000))
  return {
    settings: { LOSSD_STORE: `file:${join(folder, 'lossd.db')}` },
    undo: () => {
      execFileSync('umount', ['-l', folder])
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Registers until the disk is full, frees some space, and registers once more. */
async function fillDisk({ service }: Field): Promise<string> {
  const told: string[] = []
  const register = async () => {
    const name = `chaos/loss_${told.length}`
    const body = { ...DEFINITION, name, references: Array(30).fill('x'.repeat(900)) }
    const { status } = await post(`${service.url}/v1/losses`, false, JSON.stringify(body), 20_000)
    if (status === 201) told.push(name)
    return status
  }
  let status = await register()
  while (status === 201 && told.length < 200) status = await register()
  if (status !== 503) throw new Error(`a full disk is ${status}`)
  rmSync(join(disk, 'ballast'))
  for (let i = 0; (await register()) !== 201; i++) {
    if (i > 100) throw new Error('nothing can be registered when there is space again')
    await sleep(100)
  }
  const asked = await Promise.all(told.map((name) => fetch(`${service.url}/v1/losses/${name}`)))
  const kept = asked.filter((response) => response.status === 200).length
  if (kept < told.length) throw new Error(`${told.length - kept} of ${told.length} registrations are lost`)
  return `${told.length} registrations acknowledged, ${kept} kept, then 503 until there is space`
}

const DEFINITION = {
  inputs: { predictions: { differentiable: true }, targets: {} },
  formula: '(predictions - targets)^2',
}
