/** Runs other programs, and turns their output into one line that says what is wrong and what to do. */
import { spawn, spawnSync } from 'node:child_process'

/** The setup cannot continue. The message is one line for whoever runs it. */
export class SetupError extends Error {
  override readonly name = 'SetupError'
}

export interface Ran {
  readonly code: number | null
  /** Both streams, in the order in which they came. */
  readonly said: string
}

/** Runs a program that may take long. */
export function run(
  command: string,
  args: readonly string[],
  { cwd, env }: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: [...stdio] })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (part) => (said += part))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, said }))
  })
}

/** Whether a program is installed and runs. */
export function answers(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** The standard output of a program; empty if it fails. */
export function saidBy(command: string, args: readonly string[]): string {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? stdout : ''
}

/** The most informative line: the last one with an error, otherwise the last one. */
export function errorLineOf(said: string): string {
  const lines = said.split('\n').filter((line) => line.trim() !== '' && !line.includes('A complete log'))
  return (lines.findLast((line) => /\berror\b/i.test(line)) ?? lines.at(-1) ?? 'no output').trim()
}
