/** A Python with the libraries that sources are written for: a virtual environment of its own, made once. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { NotHere } from './runner.ts'

const FOLDER = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lossd-sources')
/** A download that takes longer is given up, and its target is not run. */
const MOST_MILLISECONDS = 120_000
const quiet = { stdio: 'pipe', encoding: 'utf8' } as const

/**
 * Its interpreter, with these packages installed.
 *
 * @throws NotHere without Python, or where packages cannot be installed
 */
export function pythonWith(packages: readonly string[]): string {
  const interpreter = join(FOLDER, 'bin', 'python')
  try {
    if (!existsSync(interpreter)) execFileSync('python3', ['-m', 'venv', FOLDER], quiet)
    if (!hasAll(interpreter, packages))
      execFileSync(interpreter, ['-m', 'pip', 'install', '-q', ...packages], {
        ...quiet,
        timeout: MOST_MILLISECONDS,
      })
    return interpreter
  } catch (error) {
    const { stderr = '', message } = error as Error & { stderr?: string }
    throw new NotHere(`Python with ${packages.join(', ')}: ${(stderr || message).trim().split('\n').at(-1)}`)
  }
}

function hasAll(interpreter: string, packages: readonly string[]): boolean {
  const program = `
import sys
from importlib.metadata import version
for wanted in sys.argv[1:]:
    name, _, number = wanted.partition("==")
    if version(name) != (number or version(name)): sys.exit(1)`
  try {
    execFileSync(interpreter, ['-c', program, ...packages], quiet)
    return true
  } catch {
    return false
  }
}
