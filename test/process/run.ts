/**
 * `npm run test:process [-- part ...]`: tests the process with real signals, sockets and clients. It starts the built
 * service, and npm itself. Exits with 1 at the first failure.
 */
import { checkBuilt } from './built.ts'
import { checkDrain } from './drain.ts'
import { checkProcesses } from './processes.ts'
import { checkReaders } from './readers.ts'
import { endAll } from './service.ts'
import { checkSignals } from './signals.ts'
import { checkStarted } from './started.ts'

const PARTS = {
  drain: checkDrain,
  started: checkStarted,
  signals: checkSignals,
  built: checkBuilt,
  processes: checkProcesses,
  readers: checkReaders,
} as const

const wanted = process.argv.slice(2)
const parts = Object.entries(PARTS).filter(([name]) => wanted.length === 0 || wanted.includes(name))
try {
  for (const [, part] of parts) await part()
} catch (error) {
  console.error(`FAIL ${error instanceof Error ? error.message : error}`)
  process.exitCode = 1
} finally {
  endAll()
}
