/**
 * `npm run test:openapi [-- EXAMPLES]`: tests the OpenAPI document with other tools. openapi-typescript generates types
 * from it, openapi-python-client a client, which calls a service, and Schemathesis tests the service against it. The
 * tools are installed in the system's temporary folder. If that is not possible, one line says so.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startService } from '../../load/processes.ts'

const TOOLS = {
  typescript: 'openapi-typescript@7.13.0',
  python: ['openapi-python-client==0.29.1', 'schemathesis==4.32.5'],
}
/** Cases per operation, in addition to those that cover its schema. */
const examples = process.argv[2] ?? '10'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'lossd-openapi-'))
const within = (...parts: string[]) => join(folder, ...parts)
const bin = within('python', process.platform === 'win32' ? 'Scripts' : 'bin')
const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, FORCE_COLOR: '0', NO_COLOR: '1' }

/** @throws Error if it fails, after printing its output */
function run(command: string, ...args: string[]) {
  execFileSync(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 })
}

/** @returns the reason if it is not possible */
function install(): string | undefined {
  try {
    run('npm', 'install', '--no-save', '--ignore-scripts', '--prefix', folder, TOOLS.typescript)
    run('python3', '-m', 'venv', within('python'))
    run(join(bin, 'pip'), 'install', '--quiet', '--disable-pip-version-check', ...TOOLS.python)
    return
  } catch (error) {
    return (error as Error).message.trim().split('\n').at(-1)
  }
}

async function check() {
  mkdirSync(within('datasets'))
  const { server, stop } = await startService({ LOSSD_LOG_LEVEL: 'info', LOSSD_DATASETS: within('datasets') })
  try {
    const document = await (await fetch(`${server.url}/openapi.json`)).text()
    writeFileSync(within('openapi.json'), document)
    makeTypes()
    makeClient(server.url)
    hold(server.url)
  } finally {
    await stop()
  }
}

function makeTypes() {
  run(within('node_modules/.bin/openapi-typescript'), 'openapi.json', '--output', 'types.ts')
  run(process.execPath, here('../../node_modules/typescript/bin/tsc'), '--noEmit', '--strict', 'types.ts')
  console.log('openapi-typescript makes types that TypeScript reads')
}

function makeClient(url: string) {
  const options = ['--path', 'openapi.json', '--output-path', 'client', '--config', here('python-client.yml')]
  run(join(bin, 'openapi-python-client'), 'generate', '--fail-on-warning', ...options)
  run(join(bin, 'python'), here('call.py'), url, 'client')
  console.log('openapi-python-client makes a client without a warning, which reads answers and problems')
}

function hold(url: string) {
  const options = ['--url', url, '--phases', 'examples,coverage,fuzzing', '--max-examples', examples]
  // One worker: the caches of Hypothesis are not safe for threads.
  const quiet = ['--generation-deterministic', '--warnings', 'off', '--workers', '1']
  run(
    join(bin, 'st'),
    '--config-file',
    here('schemathesis.toml'),
    'run',
    'openapi.json',
    ...options,
    ...quiet,
  )
  console.log('Schemathesis finds nothing that the document does not say')
}

try {
  const why = install()
  if (why === undefined) await check()
  else console.log(`the OpenAPI document is not tried with other tools here: ${why}`)
} catch (error) {
  const { stdout = '', stderr = '', message } = error as Error & { stdout?: Buffer; stderr?: Buffer }
  console.error(`${stdout}${stderr}${message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
