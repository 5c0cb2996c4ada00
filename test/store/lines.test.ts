/** Exports as JSON Lines, and their import. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LossStore } from '../../src/store/contract.ts'
import { openStore } from '../../src/store/index.ts'
import { exportLines, importLines, LineRefused } from '../../src/store/json-lines.ts'
import { allOf, draftOf } from './drafts.ts'

let folder: string
let store: LossStore
let lines: string[]

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-lines-'))
  store = openStore(`file:${folder}/lossd.db`, { maxLosses: 1000 })!
  await store.register(draftOf('acme/a', '{"about":"Δ\\n"}'))
  await store.register(draftOf('acme/a', '{"about":"\\u2028"}', { createdBy: 'Zoë' }))
  lines = await allOf(exportLines(store))
})
afterAll(async () => {
  await store.close()
  rmSync(folder, { recursive: true })
})

const into = (lines: readonly string[]) => importLines(store, Readable.from(lines))

describe('the lines of an export', () => {
  it('are one per name and one per version', () => {
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { kind: 'loss', namespace: 'acme', name: 'a', latest: 2, numbered: 2, retired: null },
      expect.objectContaining({ kind: 'version', version: 1, document: '{"about":"Δ\\n"}', createdBy: null }),
      expect.objectContaining({ kind: 'version', version: 2, createdBy: 'Zoë' }),
    ])
    expect(lines.join('')).not.toContain('\n')
  })

  it('may be mixed with what npm prints', async () => {
    expect(
      await into(['', '> lossd@0.1.0 store', '> node dist/store-cli.js export', '', ...lines, '\r']),
    ).toBe(0)
  })

  it.each([
    ['invalid JSON', (line: string) => line.slice(0, -1), 'not valid JSON'],
    ['a record of another kind', () => '{"kind":"lose"}', 'not a record of an export'],
    ['null', () => 'null', 'not a record of an export'],
    [
      'version 0',
      (line: string) => line.replace('"version":1', '"version":0'),
      'version: Expected integer to be greater or equal to 1',
    ],
    [
      'a name in capitals',
      (line: string) => line.replace('acme', 'ACME'),
      'namespace: Expected string to match',
    ],
    ['an unknown field', (line: string) => line.replace('{', '{"x":1,'), 'x: Unexpected property'],
    [
      'a document that is not JSON',
      (line: string) => line.replace('"document":"{', '"document":"'),
      'not valid JSON',
    ],
    [
      'a different document',
      (line: string) => line.replace('Δ', 'D'),
      'acme/a@1 is already stored with a different document',
    ],
    [
      'a version without its name',
      (line: string) => line.replace('"a"', '"b"'),
      'acme/b@1 comes before the record of its name',
    ],
  ])('are refused for %s, with the number of the line', async (_, change, message) => {
    const [name, first, ...rest] = lines as [string, string, ...string[]]
    expect(change(first)).not.toBe(first)
    const before = await allOf(exportLines(store))
    const refused = into(['', name, change(first), ...rest])
    await expect(refused).rejects.toThrow(LineRefused)
    await expect(refused).rejects.toThrow(`line 3: ${message}`)
    expect(await allOf(exportLines(store))).toEqual(before)
  })
})
