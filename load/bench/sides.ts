/** The processes that compute in turn: one an engine, and PyTorch with one thread and with all. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { engineDefinitions } from '../../src/engines/open.ts'
import type { Hello, Measured, Reply, Task } from './tasks.ts'

/** One column of the comparison. */
export interface Side {
  readonly name: string
  /** What it says about itself, or why it is not here. */
  readonly about: string
  readonly isHere: boolean
  /** `undefined` when it is not here, or has not this loss. */
  measure(task: Task): Promise<Measured | undefined>
  close(): void
}

/** The engine that the others are compared with, where it is there. */
const LEAD = 'compiled'

/** Every engine, the lead first. */
export async function openEngines(): Promise<Side[]> {
  const names = (await engineDefinitions()).map(({ name }) => name)
  const ordered = [...names.filter((name) => name === LEAD), ...names.filter((name) => name !== LEAD)]
  return Promise.all(ordered.map(openEngine))
}

/** The lead, or the best that opened in its place. */
export function leadOf(engines: readonly Side[]): Side {
  return engines.find(({ isHere }) => isHere)!
}

export async function openTorch(): Promise<Side[]> {
  const python = process.env.LOSSD_BENCH_PYTHON || 'python3'
  const script = fileURLToPath(new URL('torch_bench.py', import.meta.url))
  const open = (name: string, threads: string) => openSide(name, python, [script, threads], 'ignore')
  return Promise.all([open('PyTorch 1 thread', '1'), open('PyTorch all threads', 'all')])
}

async function openEngine(name: string): Promise<Side> {
  const script = fileURLToPath(new URL('engine.ts', import.meta.url))
  return openSide(name, process.execPath, ['--import', 'tsx', script, name], 'inherit')
}

async function openSide(
  name: string,
  command: string,
  args: string[],
  errors: 'inherit' | 'ignore',
): Promise<Side> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', errors] })
  // A command that is not there ends like one that says nothing.
  child.on('error', () => {})
  child.stdin!.on('error', () => {})
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const hear = async (): Promise<unknown> => {
    const { value, done } = await lines.next()
    return done ? undefined : JSON.parse(value)
  }
  const hello = ((await hear()) ?? { unavailable: `${command} does not run` }) as Hello
  if ('unavailable' in hello) return absent(name, hello.unavailable)
  const measure = async (task: Task) => {
    child.stdin!.write(`${JSON.stringify(task)}\n`)
    const reply = (await hear()) as Reply | undefined
    if (reply === undefined) throw new Error(`${name} ended on ${JSON.stringify(task)}`)
    return 'unsupported' in reply ? undefined : reply
  }
  return { name, about: hello.about, isHere: true, measure, close: () => child.stdin!.end() }
}

function absent(name: string, about: string): Side {
  return { name, about, isHere: false, measure: async () => undefined, close: () => {} }
}
