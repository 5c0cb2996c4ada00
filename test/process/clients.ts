/**
 * Realistic clients: clients/ has one program per language. Each sends requests over COUNT keep-alive connections, some
 * without pauses and some with short ones, until connections are refused. It prints "warm" when every connection has
 * received a few responses, and at the end a line of JSON: answered, refused, and a count of each other error.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Outcome {
  readonly answered: number
  readonly refused: number
  readonly faults: Readonly<Record<string, number>>
}

export interface Client {
  readonly language: string
  /** Program and arguments before URL and COUNT; undefined if this machine lacks something. */
  readonly command: readonly string[] | undefined
}

const source = (name: string) => fileURLToPath(new URL(`clients/${name}`, import.meta.url))

/** All clients. Go's is compiled once. */
export function clients(): Client[] {
  return [
    { language: 'Node', command: [process.execPath, source('client.mjs')] },
    {
      language: 'Python',
      command: succeeds('python3', ['--version']) ? ['python3', source('client.py')] : undefined,
    },
    { language: 'Go', command: compiledGo() },
  ]
}

function compiledGo(): string[] | undefined {
  const program = join(mkdtempSync(join(tmpdir(), 'lossd-client-')), 'client')
  return succeeds('go', ['build', '-o', program, source('client.go')]) ? [program] : undefined
}

function succeeds(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

export interface Running {
  readonly child: ChildProcess
  /** All connections are in use. */
  readonly warm: Promise<void>
  readonly outcome: Promise<Outcome>
}

/** Starts the program of a language. */
export function run([program, ...args]: readonly string[], url: string, count: number): Running {
  const child = spawn(program!, [...args, url, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const warm = lines.next().then(({ value }) => {
    if (value !== 'warm') throw new Error(`the client says ${value}`)
  })
  const outcome = warm.then(async () => JSON.parse((await lines.next()).value) as Outcome)
  outcome.catch(() => {})
  return { child, warm, outcome }
}
