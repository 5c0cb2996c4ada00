/**
 * The process: reads the configuration, builds the application, listens, and shuts down gracefully; or starts several
 * processes that do, and listens for them. Nothing else touches `process`.
 */
import { fork } from 'node:child_process'
import type { AddressInfo, Socket } from 'node:net'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import type { App } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import type { SharedDevice } from './engines/remote/shared-device.ts'
import { limitHeapGrowth } from './gc-tuning.ts'
import { processCount, threadsOfEach } from './processes/count.ts'
import { Listener } from './processes/listener.ts'
import type { ToParent, ToWorker, WorkerInfo } from './processes/messages.ts'
import { Supervisor } from './processes/supervisor.ts'
import { WorkerLink } from './processes/worker.ts'

// Process 1 of a container does not receive signals that it does not handle. Nothing is accepted yet, so nothing is
// lost.
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const
// Node would open its inspector, which runs any code. setup/build.js does the same while modules are loaded.
process.on('SIGUSR1', () => {})
/**
 * SIGHUP means "reload" to a service, and "your terminal is gone" to a program that somebody runs in one.
 */
const HAS_TERMINAL = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)
/** Under npm: npm. */
const PARENT = process.ppid
const IS_UNDER_NPM = process.argv.includes('--under-npm')
/**
 * Under npm each signal may arrive twice: Ctrl-C or a supervisor signals both npm and the service, and npm passes
 * it on. These count as one.
 */
const ECHO_MS = IS_UNDER_NPM ? 500 : 0
/** Set for a worker, which is one of several processes: its number. */
const { LOSSD_WORKER: WORKER, LOSSD_SHARED_DEVICE: SHARED_DEVICE, ...ENVIRONMENT } = process.env
/** How long a worker may take to end beyond the time in which it gives up on open requests, in ms. */
const END_MS = 5000
const leave = () => process.exit(0)
// Signals to the whole group are for the parent, which tells its workers what to do.
for (const signal of SIGNALS) process.on(signal, WORKER === undefined ? leave : () => {})

const config = readConfig()
const log = createLogger(config)
await run(config, log).catch((error: unknown) => {
  const why = error instanceof Error ? error.message : String(error)
  if (WORKER !== undefined) process.send!({ kind: 'failed', why } satisfies ToParent, () => process.exit(1))
  else {
    log.fatal(why)
    process.exit(1)
  }
})

function readConfig(): Config {
  try {
    return loadConfig(ENVIRONMENT)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    console.error(`lossd: ${error.message.replaceAll('\n', '\nlossd: ')}`)
    return process.exit(1)
  }
}

/** Human-readable on a terminal, otherwise one JSON object per line. */
function createLogger({ logLevel }: Config): Logger {
  const options = { level: logLevel, base: WORKER === undefined ? null : { process: Number(WORKER) } }
  if (!process.stdout.isTTY) return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime })
  return pino({ ...options, transport: { target: 'pino-pretty', options: { translateTime: 'HH:MM:ss.l' } } })
}

function run(config: Config, log: Logger): Promise<void> {
  const count = processCount(config.processes, availableParallelism())
  if (WORKER !== undefined) return work(config, log, count)
  return count === 1 ? start(config, log) : supervise(config, log, count)
}

// One process

async function start(config: Config, log: Logger): Promise<void> {
  const { buildApp } = await import('./app.ts')
  const app = await buildApp(config, { log, onCrowdedPrograms: limitHeapGrowth() })
  app.warmUp()
  await app.fastify.listen({ port: config.port, host: config.host })
  const address = app.fastify.server.address() as AddressInfo
  // Before the line is logged, because its reader may send a signal at once.
  onSignals(log, {
    canReload: app.canReload,
    reload: async () => {
      log.info('reloading keys and certificates')
      await app.reload()
    },
    close: (why) => shutDown(app, config, log, why),
  })
  const info = infoOf(app)
  warnIfOpen(info, address, log)
  logStart(info, address, log)
}

function infoOf({ context: { engine, catalog }, isOpen }: App): WorkerInfo {
  const { name, device, reason, isGpu = false } = engine.info
  return { engine: name, device, why: reason, isGpu, losses: catalog.losses.length, isOpen }
}

function logStart({ engine, device, why, losses }: WorkerInfo, address: AddressInfo, log: Logger, more = {}) {
  log.info({ engine, device, why, losses, ...more }, `lossd listens on ${addressOf(address)}`)
}

/** One line that nobody overlooks: without keys, a port that others reach is open to them. */
function warnIfOpen({ isOpen }: WorkerInfo, { address }: AddressInfo, log: Logger) {
  if (!isOpen || /^(127\.|::1$)/.test(address)) return
  log.warn(
    { address },
    'OPEN TO EVERYONE: whoever reaches this port may evaluate, register and delete losses. LOSSD_KEYS asks for keys (docs/access.md)',
  )
}

/** The address that was bound. */
function addressOf({ address, family, port }: AddressInfo): string {
  const scheme = config.tlsCert === '' ? 'http' : 'https'
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

/** What signals do. */
interface Reactions {
  /** Whether there is anything to reload. */
  readonly canReload: boolean
  reload(): Promise<void>
  /** @returns whether every accepted request got a response in time */
  close(why: string): Promise<boolean>
  /** Before the process exits at once. */
  abandon?(): void
}

function onSignals(log: Logger, { canReload, reload, close, abandon }: Reactions) {
  let since: number | undefined
  const end = (why: string, code: number) => {
    since = performance.now()
    void close(why).then((clean) => process.exit(clean ? code : 1))
  }
  const exit = () => {
    abandon?.()
    process.exit(1)
  }
  for (const signal of SIGNALS) {
    process.on(signal, async () => {
      if (since === undefined && signal === 'SIGHUP' && canReload && (await isReload())) return reload()
      if (since === undefined) end(signal, 0)
      // A second signal means: exit now.
      else if (performance.now() - since >= ECHO_MS) exit()
    })
    // Not earlier: without a listener, a signal that has just arrived is dropped.
    process.off(signal, leave)
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event)
      if (since === undefined) end(event, 1)
      else exit()
    })
  }
}

/**
 * Whether SIGHUP reloads. It ends the service if nobody could tell it from a terminal that was closed: then the service would
 * stay behind and keep its port.
 */
async function isReload(): Promise<boolean> {
  if (HAS_TERMINAL) return false
  if (!IS_UNDER_NPM) return true
  // npm does not pass SIGHUP on, but dies of it. If it was sent to both, whoever started npm takes the service for ended.
  await sleep(ECHO_MS)
  return process.ppid === PARENT
}

/** @returns whether every accepted request got a response in time */
async function shutDown(
  app: App,
  { shutdownDelayMs, shutdownLimitMs }: Pick<Config, 'shutdownDelayMs' | 'shutdownLimitMs'>,
  log: Logger,
  why: string,
): Promise<boolean> {
  log.info({ why }, 'closing')
  app.beginClosing()
  await sleep(shutdownDelayMs)
  const closed = app.drain().then(async () => {
    await app.fastify.close()
    return true
  })
  const clean = await Promise.race([closed, sleep(shutdownLimitMs, false)])
  log.info(clean ? 'closed' : 'gave up waiting for open requests')
  return clean
}

// Several processes

async function supervise(config: Config, log: Logger, count: number): Promise<void> {
  let device = await shareDevice(config, log)
  const supervisor = new Supervisor({
    count,
    isOneForGpu: config.processes === 'auto' && device === undefined,
    maxConnections: config.maxConnections,
    fork: (place) => forkWorker(place, device),
    endMs: config.shutdownLimitMs + END_MS,
    log,
  })
  process.on('exit', () => {
    supervisor.kill()
    device?.close()
  })
  const info = await supervisor.start()
  const listener = await Listener.open(config, (connection) => supervisor.accept(connection))
  onSignals(log, {
    canReload: true,
    reload: async () => {
      log.info('reloading: replacing one process after the other')
      const before = device
      // The new processes may run another build.
      device = await anotherDevice(before, config, log)
      await supervisor.reload()
      if (device !== before) before?.retire()
      log.info({ processes: supervisor.serving }, 'reloaded')
    },
    close: (why) => closeAll(supervisor, listener, config, log, why),
    abandon: () => supervisor.kill(),
  })
  warnIfOpen(info, listener.address, log)
  logStart(info, listener.address, log, { processes: supervisor.serving })
}

/** What is on a GPU is opened once for all workers. */
async function shareDevice(
  { engine, batchElements }: Config,
  log: Logger,
): Promise<SharedDevice | undefined> {
  if (engine === 'compiled') return undefined
  const { shareDevice: share } = await import('./engines/share-device.ts')
  return share({
    engine,
    maxElements: batchElements,
    log: (message, details) => log.warn(details ?? {}, message),
  })
}

/** @returns the earlier one if there cannot be another */
async function anotherDevice(
  before: SharedDevice | undefined,
  config: Config,
  log: Logger,
): Promise<SharedDevice | undefined> {
  try {
    return (await shareDevice(config, log)) ?? before
  } catch (error) {
    log.error(
      { why: (error as Error).message },
      'the device cannot be opened again; the earlier process stays',
    )
    return before
  }
}

/** A worker is this program again, with the same arguments. */
function forkWorker(place: number, device: SharedDevice | undefined) {
  const shared = device && { LOSSD_SHARED_DEVICE: JSON.stringify({ name: device.name, path: device.path }) }
  return fork(process.argv[1], process.argv.slice(2), {
    env: { ...ENVIRONMENT, ...shared, LOSSD_WORKER: String(place + 1) },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
}

async function closeAll(
  supervisor: Supervisor,
  listener: Listener,
  { shutdownDelayMs }: Config,
  log: Logger,
  why: string,
): Promise<boolean> {
  log.info({ why }, 'closing')
  supervisor.beginClosing()
  await sleep(shutdownDelayMs)
  await listener.close()
  const clean = await supervisor.close(why)
  log.info(clean ? 'closed' : 'gave up waiting for open requests')
  return clean
}

async function work(config: Config, log: Logger, count: number): Promise<void> {
  const { buildApp } = await import('./app.ts')
  let app: App | undefined
  let isEnding = false
  const close = (why: string, code: number) => {
    if (isEnding || app === undefined) return process.exit(1)
    isEnding = true
    // The parent has waited already.
    void shutDown(app, { ...config, shutdownDelayMs: 0 }, log, why).then((clean) =>
      process.exit(clean ? code : 1),
    )
  }
  const link = new WorkerLink({
    send: (message) => process.connected && process.send!(message, undefined, {}, () => {}),
    onUnready: () => app?.beginClosing(),
    onClose: (why) => close(why, 0),
  })
  process.on('message', (message: ToWorker, connection: Socket | undefined) =>
    link.receive(message, connection),
  )
  // The parent was killed. Nobody accepts connections any more, but every request that was accepted gets its response.
  process.on('disconnect', () => close('the parent has ended', 1))
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event)
      link.leave()
      close(event, 1)
    })
  }
  app = await buildApp(
    { ...config, threads: threadsOfEach(config.threads, count, availableParallelism()) },
    {
      log,
      onCrowdedPrograms: limitHeapGrowth(),
      link,
      sharedDevice: SHARED_DEVICE === undefined ? undefined : JSON.parse(SHARED_DEVICE),
    },
  )
  app.warmUp()
  await app.fastify.ready()
  const { connections } = app.context
  link.serve(app.fastify.server, () => connections.count, infoOf(app))
}
