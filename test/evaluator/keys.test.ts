/** Keys of slices and clusters: different values stay apart, in every kind of file and on both roads. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evaluationTable } from '../../src/evaluation/text-table.ts'
import { evaluate } from '../../src/evaluator/evaluate.ts'
import { findFiles } from '../../src/evaluator/files.ts'
import type { EvaluationRequest, Road } from '../../src/evaluator/request.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { npz } from './write-files.ts'

const catalog = await loadCatalog()
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-keys-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function write(name: string, query: string): Promise<string> {
  const path = join(folder, name)
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  await connection.run(`COPY (${query}) TO '${path}'`)
  connection.closeSync()
  instance.closeSync()
  return path
}

const run = (path: string, more: Partial<EvaluationRequest>) =>
  evaluate(
    { losses: [{ loss: 'l1' }], columns: { predictions: ['p'], targets: ['t'] }, ...more },
    findFiles(path),
    { catalog, threads: 1 },
  )

async function slicesOf(path: string, by: readonly string[], road: Road = 'kernels') {
  const { losses } = await run(path, { by, road })
  return losses[0]!.slices.map(({ key, rows }) => [...by.map((name) => key[name]), rows])
}

/** Four identifiers that are two doubles, and one that is a number as usual. */
const IDS = `SELECT 1.0 AS p, 0.0 AS t, CAST(9007199254740992 + i % 4 AS $type) AS k FROM range(8) r(i)
  UNION ALL SELECT 1.0, 0.0, CAST(-5 AS $type)`
const SLICES = [
  [-5, 1],
  ...['9007199254740992', '9007199254740993', '9007199254740994', '9007199254740995'].map((id) => [id, 2]),
]

describe('integers that no double holds', () => {
  const files: [string, string][] = [
    ['bigint.parquet', 'BIGINT'],
    ['hugeint.csv', 'HUGEINT'],
    ['bigint.csv', 'BIGINT'],
    ['decimal.parquet', 'DECIMAL(38,0)'],
    ['bigint.jsonl', 'BIGINT'],
  ]
  const roads: Road[] = ['kernels', 'sql']
  it.each(files.flatMap(([name, type]) => roads.map((road) => [name, type, road] as const)))(
    'stay apart as texts: %s of %s through %s',
    async (name, type, road) => {
      const path = await write(name, IDS.replaceAll('$type', type))
      expect(await slicesOf(path, ['k'], road)).toEqual(SLICES)
    },
  )

  it.each(['clusters.parquet', 'clusters.csv'])('are clusters of their own: %s', async (name) => {
    const of = (first: string) =>
      `SELECT (i * i % 97)::DOUBLE AS p, 0.0 AS t, ${first} + i AS k FROM range(200) r(i)`
    const answers = [await write(name, of('9007199254740992')), await write(`x-${name}`, of('0'))].map(
      async (path) => (await run(path, { cluster: 'k', bootstrap: 200 })).losses[0]!.overall,
    )
    const [large, small] = await Promise.all(answers)
    // Each row is a cluster in both. Two of a kind would change the standard error by far more.
    expect(large!.standard_error! / small!.standard_error!).toBeCloseTo(1, 0)
    expect(large!.rows).toBe(200)
  })

  it('are refused as keys where they are doubles before anyone can tell', async () => {
    const path = join(folder, 'ids.npz')
    const k = { data: BigInt64Array.of(1n, 9007199254740993n), shape: [2] }
    const one = { data: Float64Array.of(1, 1), shape: [2] }
    writeFileSync(path, npz({ p: one, t: one, k }, { isPacked: false }))
    await expect(slicesOf(path, ['k'])).rejects.toThrow(
      /ids.npz: integers of 2\^53 and more are no keys in this kind of file; write them as texts/,
    )
  })

  it('are shown as they are among the columns of the worst rows', async () => {
    const path = await write('worst.parquet', IDS.replaceAll('$type', 'BIGINT'))
    const { losses } = await run(path, { worst: 9 })
    const shown = losses[0]!.worst!.map(({ values }) => values!.k)
    expect(new Set(shown)).toEqual(new Set(SLICES.map(([id]) => id)))
  })
})

describe('numbers that JSON does not have', () => {
  const query = `SELECT 1.0 AS p, 0.0 AS t, k, 'a' AS other FROM (VALUES
    ('NaN'::DOUBLE), ('inf'::DOUBLE), ('-inf'::DOUBLE), (NULL), (0.0), ('-0.0'::DOUBLE), (2.5)) v(k)`
  it.each([
    ['strange.parquet', 'kernels'],
    ['strange.parquet', 'sql'],
    ['strange.csv', 'kernels'],
  ] as const)('are slices of their own: %s through %s', async (name, road) => {
    const path = await write(name, query)
    const expected = [0, 2.5, '-Infinity', 'Infinity', 'NaN', null].map((key) => [key, key === 0 ? 2 : 1])
    expect(await slicesOf(path, ['k'], road)).toEqual(expected)
    const paired = expected.map(([key, rows]) => [key, 'a', rows])
    expect(await slicesOf(path, ['k', 'other'], road)).toEqual(paired)
  })
})

it('keys are below the names of their columns, even if a name is an integer', async () => {
  const path = await write('names.parquet', `SELECT 1.0 AS p, 0.0 AS t, 'r' AS region, 7 AS "2020"`)
  const table = evaluationTable(await run(path, { by: ['region', '2020'] }))
  expect(table).toMatch(/^region\s+2020\s+rows.*\n.*\n.*\nr\s+7\s+1\s/m)
})

it('a column is named once among the keys', async () => {
  const path = await write('twice.parquet', `SELECT 1.0 AS p, 0.0 AS t, 'r' AS k`)
  await expect(run(path, { by: ['k', 'k'] })).rejects.toThrow(/^\/by: names "k" twice$/)
})

describe('a key of several files', () => {
  async function folderOf(name: string, files: Readonly<Record<string, readonly string[] | string>>) {
    const path = join(folder, name)
    mkdirSync(path)
    for (const [file, keys] of Object.entries(files)) {
      if (typeof keys === 'string') await write(join(name, file), `SELECT 1.0 AS p, 0.0 AS t, ${keys} AS k`)
      else writeFileSync(join(path, file), ['p,t,k', ...keys.map((key) => `1,0,${key}`), ''].join('\n'))
    }
    return path
  }

  it.each(['kernels', 'sql'] as const)(
    'is a number in all or a text in all: CSV through %s',
    async (road) => {
      const path = await folderOf(`mixed-${road}`, { 'a.csv': ['1', '2'], 'b.csv': ['1', 'x'] })
      const refused =
        /^the column "k" has numbers \(BIGINT\) in \S*a.csv and texts \(VARCHAR\) in \S*b.csv; make it text in all files, such as in Parquet: types of CSV and JSON are guessed from the values$/
      await expect(slicesOf(path, ['k'], road)).rejects.toThrow(refused)
      await expect(run(path, { cluster: 'k', bootstrap: 50, road: 'kernels' })).rejects.toThrow(refused)
    },
  )

  it('is a boolean in all or a text in all: Parquet', async () => {
    const path = await folderOf('booleans', { '1.parquet': 'true', '2.parquet': `'true'` })
    await expect(slicesOf(path, ['k'])).rejects.toThrow(
      /^the column "k" has booleans \(BOOLEAN\) in \S*1.parquet and texts \(VARCHAR\) in \S*2.parquet; write it with one type in all files$/,
    )
  })

  it('may be numbers of several types', async () => {
    const path = await folderOf('numbers', {
      '1.parquet': '3::BIGINT',
      '2.parquet': '3::DOUBLE',
      'c.csv': ['3'],
    })
    expect(await slicesOf(path, ['k'])).toEqual([[3, 3]])
  })

  it('may be empty in some, whatever type that has', async () => {
    const path = await folderOf('empty', { 'a.csv': ['', ''], 'b.csv': ['3', '4'], 'c.csv': ['3'] })
    expect(await slicesOf(path, ['k'])).toEqual([
      [3, 2],
      [4, 1],
      [null, 2],
    ])
  })
})
