/** Runs sources of a compiled language: one program with all of them, which reads the cases and prints what comes out. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Precision } from '../../../src/tensor.ts'
import { type LoopCall, loopCall, outcomeOf, reductionsOf, resultOf, wordsOf } from './loop-call.ts'
import { type Job, NotHere, type Outcome, type Runner } from './runner.ts'

/** A source, and how it is called. */
export interface NativeJob extends Job {
  readonly call: LoopCall
}

export interface Language {
  /** A command that fails where the language is missing. */
  readonly needs: readonly [string, ...string[]]
  /** Path -> text of each file of the program. */
  files(jobs: readonly NativeJob[], precision: Precision): ReadonlyMap<string, string>
  /** Commands that compile it, with warnings as errors. */
  build(jobs: readonly NativeJob[]): readonly (readonly [string, ...string[]])[]
  readonly run: readonly [string, ...string[]]
}

export function native(language: Language): Runner {
  return {
    run: async (jobs, precision) => {
      checkHere(language)
      const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
      try {
        return runIn(folder, language, jobs, precision)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
  }
}

function checkHere({ needs: [command, ...args] }: Language) {
  try {
    execFileSync(command, args, { stdio: 'pipe' })
  } catch {
    throw new NotHere(`${command} is missing`)
  }
}

function runIn(folder: string, language: Language, jobs: readonly Job[], precision: Precision): Outcome[][] {
  const called = jobs.map((job) => ({ ...job, call: loopCall(job.unit) }))
  for (const [path, text] of language.files(called, precision)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const options = { cwd: folder, encoding: 'utf8', maxBuffer: 2 ** 30 } as const
  for (const [command, ...args] of language.build(called))
    execFileSync(command, args, { ...options, stdio: 'pipe' })
  const words = called.flatMap(({ call, unit }) =>
    unit.cases.flatMap((one) => reductionsOf(one).flatMap((reduction) => wordsOf(call, one, reduction))),
  )
  const [command, ...args] = language.run
  const lines = execFileSync(command, args, { ...options, input: `${words.join('\n')}\n` }).split('\n')
  let next = 0
  return called.map(({ call, unit }) =>
    unit.cases.map((one) => {
      const calls = reductionsOf(one).map(() => {
        const own = lines.slice(next, next + 1 + call.outputs.length)
        next += own.length
        return resultOf(own)
      })
      return outcomeOf(call, one, calls)
    }),
  )
}

/** How often a source is called: once for each case and each of its reductions. */
export function callsOf({ unit }: NativeJob): number {
  return unit.cases.reduce((total, one) => total + reductionsOf(one).length, 0)
}
