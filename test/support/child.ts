/** A service in a process of its own: what it prints, and when it listens. */
import type { ChildProcess } from 'node:child_process'

/** All that a process has printed so far. */
export function outputOf(child: ChildProcess): () => string {
  let output = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (data: Buffer) => {
      output += data
    })
  }
  return () => output
}

/**
 * Waits for the URL that a service prints when it listens.
 *
 * @throws Error with its output if it ends before
 */
export async function listening(output: () => string, exit: Promise<unknown>): Promise<string> {
  let ended = false
  void exit.then(() => {
    ended = true
  })
  for (;;) {
    const found = /lossd listens on (https?:\/\/[\d.:]+)/.exec(output())
    if (found !== null) return found[1]!
    if (ended) throw new Error(`it did not start: ${output()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
