/** What must hold of a store's file after its writers were killed, whoever they were. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** A registration that a writer was told of. */
export interface Acknowledged {
  readonly writer: string
  /** The number of the writer's registration. */
  readonly i: number
  readonly name: string
  readonly version: number
  readonly digest: string
}

interface Row extends Omit<Acknowledged, 'writer' | 'i'> {
  readonly document: string
}

interface Content {
  readonly integrity: readonly string[]
  readonly losses: readonly { name: string; latest: number; numbered: number; retired: null }[]
  readonly versions: readonly Row[]
}

/** Registers without end, and can be killed. */
export interface Writer {
  /** What it was told so far. */
  readonly told: readonly Acknowledged[]
  /** @throws Error when it has ended by itself */
  kill(): Promise<void>
}

/** Resolves when a writer was told of one more. */
export async function goesOn({ told }: Writer): Promise<void> {
  const before = told.length
  const end = performance.now() + 20_000
  while (told.length === before) {
    if (performance.now() > end) throw new Error('a writer stands still')
    await sleep(2)
  }
}

/**
 * Everything that was acknowledged is there and whole, and of the rest no more than what each of the killed was about
 * to be told.
 *
 * @param writtenBy who has written a document, and its number there
 */
export function check(path: string, writers: readonly Writer[], writtenBy: WrittenBy) {
  const acknowledged = writers.flatMap(({ told }) => told)
  if (!existsSync(path)) return expect(acknowledged.length === 0, 'the file is not there')
  const text = execFileSync(process.execPath, [here('read-file.js'), path], {
    maxBuffer: 2 ** 30,
    encoding: 'utf8',
  })
  const { integrity, losses, versions } = JSON.parse(text) as Content
  expect(integrity.join() === 'ok', `integrity_check: ${integrity}`)
  const rows = new Map(versions.map((row) => [`${row.name}@${row.version}`, row]))
  for (const { name, version, digest } of acknowledged)
    expect(
      rows.get(`${name}@${version}`)?.digest === digest,
      `${name}@${version} was acknowledged, and is not there`,
    )
  for (const { name, version, document, digest } of versions)
    expect(createHash('sha256').update(document).digest('hex') === digest, `${name}@${version} is not whole`)
  for (const { name, latest, numbered } of losses) {
    const numbers = versions.filter((row) => row.name === name).map(({ version }) => version)
    const isWhole = latest === numbered && numbers.length === latest && Math.max(...numbers) === latest
    expect(isWhole, `${name} has ${numbers.length} versions, and its latest is ${latest}`)
  }
  expect(
    versions.every(({ name }) => losses.some((loss) => loss.name === name)),
    'a version has no name',
  )
  checkRest(versions, writers, writtenBy)
}

type WrittenBy = (document: string) => Pick<Acknowledged, 'writer' | 'i'>

/** Beside what it was told, a writer may have the next one on disk. */
function checkRest(versions: readonly Row[], writers: readonly Writer[], writtenBy: WrittenBy) {
  const expected = new Set(writers.flatMap(({ told }) => told.map(({ digest }) => digest)))
  const rest = versions.filter(({ digest }) => !expected.has(digest))
  const next = rest.map(({ document }) => writtenBy(document))
  for (const { writer, i } of next) {
    const told = writers.flatMap(({ told }) => told).filter((line) => line.writer === writer)
    expect(i === told.length, `${writer} was told of ${told.length}, and number ${i} is on disk`)
  }
}

function expect(holds: boolean, message: string): void {
  if (!holds) throw new Error(message)
}
