/** Imports point one way. The table below is ARCHITECTURE.md's, and the code must keep it. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const source = new URL('../src/', import.meta.url)
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
)

/** Part -> the parts that it may import. A part may always import itself, except where it is marked below. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'server.ts': ['app.ts', 'config.ts'],
  'app.ts': [
    'batching',
    'config.ts',
    'connections.ts',
    'engines',
    'http.ts',
    'losses',
    'metrics.ts',
    'routes',
    'schemas',
    'wire',
  ],
  'http.ts': ['batching', 'connections.ts', 'errors.ts', 'schemas'],
  routes: [
    'batching',
    'config.ts',
    'connections.ts',
    'engines',
    'errors.ts',
    'language',
    'losses',
    'metrics.ts',
    'schemas',
    'wire',
  ],
  'metrics.ts': ['batching', 'engines', 'tally.ts'],
  'tally.ts': [],
  'config.ts': ['language'],
  'connections.ts': [],
  wire: ['errors.ts', 'language', 'schemas'],
  schemas: ['batching', 'engines', 'errors.ts', 'language', 'losses', 'wire'],
  batching: ['engines', 'errors.ts', 'language', 'schemas'],
  losses: ['engines', 'language', 'schemas'],
  engines: ['language', 'schemas'],
  language: ['schemas'],
  'errors.ts': [],
}

/** Where only types, or one leaf, may be taken from a part. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'language -> schemas': ['schemas/tensor.ts'],
  'engines -> schemas': ['schemas/tensor.ts'],
  'batching -> schemas': ['schemas/tensor.ts'],
  'losses -> schemas': ['schemas/tensor.ts', 'schemas/request.ts'],
  'losses -> engines': ['engines/define.ts'],
  'batching -> engines': ['engines/define.ts'],
  'schemas -> engines': ['engines/define.ts'],
  'schemas -> batching': ['batching/job.ts'],
  'schemas -> wire': ['wire/define.ts'],
  'routes -> engines': ['engines/define.ts'],
  'routes -> language': ['language/latex.ts', 'language/nearest.ts'],
  'wire -> language': ['language/nearest.ts'],
  'config.ts -> language': ['language/nearest.ts'],
  'metrics.ts -> batching': ['batching/events.ts'],
  'metrics.ts -> engines': ['engines/define.ts'],
}

const partOf = (file: string) => file.split('/')[0]!

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

describe('the house', () => {
  it('has no part that the table does not know', () => {
    expect([...new Set(files.map(partOf))].sort()).toEqual(Object.keys(MAY_IMPORT).sort())
  })

  it.each(Object.entries(MAY_IMPORT))('%s imports only %j', (part, allowed) => {
    const strays = imports.filter(
      ({ from, to }) => partOf(from) === part && partOf(to) !== part && !allowed.includes(partOf(to)),
    )
    expect(strays).toEqual([])
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
    const shared = ['losses/define.ts', 'losses/lines.ts', 'losses/regions.ts']
    expect(imports.filter(({ from, to }) => isLoss(from) && !shared.includes(to))).toEqual([])
    const isFormat = (file: string) => /^wire\/(json|safetensors)\/index\.ts$/.test(file)
    expect(imports.filter(({ from, to }) => isFormat(from) && isFormat(to))).toEqual([])
    const isEngine = (file: string) => /^engines\/(wasm|cpu|tensorflow|interpreter)\.ts$/.test(file)
    expect(imports.filter(({ from, to }) => isEngine(from) && isEngine(to))).toEqual([])
  })

  it('touches the process in server.ts alone, and tfjs in engines alone', () => {
    const text = (file: string) =>
      readFileSync(new URL(file, source), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    expect(files.filter((file) => file !== 'server.ts' && /(?<!\/)\bprocess\./.test(text(file)))).toEqual([])
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
