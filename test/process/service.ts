/** The built service as a separate process, however it was started. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { listening, outputOf } from '../support/child.ts'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export interface Service {
  readonly child: ChildProcess
  readonly url: string
  output(): string
  /** Resolves with the exit code, or the signal. */
  readonly exit: Promise<number | string>
}

const started: ChildProcess[] = []

/** Ends all processes that a check has left running. */
export function endAll() {
  for (const child of started.splice(0)) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  }
}

const BUILT = [process.execPath, '--single-threaded-gc', 'dist/server.js']

/** Starts it, and waits until it listens. */
export async function start(
  env: Readonly<Record<string, string>> = {},
  [program, ...args]: readonly string[] = BUILT,
  options: SpawnOptions = {},
): Promise<Service> {
  const settings = { PORT: '0', HOST: '127.0.0.1', LOSSD_ENGINE: 'compiled', ...env }
  const child = spawn(program!, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, ...settings },
  })
  started.push(child)
  const output = outputOf(child)
  const exit = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string)
  const url = await listening(output, exit)
  return { child, url, output, exit }
}

/** @throws Error that says so */
export function check(holds: boolean, promise: string): void {
  if (!holds) throw new Error(promise)
}
