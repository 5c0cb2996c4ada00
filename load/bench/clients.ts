/** Microseconds of value and gradient in each client, local and remote. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Server, withService } from '../processes.ts'
import type { Cell, Table } from '../table.ts'
import type { Part, PartContext } from './part.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const cache = mkdtempSync(join(tmpdir(), 'lossd-kernels-'))

/** What a client's program prints, one per line. */
interface Line {
  readonly client: string
  readonly where: string
  readonly loss: string
  readonly rows: number
  readonly columns: number
  readonly us: number
}

/** Prints microseconds or, with `auto`, where that computes. */
interface Program {
  readonly name: string
  readonly command: string
  readonly args: (part: 'clients' | 'auto') => readonly string[]
  readonly folder: string
}

/** The interpreter with the client's dependencies, as `npm run test:clients` has made it. */
const python =
  process.env.LOSSD_BENCH_PYTHON ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'lossd-clients', 'bin', 'python')

export const PROGRAMS: readonly Program[] = [
  { name: 'Python', command: python, args: (part) => ['bench.py', part], folder: 'clients/python' },
  {
    name: 'TypeScript',
    command: process.execPath,
    args: (part) => ['--import', 'tsx', 'clients/typescript/bench.ts', part],
    folder: '.',
  },
  { name: 'Go', command: 'go', args: (part) => ['run', './internal/bench', part], folder: 'clients/go' },
  {
    name: 'Java',
    command: 'mvn',
    args: (part) => ['-B', '-q', 'test-compile', 'exec:exec@bench', `-Dbench.part=${part}`],
    folder: 'clients/java',
  },
  {
    name: 'Rust',
    command: 'cargo',
    args: (part) => ['run', '--quiet', '--release', '--features', 'local', '--example', 'bench', '--', part],
    folder: 'clients/rust',
  },
]

const part: Part = async (context) => [await withService({}, (service) => measure(service, context))]
export default part

async function measure(service: Server, { say }: PartContext): Promise<Table> {
  const lines = PROGRAMS.flatMap((program) => {
    say(`clients: ${program.name}`)
    return linesOf<Line>(program, 'clients', service)
  })
  return {
    title: 'Value and gradient',
    about:
      'Microseconds of one call on one thread, the best of half a second: the loss and its gradient with respect to the predictions, in float32, from arrays of the language to arrays of the language. Remote is one connection on the loopback interface. PyTorch is eager, with autograd and one thread.',
    head: [
      'loss',
      'size',
      ...PROGRAMS.flatMap(({ name }) => [`${name} local`, `${name} remote`]),
      'PyTorch',
      'lossd.torch',
    ],
    rows: rowsOf(lines),
  }
}

/** What a program prints; nothing where its toolchain is missing. */
export function linesOf<Printed>(
  { name, command, args, folder }: Program,
  part: 'clients' | 'auto',
  { url }: Server,
): Printed[] {
  if (name === 'Python' && !existsSync(command)) return []
  const env = {
    ...process.env,
    LOSSD_URL: url,
    PYTHONPATH: join(root, 'clients/python/src'),
    // The kernels of this service, not those that an earlier one has left.
    LOSSD_CACHE: cache,
    OMP_NUM_THREADS: '1',
  }
  try {
    const text = execFileSync(command, args(part), { cwd: join(root, folder), env, encoding: 'utf8' })
    // Maven writes escape sequences before and after, even without colors.
    const lines = text.split('\n').filter((line) => line.includes('{'))
    return lines.map((line) => JSON.parse(line.slice(line.indexOf('{'))) as Printed)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    console.error(`${name} is not measured here: there is no ${command}`)
    return []
  }
}

function rowsOf(lines: readonly Line[]): Cell[][] {
  const sizes = [...new Set(lines.map(({ loss, rows, columns }) => `${loss} ${rows}x${columns}`))].sort(
    (a, b) => a.length - b.length || (a < b ? -1 : 1),
  )
  return sizes.map((key) => {
    const own = lines.filter(({ loss, rows, columns }) => `${loss} ${rows}x${columns}` === key)
    const find = (client: string, where: string) =>
      own.find((line) => line.client === client && line.where === where)?.us
    const cells = PROGRAMS.flatMap(({ name }) => [find(name, 'local'), find(name, 'remote')])
    const [loss, size] = key.split(' ')
    return [
      loss!,
      size!,
      ...cells,
      find('Python', "PyTorch's own"),
      find('Python', 'local, as a PyTorch module'),
    ]
  })
}
