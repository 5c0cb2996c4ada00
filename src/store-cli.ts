/**
 * Exports and imports the configured store: `npm run --silent store -- export > losses.jsonl`, `... import < losses.jsonl`.
 * Without npm: `node dist/store-cli.js export`.
 */
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ConfigError, loadConfig } from './config.ts'
import { InvalidAddress, type LossStore, StoreDown } from './store/contract.ts'
import { openStore } from './store/index.ts'
import { exportLines, importLines, LineRefused } from './store/json-lines.ts'

/** Errors that are not bugs of this program: the message is enough. */
const TOLD = [ConfigError, InvalidAddress, LineRefused, StoreDown]

try {
  await run(process.argv[2] ?? '')
} catch (error) {
  process.exitCode = 1
  // EPIPE: the reader of the pipe, such as `head`, has read enough.
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') report(error as Error)
}

async function run(command: string) {
  const work = new Map(Object.entries({ export: runExport, import: runImport })).get(command)
  if (work === undefined) throw new ConfigError('expected the argument export or import')
  const { store: address, maxLosses } = loadConfig(process.env)
  const store = openStore(address, { maxLosses })
  if (store === undefined) throw new ConfigError('LOSSD_STORE is none')
  await work(store).finally(() => store.close())
}

async function runExport(store: LossStore) {
  const lines = async function* () {
    for await (const line of exportLines(store)) yield `${line}\n`
  }
  await pipeline(Readable.from(lines()), process.stdout)
}

async function runImport(store: LossStore) {
  const added = await importLines(store, createInterface({ input: process.stdin, crlfDelay: Infinity }))
  console.error(`lossd: ${added} new versions`)
}

function report(error: Error) {
  console.error(TOLD.some((kind) => error instanceof kind) ? `lossd: ${error.message}` : error)
}
