/** Runs the programs of a docs page: Python with its packages, Go, and a browser. */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { sharedChromium } from '../support/chromium.ts'

/** Runs a file of a folder against a service, and returns what it prints. */
export interface Run {
  (folder: string, file: string, url: string): Promise<string>
  close?(): Promise<void>
}

/** Something is missing on this machine; the message says what. */
export class NotHere extends Error {}

/** Timeouts of an installation, a program and a page, in ms. */
const [INSTALLATION, PROGRAM, PAGE] = [20 * 60_000, 5 * 60_000, 60_000]

const execute = promisify(execFile)

/** Shared by all clones, because PyTorch takes gigabytes. */
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

/** The page has its own origin, and is busy until it has printed everything. */
export async function browser(): Promise<Run> {
  const chromium = await sharedChromium()
  if (chromium === undefined) throw new NotHere('there is no Chromium')
  const run: Run = async (folder, file, url) => {
    const pages = createServer((request, response) => serve(folder, request.url!, response))
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
    const page = await chromium.newPage()
    const errors: string[] = []
    page.on('pageerror', (error) => errors.push(String(error)))
    try {
      const { port } = pages.address() as AddressInfo
      await page.goto(`http://localhost:${port}/${file}?lossd=${encodeURIComponent(url)}`)
      await page.waitForSelector('#output[aria-busy="false"]', { timeout: PAGE }).catch((error) => {
        throw new Error(`${file} ends with ${errors.join(', ') || error}`)
      })
      return (await page.textContent('#output'))!
    } finally {
      await page.close()
      pages.close()
    }
  }
  return Object.assign(run, { close: () => chromium.close() })
}

function serve(folder: string, path: string, response: ServerResponse) {
  const file = join(folder, basename(path.split('?')[0]!))
  if (!existsSync(file)) return response.writeHead(404).end()
  const type = file.endsWith('.js') ? 'text/javascript' : 'text/html'
  return response.writeHead(200, { 'Content-Type': type }).end(readFileSync(file))
}

/** @throws Error with its output */
async function printed(program: string, args: readonly string[], cwd: string, url: string): Promise<string> {
  const env = { ...process.env, LOSSD_URL: url }
  return (await execute(program, args, { cwd, env, timeout: PROGRAM })).stdout
}

function lastLine(error: unknown): string {
  const line = (error as Error).message.trim().split('\n').at(-1)!
  return line.replace(/^spawn (\S+) ENOENT$/, 'there is no $1')
}
