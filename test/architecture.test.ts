/** Import rules: imports point only downwards, as in the floors of ARCHITECTURE.md. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const source = new URL('../src/', import.meta.url)
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

/** The floors from top to bottom. Imports go down, or stay within a room; rooms on the same floor do not import each other. */
const root = new URL('../', import.meta.url)
const PLACES = ['src', 'test', 'docs', 'load', 'setup', 'examples']
const everywhere = [
  ...readdirSync(root),
  ...PLACES.flatMap((place) =>
    readdirSync(new URL(`${place}/`, root), { recursive: true, encoding: 'utf8' }).map(
      (file) => `${place}/${file}`,
    ),
  ),
]
const architecture = readFileSync(new URL('ARCHITECTURE.md', root), 'utf8')

/** The house from the roof to the ground: imports go down, or stay within a room. Rooms of one floor do not see each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['server.ts', 'store-cli.ts', 'cli.ts', 'commands.ts'],
  ['app.ts', 'processes'],
  ['routes'],
  ['http.ts', 'registry', 'evaluator'],
  ['schemas', 'access', 'metrics.ts', 'analyzer'],
  ['wire', 'batching', 'store', 'connections.ts', 'rejection-log.ts', 'gc-tuning.ts', 'config.ts'],
  ['evaluation'],
  ['sources', 'analysis', 'portable'],
  ['engines', 'losses'],
  ['loops'],
  ['language'],
  [
    'errors.ts',
    'tensor.ts',
    'nearest.ts',
    'lru.ts',
    'counters.ts',
    'backoff.ts',
    'peers.ts',
    'free-memory.ts',
  ],
]

/** Rooms that may import only one file of a lower room, or nothing of it. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'app.ts -> language': [],
  'routes -> language': ['language/latex.ts'],
  'routes -> engines': ['engines/contract.ts'],
  'http.ts -> language': [],
  'http.ts -> engines': [],
  'routes -> store': ['store/contract.ts'],
  'registry -> store': ['store/contract.ts'],
  'access -> store': ['store/contract.ts'],
  'registry -> access': ['access/audit.ts', 'access/caller.ts', 'access/grants.ts', 'access/refusals.ts'],
  'processes -> access': ['access/quotas.ts'],
  'routes -> access': ['access/access.ts', 'access/audit.ts', 'access/caller.ts'],
  'registry -> wire': ['wire/define.ts'],
  'registry -> language': [],
  'evaluator -> language': ['language/ir.ts'],
  'evaluator -> engines': [
    'engines/compiled.ts',
    'engines/contract.ts',
    'engines/define.ts',
    'engines/interpreter.ts',
    'engines/routing/fallback-chain.ts',
    'engines/spawn-worker-thread.ts',
  ],
  'evaluator -> store': ['store/contract.ts'],
  'evaluator -> wire': ['wire/define.ts', 'wire/half-precision.ts', 'wire/safetensors/dtype-codes.ts'],
  'evaluator -> batching': ['batching/job.ts'],
  'schemas -> wire': ['wire/define.ts'],
  'schemas -> store': [],
  'schemas -> batching': ['batching/job.ts'],
  'schemas -> engines': [],
  'metrics.ts -> batching': ['batching/events.ts'],
  'metrics.ts -> engines': ['engines/contract.ts'],
  'sources -> engines': [],
  'wire -> portable': [],
  'batching -> portable': [],
  'store -> portable': [],
  'schemas -> portable': ['portable/contract.ts'],
  'routes -> portable': ['portable/contract.ts'],
  'batching -> engines': ['engines/contract.ts'],
  'batching -> losses': [],
  'store -> engines': ['engines/spawn-worker-thread.ts'],
  'store -> losses': [],
  'store -> language': [],
  'analyzer -> engines': ['engines/spawn-worker-thread.ts'],
  'wire -> analysis': [],
  'batching -> analysis': [],
  'store -> analysis': [],
  'wire -> engines': [],
  'wire -> losses': [],
  'wire -> language': [],
}

/** The files of the compiled engine that portable kernels are made with. */
const COMPILER = [
  'chebyshev',
  'element-types',
  'emit',
  'exponential',
  'gamma',
  'kernel',
  'kernel-cache',
  'lane-math',
  'lane-type',
  'lanes',
  'math',
  'math-float64',
  'arena',
  'scalar-math',
  'scale-in-place',
  'wasm-encoder',
  'wide',
]

/** Rooms that run anywhere, including browsers: they import no Node module and none of the service's packages, even indirectly. */
const PURE = [
  'tensor.ts',
  'nearest.ts',
  'errors.ts',
  'lru.ts',
  ...files.filter((file) => /^(language|loops|sources|analysis|portable|evaluation)\//.test(file)),
  // What kernels are made with; what runs them needs threads.
  ...files.filter((file) =>
    /^engines\/(compiled\/(emit|whole-axis)\/|gamma\.ts|contract\.ts|legalize-or-reject\.ts)/.test(file),
  ),
  ...COMPILER.map((name) => `engines/compiled/${name}.ts`),
  ...files.filter((file) => file.startsWith('losses/') && file !== 'losses/load-catalog.ts'),
]

const partOf = (file: string) => file.split('/')[0]!
const floorOf = (part: string) => FLOORS.findIndex((rooms) => rooms.includes(part))

interface Import {
  readonly from: string
  readonly to: string
}

function importsOf(file: string): Import[] {
  const text = readFileSync(new URL(file, source), 'utf8')
  const paths = [...text.matchAll(/^(?:import|export)[^'"]*from '(\.[^']+)'/gm)].map((match) => match[1]!)
  return paths.map((path) => ({
    from: file,
    to: new URL(path, new URL(file, source)).pathname.slice(source.pathname.length),
  }))
}

const imports = files.flatMap(importsOf)

/** Packages and modules of Node that a file imports. */
function packagesOf(file: string): string[] {
  const text = readFileSync(new URL(file, source), 'utf8')
  return [...text.matchAll(/^(?:import|export)[^'"]*from '([^.'][^']*)'/gm)].map((match) => match[1]!)
}

/** Files that import themselves through others, found by a walk along the imports. */
function circles(): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const walk = (file: string, above: readonly string[]) => {
    if (above.includes(file)) found.push([...above.slice(above.indexOf(file)), file].join(' -> '))
    if (done.has(file) || above.includes(file)) return
    for (const { to } of imports.filter(({ from }) => from === file)) walk(to, [...above, file])
    done.add(file)
  }
  for (const file of files) walk(file, [])
  return found
}

const defines = (what: 'Format' | 'Engine') => (file: string) =>
  new RegExp(`^export default define${what}`, 'm').test(readFileSync(new URL(file, source), 'utf8'))

describe('ARCHITECTURE.md', () => {
  /** Names from the build, glibc or tfjs, which are not in the sources. */
  const OUTSIDE = /^(dist\b|MALLOC_|runWebGPUProgram)/
  const exists = (path: string) =>
    OUTSIDE.test(path) || everywhere.some((file) => file === path || file.endsWith(`/${path}`))

  it('names files that exist, from the root, from src, or by their last parts', () => {
    const files = [...architecture.matchAll(/(?<![\w./<>-])[\w./-]+\.(?:ts|js|json|md|py)\b/g)].map(
      ([file]) => file,
    )
    expect(files.length).toBeGreaterThan(80)
    expect(files.filter((file) => !exists(file))).toEqual([])
  })

  it('names folders that exist', () => {
    const folders = [...architecture.matchAll(/`([\w/-]+)\/`/g)].map(([, folder]) => folder!)
    expect(folders.length).toBeGreaterThan(10)
    expect(folders.filter((folder) => !exists(folder))).toEqual([])
  })

  it('names functions, types and constants that exist', () => {
    const modules = everywhere.filter((file) => file.endsWith('.ts'))
    const code = modules.map((file) => readFileSync(new URL(file, root), 'utf8')).join('\n')
    const names = [...architecture.matchAll(/`(\w*[a-z][A-Z]\w*|[A-Z][A-Z_]+)\b[^`]*`/g)].map(
      ([, name]) => name!,
    )
    expect(names.length).toBeGreaterThan(10)
    const isCode = (name: string) => OUTSIDE.test(name) || new RegExp(`\\b${name}\\b`).test(code)
    expect(names.filter((name) => !isCode(name))).toEqual([])
  })

  it('has the floors of this test', () => {
    const rows = [...architecture.matchAll(/^\| [^|]+ \| ((?:`[\w./-]+`(?:, )?)+) \|$/gm)].map(
      ([, rooms]) => rooms!,
    )
    const floors = rows.map((rooms) => rooms.replaceAll(/[`/]/g, '').split(', '))
    expect(floors.slice(0, FLOORS.length)).toEqual(FLOORS)
  })
})

describe('the architecture', () => {
  it('lists every room on a floor', () => {
    expect([...new Set(files.map(partOf))].sort()).toEqual(FLOORS.flat().sort())
  })

  it('has only imports that point downwards', () => {
    const strays = imports.filter(
      ({ from, to }) => partOf(from) !== partOf(to) && floorOf(partOf(from)) >= floorOf(partOf(to)),
    )
    expect(strays).toEqual([])
  })

  it('has no import cycles', () => {
    expect(circles()).toEqual([])
  })

  it('has pure rooms, which use neither Node nor the server', () => {
    const packages = PURE.flatMap((file) => packagesOf(file).map((name) => ({ file, name })))
    expect(
      packages.filter(
        ({ name }) => !['@sinclair/typebox', '@noble/hashes'].some((known) => name.startsWith(known)),
      ),
    ).toEqual([])
    expect(imports.filter(({ from, to }) => PURE.includes(from) && !PURE.includes(to))).toEqual([])
  })

  it.each(Object.entries(ONLY))('%s imports only %j', (edge, leaves) => {
    const [part, other] = edge.split(' -> ')
    const strays = imports.filter(
      ({ from, to }) => partOf(from) === part && partOf(to) === other && !leaves.includes(to),
    )
    expect(strays).toEqual([])
  })

  it('has losses, formats and engines that do not import each other', () => {
    const isLoss = (file: string) => /^losses\/\w+\/\w+\.ts$/.test(file)
    const shared = ['losses/define.ts', 'losses/formula-snippets.ts', 'losses/regions.ts', 'losses/boxes.ts']
    expect(imports.filter(({ from, to }) => isLoss(from) && !shared.includes(to))).toEqual([])
    for (const [what, least] of [
      ['Format', 2],
      ['Engine', 6],
    ] as const) {
      const found = new Set(files.filter(defines(what)))
      expect(found.size).toBeGreaterThanOrEqual(least)
      expect(imports.filter(({ from, to }) => found.has(from) && found.has(to))).toEqual([])
    }
  })

  it('uses the global process only in entry points, and tfjs only in engines', () => {
    const text = (file: string) =>
      readFileSync(new URL(file, source), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    expect(
      files.filter((file) => !FLOORS[0]!.includes(file) && /(?<!\/)\bprocess\./.test(text(file))),
    ).toEqual([])
    // A source for TensorFlow.js contains the line that imports it.
    const imported =
      /^(?:import|export)\b.*@tensorflow|\bimport\(\s*['"]@tensorflow|require\(\s*['"]@tensorflow/m
    expect(files.filter((file) => !file.startsWith('engines/') && imported.test(text(file)))).toEqual([])
  })

  it('passes the environment only to engine processes', () => {
    const text = (file: string) => readFileSync(new URL(file, source), 'utf8')
    expect(files.filter((file) => /\benv\b.*from 'node:process'/.test(text(file))).sort()).toEqual([
      'engines/remote/process.ts',
      'engines/remote/shared-device.ts',
    ])
  })

  it('never evaluates text as code', () => {
    const text = (file: string) => readFileSync(new URL(file, source), 'utf8')
    expect(files.filter((file) => /\bnew Function\b|\bvm\b'|\beval\(/.test(text(file)))).toEqual([])
  })
})
