/**
 * The process: reads the configuration, builds the application, listens, and shuts down gracefully. Nothing else
 * touches `process`.
 */
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import { type App, buildApp } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { createHeapGrowthLimit } from './gc-tuning.ts'

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
const leave = () => process.exit(0)
for (const signal of SIGNALS) process.on(signal, leave)

const config = readConfig()
const log = createLogger(config)
await start(config, log).catch((error: unknown) => {
  log.fatal(error instanceof Error ? error.message : String(error))
  process.exit(1)
})

function readConfig(): Config {
  try {
    return loadConfig(process.env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    console.error(`lossd: ${error.message.replaceAll('\n', '\nlossd: ')}`)
    return process.exit(1)
  }
}

/** Human-readable on a terminal, otherwise one JSON object per line. */
function createLogger({ logLevel }: Config): Logger {
  const options = { level: logLevel, base: null }
  if (!process.stdout.isTTY) return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime })
  return pino({ ...options, transport: { target: 'pino-pretty', options: { translateTime: 'HH:MM:ss.l' } } })
}

async function start(config: Config, log: Logger): Promise<void> {
  const app = await buildApp(config, { log, onCrowdedPrograms: createHeapGrowthLimit() })
  app.warmUp()
  await app.fastify.listen({ port: config.port, host: config.host })
  const { engine, catalog } = app.context
  // Before the line is logged, because its reader may send a signal at once.
  closeOnSignals(app, config, log)
  warnIfOpen(app, log)
  const details = { engine: engine.info.name, device: engine.info.device, why: engine.info.reason }
  log.info({ ...details, losses: catalog.losses.length }, `lossd listens on ${addressOf(app)}`)
}

/** One line that nobody overlooks: without keys, a port that others reach is open to them. */
function warnIfOpen({ isOpen, fastify }: App, log: Logger) {
  const { address } = fastify.server.address() as AddressInfo
  if (!isOpen || /^(127\.|::1$)/.test(address)) return
  log.warn(
    { address },
    'OPEN TO EVERYONE: whoever reaches this port may evaluate, register and delete losses. LOSSD_KEYS asks for keys (docs/access.md)',
  )
}

/** The address that was bound. Fastify reports one address of several. */
function addressOf({ fastify }: App): string {
  const { address, family, port } = fastify.server.address() as AddressInfo
  const scheme = config.tlsCert === '' ? 'http' : 'https'
  return `${scheme}://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

function closeOnSignals(app: App, config: Config, log: Logger) {
  let since: number | undefined
  const close = (why: string, code: number) => {
    since = performance.now()
    void shutDown(app, config, log, why).then((clean) => process.exit(clean ? code : 1))
  }
  for (const signal of SIGNALS) {
    process.on(signal, async () => {
      if (since === undefined && signal === 'SIGHUP' && (await canReload(app))) return reload(app, log)
      if (since === undefined) close(signal, 0)
      // A second signal means: exit now.
      else if (performance.now() - since >= ECHO_MS) process.exit(1)
    })
    // Not earlier: without a listener, a signal that has just arrived is dropped.
    process.off(signal, leave)
  }
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.fatal({ err: error }, event)
      if (since === undefined) close(event, 1)
      else process.exit(1)
    })
  }
}

/**
 * Whether SIGHUP reloads. It ends the service if there is nothing to reload, or if nobody could tell it from a terminal that
 * was closed: then the service would stay behind and keep its port.
 */
async function canReload({ canReload: hasFiles }: App): Promise<boolean> {
  if (!hasFiles || HAS_TERMINAL) return false
  if (!IS_UNDER_NPM) return true
  // npm does not pass SIGHUP on, but dies of it. If it was sent to both, whoever started npm takes the service for ended.
  await sleep(ECHO_MS)
  return process.ppid === PARENT
}

async function reload(app: App, log: Logger): Promise<void> {
  log.info('reloading keys and certificates')
  await app.reload()
}

/** @returns whether every accepted request got a response in time */
async function shutDown(app: App, config: Config, log: Logger, why: string): Promise<boolean> {
  log.info({ why }, 'closing')
  app.beginClosing()
  await sleep(config.shutdownDelayMs)
  const closed = app.drain().then(async () => {
    await app.fastify.close()
    return true
  })
  const clean = await Promise.race([closed, sleep(config.shutdownLimitMs, false)])
  log.info(clean ? 'closed' : 'gave up waiting for open requests')
  return clean
}
