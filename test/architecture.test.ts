/** Imports point one way, down the floors of ARCHITECTURE.md. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const source = new URL('../src/', import.meta.url)
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

/** The house from the roof to the ground: imports go down, or stay within a room. Rooms of one floor do not see each other. */
const FLOORS: readonly (readonly string[])[] = [
  ['server.ts', 'store-cli.ts'],
  ['app.ts'],
  ['routes'],
  ['http.ts', 'registry'],
  ['schemas', 'metrics.ts'],
  ['wire', 'batching', 'store', 'analyzer', 'connections.ts', 'config.ts'],
  ['analysis'],
  ['engines', 'losses'],
  ['language'],
  ['errors.ts', 'tensor.ts', 'nearest.ts', 'lru.ts', 'counters.ts'],
]

/** Where a room takes only a leaf of a room below, or nothing. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'app.ts -> language': [],
  'routes -> language': ['language/latex.ts'],
  'routes -> engines': ['engines/contract.ts'],
  'http.ts -> language': [],
  'http.ts -> engines': [],
  'routes -> store': ['store/contract.ts'],
  'registry -> store': ['store/contract.ts'],
  'registry -> wire': ['wire/define.ts'],
  'registry -> language': [],
  'schemas -> wire': ['wire/define.ts'],
  'schemas -> store': [],
  'schemas -> batching': ['batching/job.ts'],
  'schemas -> engines': [],
  'metrics.ts -> batching': ['batching/events.ts'],
  'metrics.ts -> engines': ['engines/contract.ts'],
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

/** What runs anywhere, a browser's page included: no module of Node's below it, and none of the packages of the service. */
const PURE = [
  'tensor.ts',
  'nearest.ts',
  'errors.ts',
  'lru.ts',
  ...files.filter((file) => file.startsWith('language/')),
  ...files.filter((file) => file.startsWith('analysis/')),
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

/** Files that reach themselves, as they are met by a walk along the imports. */
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

const exportsFormat = (file: string) =>
  /^export default defineFormat/m.test(readFileSync(new URL(file, source), 'utf8'))

describe('the house', () => {
  it('has no room that the list of floors does not know', () => {
    expect([...new Set(files.map(partOf))].sort()).toEqual(FLOORS.flat().sort())
  })

  it('has imports that go down', () => {
    const strays = imports.filter(
      ({ from, to }) => partOf(from) !== partOf(to) && floorOf(partOf(from)) >= floorOf(partOf(to)),
    )
    expect(strays).toEqual([])
  })

  it('has no file that imports itself through others', () => {
    expect(circles()).toEqual([])
  })

  it('has pure rooms, which know neither Node nor a server', () => {
    const packages = PURE.flatMap((file) => packagesOf(file).map((name) => ({ file, name })))
    expect(
      packages.filter(
        ({ name }) => !['@sinclair/typebox', '@noble/hashes'].some((known) => name.startsWith(known)),
      ),
    ).toEqual([])
    expect(imports.filter(({ from, to }) => PURE.includes(from) && !PURE.includes(to))).toEqual([])
  })

  it.each(Object.entries(ONLY))('%s takes only %j', (edge, leaves) => {
    const [part, other] = edge.split(' -> ')
    const strays = imports.filter(
      ({ from, to }) => partOf(from) === part && partOf(to) === other && !leaves.includes(to),
    )
    expect(strays).toEqual([])
  })

  it('has losses, formats and engines that do not know each other', () => {
    const isLoss = (file: string) => /^losses\/\w+\/\w+\.ts$/.test(file)
    const shared = ['losses/define.ts', 'losses/formula-snippets.ts', 'losses/regions.ts', 'losses/boxes.ts']
    expect(imports.filter(({ from, to }) => isLoss(from) && !shared.includes(to))).toEqual([])
    const isFormat = (file: string) => /^wire\/(\w+\/index|\w+)\.ts$/.test(file) && exportsFormat(file)
    expect(files.filter(isFormat).length).toBeGreaterThanOrEqual(2)
    expect(imports.filter(({ from, to }) => isFormat(from) && isFormat(to))).toEqual([])
    const isEngine = (file: string) => /^engines\/(wasm|cpu|tensorflow|interpreter)\.ts$/.test(file)
    expect(imports.filter(({ from, to }) => isEngine(from) && isEngine(to))).toEqual([])
  })

  it('touches the process in programs alone, and tfjs in engines alone', () => {
    const text = (file: string) =>
      readFileSync(new URL(file, source), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    expect(
      files.filter((file) => !FLOORS[0]!.includes(file) && /(?<!\/)\bprocess\./.test(text(file))),
    ).toEqual([])
    expect(files.filter((file) => !file.startsWith('engines/') && /@tensorflow/.test(text(file)))).toEqual([])
  })

  it('hands the environment on to engines that have a process of their own, and to nothing else', () => {
    const text = (file: string) => readFileSync(new URL(file, source), 'utf8')
    expect(files.filter((file) => /from 'node:process'/.test(text(file))).sort()).toEqual([
      'engines/remote/child.ts',
      'engines/remote/process.ts',
    ])
  })

  it('hands no text to an evaluator', () => {
    const text = (file: string) => readFileSync(new URL(file, source), 'utf8')
    expect(files.filter((file) => /\bnew Function\b|\bvm\b'|\beval\(/.test(text(file)))).toEqual([])
  })
})
