/** Another program, in any language, that answers each line of JSON with a line of JSON. */
import { spawn } from 'node:child_process'
import { env } from 'node:process'
import { createInterface } from 'node:readline'

export interface JsonLines {
  /** The next line; `undefined` when the process has ended. */
  // biome-ignore lint/suspicious/noExplicitAny: the other side knows its type.
  hear(): Promise<any>
  /** Sends a line, and returns the next one. */
  ask(request: object): ReturnType<JsonLines['hear']>
  close(): void
}

/** Starts the program. If it is missing, it has ended before its first line. */
export function openJsonLines(
  command: string,
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): JsonLines {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...env, ...variables } })
  // A missing command and a closed pipe both show up as the end of the output.
  child.on('error', () => {})
  child.stdin.on('error', () => {})
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const hear = async () => {
    const { value, done } = await lines.next()
    return done ? undefined : JSON.parse(value)
  }
  return {
    hear,
    ask: (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`)
      return hear()
    },
    close: () => child.stdin.end(),
  }
}
