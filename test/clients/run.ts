/**
 * `npm run test:clients [-- client ...] [--packages]`: the tests of each client, against a service that this starts. Where a
 * toolchain is missing, one line says so. With `--packages`, their packages are built and tried instead (packages.ts).
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lossd-clients')

/** How the tests of a client are run. */
interface Tests {
  readonly command: string
  readonly args: readonly string[]
  readonly folder: string
  readonly environment?: Readonly<Record<string, string>>
}

/** A toolchain is not on this machine. */
class NotHere extends Error {}

const CLIENTS: Readonly<Record<string, () => readonly Tests[]>> = {
  python: () => {
    const command = pythonWith(['numpy', 'wasmtime', 'pytest'])
    // A process for each file: some frameworks abort in the company of others.
    return testsIn('clients/python/tests', /^test_.*\.py$/).map((file) => ({
      command,
      args: ['-m', 'pytest', '-q', '--no-header', `tests/${file}`],
      folder: 'clients/python',
      environment: { PYTHONPATH: join(root, 'clients/python/src') },
    }))
  },
  go: () => {
    const command = toolCalled('go', 'version')
    return [
      { command, args: ['vet', './...'], folder: 'clients/go' },
      { command, args: ['test', '-count=1', './...'], folder: 'clients/go' },
    ]
  },
  rust: () => {
    const command = toolCalled('cargo', '--version')
    return [
      { command, args: ['test', '--quiet', '--release', '--features', 'local'], folder: 'clients/rust' },
    ]
  },
  java: () => {
    const command = toolCalled('mvn', '--version')
    return [{ command, args: ['-B', '-q', 'test'], folder: 'clients/java' }]
  },
  typescript: () => {
    const files = testsIn('clients/typescript/test', /\.test\.ts$/)
    const paths = files.map((file) => `clients/typescript/test/${file}`)
    return [
      { command: 'npx', args: ['tsc', '-p', 'clients/typescript', '--noEmit'], folder: '.' },
      { command: process.execPath, args: ['--import', 'tsx', '--test', ...paths], folder: '.' },
    ]
  },
}

/** A command, if it is there and its dependencies can be had. */
function toolCalled(command: string, ...probe: readonly string[]): string {
  try {
    quietly(command, probe)
    return command
  } catch {
    throw new NotHere(`there is no ${command}`)
  }
}

function testsIn(folder: string, name: RegExp): string[] {
  return readdirSync(join(root, folder))
    .filter((file) => name.test(file))
    .sort()
}

/** The interpreter of a virtual environment of its own, made once. Frameworks are tested where they are installed in it. */
function pythonWith(packages: readonly string[]): string {
  const interpreter = join(cache, 'bin', 'python')
  try {
    if (!existsSync(interpreter)) quietly('python3', ['-m', 'venv', cache])
    if (!hasAll(interpreter, packages)) quietly(interpreter, ['-m', 'pip', 'install', '-q', ...packages])
  } catch (error) {
    throw new NotHere(
      `Python with ${packages.join(', ')}: ${String((error as Error).message).split('\n')[0]}`,
    )
  }
  return interpreter
}

function hasAll(interpreter: string, packages: readonly string[]): boolean {
  try {
    quietly(interpreter, ['-c', packages.map((name) => `import ${name}`).join('; ')])
    return true
  } catch {
    return false
  }
}

function quietly(command: string, args: readonly string[]) {
  execFileSync(command, args, { stdio: 'pipe', timeout: 180_000 })
}

/** @returns the exit code */
function run({ command, args, folder, environment = {} }: Tests, url: string): Promise<number> {
  const env = { ...process.env, LOSSD_URL: url, ...environment }
  const child = spawn(command, args, { cwd: join(root, folder), env, stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => resolve(code ?? 1))
  })
}

/** In a process of its own, because this one serves the losses meanwhile. */
async function packaged(name: string) {
  const code = `import { PACKAGES } from './test/clients/packages.ts'; PACKAGES[${JSON.stringify(name)}](() => ${JSON.stringify(
    name === 'python' ? pythonWith(['build']) : '',
  )})`
  const args = ['--import', 'tsx', '--input-type=module', '-e', code]
  if ((await run({ command: process.execPath, args, folder: '.' }, url)) !== 0) process.exitCode = 1
}

const words = process.argv.slice(2)
const isAboutPackages = words.includes('--packages')
const given = words.filter((word) => word !== '--packages')
const unknown = given.find((name) => !Object.hasOwn(CLIENTS, name))
if (unknown !== undefined) {
  console.error(`there is no client ${unknown}; clients are ${Object.keys(CLIENTS).join(', ')}`)
  process.exit(2)
}
const app = await buildApp({ ...loadConfig({}), logLevel: 'silent' })
const url = await app.fastify.listen({ port: 0, host: '127.0.0.1' })
for (const [name, tests] of Object.entries(CLIENTS)) {
  if (given.length > 0 && !given.includes(name)) continue
  try {
    if (isAboutPackages) {
      console.log(`${name}: its package`)
      process.env.LOSSD_URL = url
      await packaged(name)
      continue
    }
    for (const own of tests()) {
      console.log(`${name}: ${own.args.at(-1)}`)
      if ((await run(own, url)) !== 0) process.exitCode = 1
    }
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`${name} is not tested here: ${error.message}`)
  }
}
await app.fastify.close()
