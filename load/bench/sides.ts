/**
 * The sides of the comparison, each in a process of its own: one per engine, and PyTorch with one thread and with
 * all threads.
 */
import { env, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import type { EngineDefinition } from '../../src/engines/define.ts'
import { engineDefinitions } from '../../src/engines/engine-registry.ts'
import { openJsonLines } from '../json-lines.ts'
import type { Hello, Measured, Reply, Task } from './tasks.ts'

/** One column of the comparison. */
export interface Side {
  readonly name: string
  /** What it reports about itself, or why it is not available. */
  readonly about: string
  readonly isHere: boolean
  readonly isGpu: boolean
  /** `undefined` if it is not available, does not have this loss, or ran out of memory. */
  measure(task: Task): Promise<Measured | undefined>
  close(): void
}

/** The engine that the others are compared with, if it is available. */
const LEAD = 'compiled'

const PYTHON = env.LOSSD_BENCH_PYTHON || 'python3'
const TORCH = fileURLToPath(new URL('torch_bench.py', import.meta.url))

/** Every engine, the lead first. */
export async function openEngines(): Promise<Side[]> {
  const all = await engineDefinitions()
  const isLead = ({ name }: EngineDefinition) => name === LEAD
  return Promise.all([...all.filter(isLead), ...all.filter((one) => !isLead(one))].map(openEngine))
}

/** The compiled engine on its caller's thread, and with a pool of threads. */
export async function openCompiledSides(threads: number): Promise<Side[]> {
  const command = (...words: string[]) => [
    '--import',
    'tsx',
    fileURLToPath(new URL('engine-process.ts', import.meta.url)),
    LEAD,
    ...words,
  ]
  return Promise.all([
    openSide(`${LEAD} 1 thread`, execPath, command()),
    openSide(`${LEAD} all threads`, execPath, command(String(threads))),
  ])
}

/** The lead, or the best engine that opened in its place. */
export function leadOf(engines: readonly Side[]): Side {
  return engines.find(({ isHere }) => isHere)!
}

export async function openTorch(): Promise<Side[]> {
  return Promise.all([
    openSide('PyTorch 1 thread', PYTHON, [TORCH, '1']),
    openSide('PyTorch all threads', PYTHON, [TORCH, 'all']),
  ])
}

/** On the GPU if there is one, otherwise on all cores: eager and compiled. */
export async function openTorchOnDevice(): Promise<Side[]> {
  const kinds = [
    ['PyTorch eager', []],
    ['torch.compile', ['compile']],
  ] as const
  return Promise.all(
    kinds.map(async ([name, words]) => {
      const onGpu = await openSide(name, PYTHON, [TORCH, 'all', 'cuda', ...words])
      return onGpu.isHere ? onGpu : openSide(name, PYTHON, [TORCH, 'all', ...words])
    }),
  )
}

/** Sentences that say what each side is, and which sides are not available. */
export function aboutSides(sides: readonly Side[]): string[] {
  const here = sides.filter(({ isHere }) => isHere).map(({ name, about }) => `${name} is ${about}`)
  const missing = sides.filter(({ isHere }) => !isHere).map(({ name, about }) => `${name} (${about})`)
  return [
    `${here.join('; ')}.`,
    ...(missing.length === 0 ? [] : [`Not available here: ${missing.join('; ')}.`]),
  ]
}

/** With the environment variables that the engine's own process would have. */
async function openEngine({ name, environment }: EngineDefinition): Promise<Side> {
  const script = fileURLToPath(new URL('engine-process.ts', import.meta.url))
  return openSide(name, execPath, ['--import', 'tsx', script, name], environment?.())
}

async function openSide(
  name: string,
  command: string,
  args: string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<Side> {
  const begin = () => start(command, args, variables)
  let running = await begin()
  const { hello } = running
  if ('unavailable' in hello) return absent(name, hello.unavailable)
  const measure = async (task: Task) => {
    const reply = await running.ask(task)
    // The process died during the task, for example of memory, and reported it on stderr. The next task gets a new
    // process.
    if (reply === undefined) running = await begin()
    return reply === undefined || 'unsupported' in reply ? undefined : reply
  }
  return {
    name,
    about: hello.about,
    isHere: true,
    isGpu: hello.isGpu === true,
    measure,
    close: () => running.close(),
  }
}

function absent(name: string, about: string): Side {
  return { name, about, isHere: false, isGpu: false, measure: async () => undefined, close: () => {} }
}

interface Started {
  readonly hello: Hello
  /** `undefined` when the process has ended. */
  ask(task: Task): Promise<Reply | undefined>
  close(): void
}

async function start(
  command: string,
  args: string[],
  variables: Readonly<Record<string, string>>,
): Promise<Started> {
  const { hear, ask, close } = openJsonLines(command, args, variables)
  return { hello: (await hear()) ?? { unavailable: `${command} does not run` }, ask, close }
}
