/** What runs the programs of a page: Python with packages of its own, Go, and a browser. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { launchChromium } from '../support/chromium.ts'

/** Runs a file of a folder against a service, and returns what it prints. */
export type Run = (folder: string, file: string, url: string) => Promise<string>

/** This machine lacks something, and it is said what. */
export class NotHere extends Error {}

/** Longest installation and longest program, in ms. */
const [INSTALLATION, PROGRAM] = [20 * 60_000, 5 * 60_000]

const execute = promisify(execFile)

/** For all clones, because PyTorch is gigabytes. */
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lossd-start')

/**
 * @param space free bytes that installing takes
 * @param packages as pip takes them
 */
export async function python(space: number, ...packages: readonly string[]): Promise<Run> {
  const program = await installed(space, packages)
  return (folder, file, url) => printed(program, [file], folder, url)
}

async function installed(space: number, packages: readonly string[]): Promise<string> {
  const program = join(CACHE, 'bin', 'python')
  const pip = (...args: string[]) =>
    execute(
      program,
      ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...args, ...packages],
      {
        timeout: INSTALLATION,
      },
    )
  try {
    if (!existsSync(program)) await execute('python3', ['-m', 'venv', CACHE])
    const isThere = await pip('--no-index').then(
      () => true,
      () => false,
    )
    if (!isThere) {
      await checkSpace(space)
      await pip()
    }
    return program
  } catch (error) {
    throw error instanceof NotHere ? error : new NotHere(lastLine(error))
  }
}

async function checkSpace(space: number) {
  mkdirSync(CACHE, { recursive: true })
  const { bavail, bsize } = await statfs(CACHE)
  if (bavail * bsize < space) throw new NotHere(`${CACHE} has no ${space / 1e9} GB free`)
}

export async function go(): Promise<Run> {
  await execute('go', ['version']).catch((error) => {
    throw new NotHere(lastLine(error))
  })
  return (folder, file, url) => {
    const isProgram = (one: string) => /^func main\(/m.test(readFileSync(join(folder, one), 'utf8'))
    const others = readdirSync(folder).filter((one) => one.endsWith('.go') && !isProgram(one))
    return printed('go', ['run', ...others, file], folder, url)
  }
}

/** The page comes from an origin of its own, and tells that it has ended by `data-done`. */
export async function browser(): Promise<Run> {
  const chromium = await launchChromium()
  if (chromium === undefined) throw new NotHere('there is no Chromium')
  return async (folder, file, url) => {
    const pages = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html').end(readFileSync(join(folder, file)))
    })
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
    try {
      const page = await chromium.newPage()
      page.on('pageerror', (error) => console.error(error))
      const { port } = pages.address() as AddressInfo
      await page.goto(`http://localhost:${port}/?lossd=${encodeURIComponent(url)}`)
      await page.waitForSelector('#output[data-done]', { timeout: PROGRAM })
      return (await page.textContent('#output')) ?? ''
    } finally {
      await chromium.close()
      pages.close()
    }
  }
}

/** @throws Error with what it said */
async function printed(program: string, args: readonly string[], cwd: string, url: string): Promise<string> {
  const env = { ...process.env, LOSSD_URL: url }
  return (await execute(program, args, { cwd, env, timeout: PROGRAM })).stdout
}

function lastLine(error: unknown): string {
  return (error as Error).message.trim().split('\n').at(-1)!
}
