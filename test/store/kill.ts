/**
 * `npm run test:store [-- --times 1000]`: acknowledged registrations survive SIGKILL. Two processes register in one file. One or
 * both are killed at random moments, some before the file exists. After that, all acknowledged registrations must be there and
 * intact, plus at most one unacknowledged registration per killed process. Then the same with whole servers, over HTTP
 * (kill-servers.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { killServers } from './kill-servers.ts'
import { type Acknowledged, check, goesOn, here, type Writer } from './killed.ts'

/** How many kills CI runs: of processes, and of servers, which take a second to start. */
const TIMES = { processes: 100, servers: 20 } as const
/** Kills per file. A new file after these, so that some kills hit the first registration. */
const KILLS_A_FILE = 20
/** Latest moment of a kill, in ms after the writers started or after an acknowledgement. */
const LATEST_MS = 250

/** A process that registers, and its acknowledged registrations so far. */
class Process implements Writer {
  readonly told: Acknowledged[] = []
  readonly #process: ChildProcess
  #rest = ''
  #faults = ''

  constructor(url: string, name: string) {
    this.#process = spawn(process.execPath, [here('writer.js'), builtStore(), url, name], { stdio: 'pipe' })
    this.#process.stdout!.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.#process.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#faults += text
    })
  }

  get fault(): string | undefined {
    return this.#process.exitCode === null ? undefined : this.#faults
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null) throw new Error(`a writer has failed: ${this.#faults}`)
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    const [code] = await closed
    if (code !== null) throw new Error(`a writer has failed: ${this.#faults}`)
  }

  /** An incomplete line is no acknowledgement. */
  #read(text: string) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    for (const line of lines) this.told.push(JSON.parse(line) as Acknowledged)
  }
}

function builtStore(): string {
  const build = /'\.\/(\w+)\/server\.js'/.exec(readFileSync(here('../../dist/server.js'), 'utf8'))![1]!
  return here(`../../dist/${build}/store/index.js`)
}

/** Runs the given number of kills on one file. @returns the number of acknowledged registrations */
async function killInOneFile(path: string, kills: number): Promise<number> {
  const writers: Process[] = []
  while (writers.length < kills) {
    const next = (letter: string) => new Process(`file:${path}`, `${letter}${writers.length}`)
    const pair = [next('a'), next('b')] as const
    writers.push(...pair)
    await endPair(pair)
    check(path, writers, (document) => JSON.parse(document) as Pick<Acknowledged, 'writer' | 'i'>)
  }
  return writers.reduce((sum, { told }) => sum + told.length, 0)
}

/** Kills both at once, or one first and the other after it has continued alone. */
async function endPair([first, second]: readonly [Writer, Writer]) {
  // A third of the kills come while the writers start.
  if (Math.random() < 0.67) await goesOn(first)
  await sleep(Math.random() * LATEST_MS)
  if (Math.random() < 0.5) {
    await Promise.all([first.kill(), second.kill()])
  } else {
    await first.kill()
    await goesOn(second)
    await sleep(Math.random() * 20)
    await second.kill()
  }
}

async function killProcesses(wanted: number) {
  if (wanted === 0) return
  const start = performance.now()
  let [kills, acknowledged] = [0, 0]
  while (kills < wanted) {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-kill-'))
    const now = Math.min(KILLS_A_FILE, wanted - kills)
    acknowledged += await killInOneFile(join(folder, 'data', 'lossd.db'), now)
    kills += now
    // Kept if something was wrong.
    rmSync(folder, { recursive: true })
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  console.log(
    `${kills} kills of processes in ${seconds} s: ${acknowledged} acknowledged registrations, all there and whole`,
  )
}

const { values } = parseArgs({ options: { times: { type: 'string' }, only: { type: 'string' } } })
const timesOf = (what: keyof typeof TIMES) => {
  if (values.only !== undefined && values.only !== what) return 0
  return Number(values.times ?? TIMES[what])
}
await killProcesses(timesOf('processes'))
await killServers(timesOf('servers'))
