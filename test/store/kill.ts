/**
 * `npm run test:store [-- --times 1000]`: what the store has acknowledged survives SIGKILL. Two processes register in one
 * file; one or both are killed at a random moment, from before the file is there on. Then the same with whole servers,
 * over HTTP (kill-servers.ts).
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

/** What every run of CI does: of processes, and of servers, which take a second to start. */
const TIMES = { processes: 100, servers: 20 } as const
/** So many kills a file: also the first registration is met. */
const KILLS_A_FILE = 20
/** Latest moment of a kill, in ms: after the writers were started, or after one was told of something. */
const LATEST_MS = 250

/** A process that registers, and what it was told so far. */
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

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null) throw new Error(`a writer has failed: ${this.#faults}`)
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    const [code] = await closed
    if (code !== null) throw new Error(`a writer has failed: ${this.#faults}`)
  }

  /** A line that was cut off was not told. */
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

/** Kills until there were as many as wanted, in one file. @returns how many registrations were acknowledged */
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

/** Both at once, or one, and the other when it has gone on without it. */
async function endPair([first, second]: readonly [Writer, Writer]) {
  // One third while they begin.
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
    // Kept where something was wrong.
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
