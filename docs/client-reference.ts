/**
 * `npm run docs:clients [-- client ...]`: writes the API reference of each client from its own documentation comments into
 * clients/reference, with the tool that is usual for its language. Where that is missing, one line says so.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const reference = join(root, 'clients/reference')

const PDOC = 'pdoc==16.0.0'
const TYPEDOC = ['-p', 'typedoc@0.28.20', '-p', 'typescript@5.9.3']

/** Client -> writes its reference into a folder. */
const CLIENTS: Readonly<Record<string, (folder: string) => void>> = {
  python(folder) {
    const environment = join(tmpdir(), 'lossd-pdoc')
    run('python3', ['-m', 'venv', environment])
    const python = join(environment, 'bin/python')
    run(python, ['-m', 'pip', 'install', '-q', PDOC, join(root, 'clients/python')])
    run(python, ['-m', 'pdoc', '--docformat', 'restructuredtext', '-o', folder, 'lossd'])
  },
  typescript(folder) {
    const entries = ['index', 'node', 'tfjs'].flatMap((name) => ['--entryPoints', `src/${name}.ts`])
    const options = ['--skipErrorChecking', '--readme', 'README.md', '--out', folder]
    run('npx', ['--yes', ...TYPEDOC, '--', 'typedoc', ...entries, ...options], 'clients/typescript')
  },
  go(folder) {
    writeFileSync(join(folder, 'lossd.txt'), run('go', ['doc', '-all', '.'], 'clients/go'))
  },
  rust(folder) {
    const target = join(root, 'clients/rust/target')
    run('cargo', ['doc', '--no-deps', '--features', 'local', '--target-dir', target], 'clients/rust')
    cpSync(join(target, 'doc'), folder, { recursive: true })
  },
  java(folder) {
    run('mvn', ['-B', '-q', 'javadoc:javadoc'], 'clients/java')
    cpSync(join(root, 'clients/java/target/reports/apidocs'), folder, { recursive: true })
  },
}

function run(command: string, args: readonly string[], folder = '.'): string {
  return execFileSync(command, args, {
    cwd: join(root, folder),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

function write(name: string, into: (folder: string) => void) {
  const folder = join(reference, name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  try {
    into(folder)
    console.log(`${name}: clients/reference/${name}`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    console.log(`${name} has no reference here: there is no ${(error as NodeJS.ErrnoException).path}`)
  }
}

const given = process.argv.slice(2)
const unknown = given.find((name) => !Object.hasOwn(CLIENTS, name))
if (unknown !== undefined) {
  console.error(`there is no client ${unknown}; clients are ${Object.keys(CLIENTS).join(', ')}`)
  process.exit(2)
}
for (const [name, into] of Object.entries(CLIENTS))
  if (given.length === 0 || given.includes(name)) write(name, into)
