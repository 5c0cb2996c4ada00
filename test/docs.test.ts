/** The docs match the code: generated tables, and the commands of README.md with their responses. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { between, generatedSections } from '../docs/generated-sections.ts'
import { lossPages } from '../docs/loss-pages.ts'
import { startServer, type TestServer } from './support/server.ts'

const read = (file: string) => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')

const tables = Object.entries(await generatedSections()).flatMap(([file, parts]) => {
  return Object.entries(parts).map(([marker, text]) => [file, marker, text] as const)
})

it.each(tables)('%s has the current table "%s" (npm run docs)', (file, marker, text) => {
  expect(between(read(file), marker)).toBe(text)
})

describe('the pages of the losses (npm run docs)', () => {
  const made = lossPages()

  it.each([...made])('docs/losses/%s is up to date', (file, text) => {
    expect(read(`docs/losses/${file}`)).toBe(text)
  })

  it('exist for exactly the losses of the catalog', () => {
    expect(readdirSync(new URL('../docs/losses/', import.meta.url)).sort()).toEqual([...made.keys()].sort())
  })
})

it.each(documents())('%s links only to files and headings that exist', (file) => {
  const links = [...read(file).matchAll(/\]\((?!https?:)([^)\s]*)\)/g)].map(([, link]) => link!.split('#'))
  const missing = links.filter(([path, heading]) => {
    const target = new URL(path || file.split('/').at(-1)!, new URL(`../${file}`, import.meta.url))
    return !existsSync(target) || (heading !== undefined && !headingsOf(target).includes(heading))
  })
  expect(missing).toEqual([])
})

/** All Markdown files that people read. */
function documents(): string[] {
  const inDocs = readdirSync(new URL('../docs', import.meta.url), { recursive: true }).map(String)
  const pagesOfDocs = inDocs.filter((file) => file.endsWith('.md')).map((file) => `docs/${file}`)
  return ['README.md', 'ARCHITECTURE.md', ...pagesOfDocs]
}

/** The valid anchors of a page. */
function headingsOf(file: URL): string[] {
  const headings = [...readFileSync(file, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!)
  return headings.map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
}

it('README names only scripts that exist', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const [, script] of read('README.md').matchAll(/npm run (?:--silent )?([\w:]+)/g))
    expect(scripts).toHaveProperty([script!])
})

it('docs/language.md shows the warning that its formula gets', async () => {
  const [, formula, shown] = /The formula `(\[.*\])` gets\n\n```json\n(.+)\n```/.exec(
    read('docs/language.md'),
  )!
  const server = await startServer({ engine: 'compiled', threads: 1 })
  const response = await fetch(`${server.url}/v1/losses:evaluate`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ formula: JSON.parse(formula), predictions: [1], explain: true }),
  })
  const { explain } = (await response.json()) as { explain: { warnings: unknown } }
  await server.close()
  expect({ warnings: explain.warnings }).toEqual(JSON.parse(shown))
})

describe.each(['README.md', 'docs/formats.md', 'docs/language.md'])('the curl commands of %s', (file) => {
  let server: TestServer
  beforeAll(async () => {
    server = await startServer({ engine: 'compiled', threads: 1 })
  })
  afterAll(() => server.close())

  const commands = [
    ...read(file).matchAll(
      /```sh\ncurl -s localhost:8080(\S+)[^']*'content-type: ([^']+)' -d '([^']+)'\n```\n```json\n([^\n]+)\n```/g,
    ),
  ]

  // The last digits of float32 depend on the machine: with fused multiply-add they differ.
  const rounded = (text: string) => text.replaceAll(/-?\d+\.\d+/g, (number) => Number(number).toPrecision(5))

  it('exist', () => expect(commands.length).toBeGreaterThanOrEqual(2))

  it.each(commands.map((match) => match.slice(1) as [string, string, string, string]))(
    '%s gives the response shown below it',
    async (path, type, body, answer) => {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': type },
        body,
      })
      const text = await response.text()
      expect(rounded(text.replace(/"requestId":"[^"]+"/, '"requestId":"..."'))).toBe(rounded(answer))
    },
  )
})
