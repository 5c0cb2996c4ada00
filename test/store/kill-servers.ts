/**
 * Whole servers that are killed right after a 201, while another one registers in the same file. A new server replaces each
 * one that was killed.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Service, start } from '../process/service.ts'
import { type Acknowledged, check, goesOn, type Writer } from './killed.ts'

/** Kills per file. Each file is new, so that some kills hit the first registration. */
const KILLS_A_FILE = 20

/** How often in a row a registration may be refused because the store is busy. */
const MAX_REFUSALS = 5

/** A server, and the client that registers through it. */
class Server implements Writer {
  readonly told: Acknowledged[] = []
  readonly #service: Service
  readonly #name: string
  readonly #loop: Promise<void>
  #isKilled = false
  /** In a row. */
  #refusals = 0
  #onTold: (() => void) | undefined

  constructor(service: Service, name: string) {
    this.#service = service
    this.#name = name
    this.#loop = this.#register()
  }

  static async start(path: string, name: string): Promise<Server> {
    return new Server(await start({ LOSSD_STORE: `file:${path}`, LOSSD_THREADS: '1' }), name)
  }

  /** Kills right after the next 201, in the same iteration of the event loop that has read its header. */
  async killAfterNext(): Promise<void> {
    this.#onTold = () => this.#kill()
    await this.kill()
  }

  async kill(): Promise<void> {
    if (this.#onTold === undefined) this.#kill()
    await this.#loop
    const end = await this.#service.exit
    if (end !== 'SIGKILL') throw new Error(`a server has ended by itself (${end}): ${this.#service.output()}`)
  }

  #kill() {
    this.#isKilled = true
    this.#service.child.kill('SIGKILL')
  }

  async #register() {
    for (let i = 0; !this.#isKilled; i++) await this.#registerOne(i)
  }

  /** The other server may hold the file for long on a busy machine, but not for ever. */
  #retry(problem: string) {
    this.#refusals++
    if (this.#refusals > MAX_REFUSALS) throw new Error(`no registration is accepted any more: ${problem}`)
  }

  /** A response that the kill cut off does not count as an acknowledgement. */
  async #registerOne(i: number) {
    const [writer, document] = [this.#name, documentOf(this.#name, i)]
    const text = JSON.stringify(document)
    try {
      const response = await fetch(`${this.#service.url}/v1/losses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: text,
      })
      if (response.status === 503) return this.#retry(await response.text())
      if (response.status !== 201)
        throw new Error(`a registration was answered with ${await response.text()}`)
      this.#refusals = 0
      this.#onTold?.()
      const [, name, version] = /acme\/(\w+)@(\d+)$/.exec(response.headers.get('location')!)!
      const digest = createHash('sha256').update(text).digest('hex')
      this.told.push({ writer, i, name: name!, version: Number(version), digest })
      // So that the connection is reused.
      await response.arrayBuffer()
    } catch (error) {
      if (!this.#isKilled) throw error
    }
  }
}

/** Every third one has a name that the other writer uses as well. */
function documentOf(writer: string, i: number): object {
  return {
    name: `acme/${i % 3 === 0 ? 'shared' : `${writer}_${i % 5}`}`,
    about: `${writer} ${i}`,
    inputs: { x: { differentiable: true } },
    formula: 'abs(x)',
    references: Array((i * 7) % 9).fill('x'.repeat(990)),
  }
}

function writtenBy(document: string): Pick<Acknowledged, 'writer' | 'i'> {
  const [writer, i] = (JSON.parse(document) as { about: string }).about.split(' ')
  return { writer: writer!, i: Number(i) }
}

/** @returns the number of acknowledged registrations */
async function killInOneFile(path: string, kills: number): Promise<number> {
  const writers: Server[] = []
  const startNext = async () => {
    const server = await Server.start(path, `s${writers.length}`)
    writers.push(server)
    return server
  }
  let other = await startNext()
  for (let kill = 1; kill <= kills; kill++) {
    const next = await startNext()
    const [victim, stays] = Math.random() < 0.5 ? [other, next] : [next, other]
    // One third before the server has registered anything.
    if (Math.random() < 0.67) await goesOn(victim)
    await victim.killAfterNext()
    await goesOn(stays)
    other = stays
    if (kill % 5 === 0 || kill === kills) {
      await other.kill()
      check(path, writers, writtenBy)
      if (kill < kills) other = await startNext()
    }
  }
  return writers.reduce((sum, { told }) => sum + told.length, 0)
}

/** Kills the requested number of times. */
export async function killServers(wanted: number): Promise<void> {
  if (wanted === 0) return
  const started = performance.now()
  let [kills, acknowledged] = [0, 0]
  while (kills < wanted) {
    const folder = mkdtempSync(join(tmpdir(), 'lossd-kill-'))
    const now = Math.min(KILLS_A_FILE, wanted - kills)
    acknowledged += await killInOneFile(join(folder, 'data', 'lossd.db'), now)
    kills += now
    // Kept if something was wrong.
    rmSync(folder, { recursive: true })
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0)
  console.log(
    `${kills} kills of servers directly after a 201 in ${seconds} s: ${acknowledged} acknowledged registrations, all there and whole`,
  )
}
