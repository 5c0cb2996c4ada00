#!/usr/bin/env node
/**
 * The command line, `lossd <command>`; without npm: `node dist/cli.js`. What a command needs is loaded only for it: most of the
 * time of an evaluation of a few rows would be that of loading.
 */
import { Problem } from './errors.ts'
import { visible } from './evaluation/text-table.ts'
import { EvaluationFailed } from './evaluator/failure.ts'

/** As a shell reports a program that Ctrl-C has ended. */
const INTERRUPTED = 130

class Interrupted extends Error {
  constructor() {
    super('interrupted')
  }
}

/** Errors that are not bugs of this program: the message is enough. */
const told: (new (...args: never[]) => Error)[] = [Problem, TypeError, EvaluationFailed, Interrupted]

try {
  const [command = '', ...args] = process.argv.slice(2)
  if (command === 'evaluate') await evaluate(args)
  else {
    const { runCommand, TOLD } = await import('./commands.ts')
    told.push(...TOLD)
    await runCommand(command, args)
  }
} catch (error) {
  const isTold = told.some((kind) => error instanceof kind)
  console.error(isTold ? messageOf(error as Error) : error)
  process.exitCode = error instanceof Interrupted ? INTERRUPTED : 1
}

/** What is wrong with data or a request is one line, whatever the names in it are. A usage has more lines. */
function messageOf(error: Error): string {
  const isOneLine = error instanceof EvaluationFailed || error instanceof Problem
  return isOneLine ? visible(error.message) : error.message.split('\n').map(visible).join('\n')
}

async function evaluate(args: string[]) {
  const { EVALUATE_USAGE, runEvaluate } = await import('./evaluator/command.ts')
  if (args.includes('--help')) return console.log(EVALUATE_USAGE)
  const stopping = new AbortController()
  // A second Ctrl-C does not wait.
  process.once('SIGINT', () => stopping.abort(new Interrupted()))
  await runEvaluate(args, {
    out: (text) => console.log(text),
    note: (text) => process.stderr.write(text),
    isInteractive: process.stderr.isTTY === true,
    signal: stopping.signal,
    apiKey: process.env.LOSSD_API_KEY,
  })
}
