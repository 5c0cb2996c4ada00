/** Whether GCC makes vectors of the loops of C, and what it says about them at -O3, where it knows most. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Loss } from '../../src/losses/define.ts'
import type { Target } from '../../src/sources/contract.ts'
import type { Precision } from '../../src/tensor.ts'
import { jobsOf } from './every-source.ts'
import { NotHere } from './runners/runner.ts'

const FLAGS = '-std=c11 -O3 -march=native -Wall -Wextra -Wpedantic -Werror -fopt-info-vec-optimized -c'.split(
  ' ',
)
/** Functions of libm that have no vector form without its own library of vectors. */
const CALLS = /\b(?:pow|lgamma|erf|sin|cos|atan|asin|acos|log2|log10)f?\(/

/** Structures whose loops GCC 12 leaves scalar: it branches around selections of several operations each. */
const BRANCHING =
  /^(?:barron_robust|varifocal|kl_div, epsilon=|binary_cross_entropy, gradient=bounded|sigmoid_focal, epsilon=)/

export interface Vectorised {
  readonly loops: number
  /** Those that call a function for each element. */
  readonly calling: readonly string[]
  /** Those that GCC is known to branch in. */
  readonly branching: readonly string[]
  /** All others that are no vectors. */
  readonly scalar: readonly string[]
}

/**
 * Each loop over the elements, in each structure of each loss of elements.
 *
 * @throws NotHere without GCC
 */
export function vectorisedLoops(c: Target, losses: readonly Loss[], precision: Precision): Vectorised {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
  const found = { loops: 0, calling: [] as string[], branching: [] as string[], scalar: [] as string[] }
  try {
    for (const loss of losses.filter(({ couples }) => couples === 'element')) {
      for (const { unit, id, text } of jobsOf(c, loss, precision, new Map())) {
        const vectors = linesOfVectors(join(folder, `${id}.c`), text)
        for (const { line, body } of elementLoops(text)) {
          const place = `${unit.label} ${precision}, line ${line}`
          found.loops++
          if (vectors.has(line)) continue
          if (CALLS.test(body)) found.calling.push(place)
          else if (BRANCHING.test(unit.label)) found.branching.push(place)
          else found.scalar.push(place)
        }
      }
    }
    return found
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The loops that the compiler reports, by the lines of their heads. */
function linesOfVectors(file: string, text: string): ReadonlySet<number> {
  writeFileSync(file, text)
  const said = compiled(file)
  const lines = [...said.matchAll(/:(\d+):\d+: optimized: loop vectorized/g)]
  return new Set(lines.map(([, line]) => Number(line)))
}

function compiled(file: string): string {
  try {
    execFileSync('gcc', ['--version'], { stdio: 'pipe' })
  } catch {
    throw new NotHere('gcc is missing')
  }
  // What it reports goes to the stream of errors, also if there is none.
  return execFileSync('sh', ['-c', 'exec gcc "$@" 2>&1', 'sh', ...FLAGS, '-o', `${file}.o`, file], {
    encoding: 'utf8',
  })
}

/** The loops over i of the function, but for that of the sum. */
function elementLoops(text: string): { line: number; body: string }[] {
  const lines = text.split('\n')
  return lines.flatMap((head, place) => {
    const [, indent] = /^(\s+)for \(size_t i = 0; i < n; i\+\+\) \{/.exec(head) ?? []
    if (indent === undefined) return []
    const end = lines.findIndex((line, at) => at > place && line === `${indent}}`)
    return [{ line: place + 1, body: lines.slice(place, end).join('\n') }]
  })
}
