/** Checks the file of a store after its writers were killed. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

export const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

/** A registration that was acknowledged to a writer. */
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

/** Keeps registering until it is killed. */
export interface Writer {
  /** The registrations that were acknowledged so far. */
  readonly told: readonly Acknowledged[]
  /** Why it has ended by itself, if it has. */
  readonly fault?: string | undefined
  /** @throws Error when it has ended by itself */
  kill(): Promise<void>
}

/** Resolves when another registration is acknowledged to the writer. */
export async function goesOn(writer: Writer): Promise<void> {
  const { told } = writer
  const before = told.length
  const end = performance.now() + 20_000
  while (told.length === before) {
    if (writer.fault !== undefined) throw new Error(`a writer has failed: ${writer.fault}`)
    if (performance.now() > end) throw new Error('a writer makes no progress')
    await sleep(2)
  }
}

/**
 * Checks that all acknowledged registrations are there and intact, plus at most one unacknowledged registration per writer.
 *
 *
 * @param writtenBy the writer of a document, and the number of the registration
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

/** In addition to its acknowledged registrations, the next one of a writer may be on disk. */
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
