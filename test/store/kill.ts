/**
 * `npm run test:store [-- kills]`: acknowledged registrations survive SIGKILL. Two processes register in one file; one or
 * both are killed at random moments, also before the file exists. Then everything that was acknowledged must be there and
 * intact, plus at most one registration of each killed process that it was not told of yet.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** What CI runs. A full run has 1000 kills, given as the argument. */
const KILLS = 100
/** Kills per file. A new file after these, so that some kills hit the first registration. */
const KILLS_A_FILE = 20
/** Latest moment of a kill, in ms after the writers started or after an acknowledgement. */
const LATEST_MS = 250

interface Acknowledged {
  readonly writer: string
  readonly i: number
  readonly name: string
  readonly version: number
  readonly digest: string
}

interface Row extends Omit<Acknowledged, 'writer' | 'i'> {
  readonly document: string
}

interface Content {
  readonly integrity: readonly string[]
  readonly losses: readonly { name: string; latest: number; numbered: number; retired: null }[]
  readonly versions: readonly Row[]
}

/** A process that registers, and what was acknowledged to it so far. */
class Writer {
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

  /** @throws Error if it ended by itself */
  async kill(): Promise<void> {
    if (this.#process.exitCode !== null) throw new Error(`a writer has failed: ${this.#faults}`)
    const closed = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    const [code] = await closed
    if (code !== null) throw new Error(`a writer has failed: ${this.#faults}`)
  }

  /** Resolves at the next acknowledgement. */
  async goesOn(): Promise<void> {
    const before = this.told.length
    const end = performance.now() + 20_000
    while (this.told.length === before) {
      if (performance.now() > end) throw new Error('a writer stands still')
      await sleep(2)
    }
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

/** Runs the given number of kills on one file. @returns how many registrations were acknowledged */
async function killInOneFile(path: string, kills: number): Promise<number> {
  const writers: Writer[] = []
  while (writers.length < kills) {
    const pair = ['a', 'b'].map((letter) => new Writer(`file:${path}`, `${letter}${writers.length}`))
    writers.push(...pair)
    await endPair(pair as [Writer, Writer])
    check(path, writers)
  }
  return writers.reduce((sum, { told }) => sum + told.length, 0)
}

/** Kills both at once, or one first and the other after it has continued alone. */
async function endPair([first, second]: [Writer, Writer]) {
  // A third of the kills come while the writers start.
  if (Math.random() < 0.67) await first.goesOn()
  await sleep(Math.random() * LATEST_MS)
  if (Math.random() < 0.5) {
    await Promise.all([first.kill(), second.kill()])
  } else {
    await first.kill()
    await second.goesOn()
    await sleep(Math.random() * 20)
    await second.kill()
  }
}

function check(path: string, writers: readonly Writer[]) {
  const acknowledged = writers.flatMap(({ told }) => told)
  if (!existsSync(path)) return expect(acknowledged.length === 0, 'the file is not there')
  const text = execFileSync(process.execPath, [here('read-file.js'), path], {
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  })
  const { integrity, losses, versions } = JSON.parse(text) as Content
  expect(integrity.join() === 'ok', `integrity_check: ${integrity}`)
  const rows = new Map(versions.map((row) => [`${row.name}@${row.version}`, row]))
  for (const { name, version, digest } of acknowledged)
    expect(
      rows.get(`${name}@${version}`)?.digest === digest,
      `${name}@${version} was acknowledged, and is not there`,
    )
  for (const { name, version, document, digest } of versions)
    expect(createHash('sha256').update(document).digest('hex') === digest, `${name}@${version} is not whole`)
  for (const { name, latest, numbered } of losses) {
    const numbers = versions.filter((row) => row.name === name).map(({ version }) => version)
    const isWhole = latest === numbered && numbers.length === latest && Math.max(...numbers) === latest
    expect(isWhole, `${name} has ${numbers.length} versions, and its latest is ${latest}`)
  }
  expect(
    versions.every(({ name }) => losses.some((loss) => loss.name === name)),
    'a version has no name',
  )
  checkRest(versions, writers)
}

/** Besides what was acknowledged, the next registration of a writer may be on disk. */
function checkRest(versions: readonly Row[], writers: readonly Writer[]) {
  const expected = new Set(writers.flatMap(({ told }) => told.map(({ digest }) => digest)))
  const rest = versions.filter(({ digest }) => !expected.has(digest))
  const next = rest.map(({ document }) => JSON.parse(document) as Pick<Acknowledged, 'writer' | 'i'>)
  for (const { writer, i } of next) {
    const told = writers.flatMap(({ told }) => told).filter((line) => line.writer === writer)
    expect(i === told.length, `${writer} was told of ${told.length}, and number ${i} is on disk`)
  }
}

function expect(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}

const wanted = Number(process.argv[2] ?? KILLS)
const start = performance.now()
let [kills, acknowledged] = [0, 0]
while (kills < wanted) {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-kill-'))
  const now = Math.min(KILLS_A_FILE, wanted - kills)
  acknowledged += await killInOneFile(join(folder, 'data', 'lossd.db'), now)
  kills += now
  // The folder is kept if something was wrong.
  rmSync(folder, { recursive: true })
}
const seconds = ((performance.now() - start) / 1000).toFixed(0)
console.log(`${kills} kills in ${seconds} s: ${acknowledged} acknowledged registrations, all there and whole`)
