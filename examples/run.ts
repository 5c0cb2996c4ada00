/** Runs an example from the command line: `npm run example:iris [-- URL]`. */
import { pathToFileURL } from 'node:url'

/** Runs it if its module was started directly, not imported. An error is printed in one sentence. */
export async function runExample(module: string, example: (url: string) => Promise<void>): Promise<void> {
  if (module !== pathToFileURL(process.argv[1] ?? '').href) return
  try {
    await example(urlOf(process.argv[2] ?? process.env.LOSSD_URL ?? 'localhost:8080'))
  } catch (error) {
    console.error((error as Error).message)
    process.exitCode = 1
  }
}

/** `9090` and `localhost:9090` are accepted for `http://localhost:9090`. */
function urlOf(text: string): string {
  const host = /^\d+$/.test(text) ? `localhost:${text}` : text
  const url = host.includes('://') ? host : `http://${host}`
  if (!URL.canParse(url))
    throw new Error(`"${text}" is not an address; use one such as http://localhost:8080`)
  return url.replace(/\/+$/, '')
}
