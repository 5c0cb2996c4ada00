/** Columns of Parquet that are read without DuckDB have the values that DuckDB reads, however they were written. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PlaceTable } from '../../src/evaluation/place-table.ts'
import { evaluate } from '../../src/evaluator/evaluate.ts'
import { findFiles } from '../../src/evaluator/files.ts'
import { ColumnReader } from '../../src/evaluator/parquet/column-reader.ts'
import {
  type ColumnChunk,
  NotReadHere,
  type ParquetColumn,
  readFooter,
} from '../../src/evaluator/parquet/footer.ts'
import { HybridReader } from '../../src/evaluator/parquet/hybrid.ts'
import { type Page, PageReader } from '../../src/evaluator/parquet/pages.ts'
import { decompressSnappy } from '../../src/evaluator/parquet/snappy.ts'
import { loadLosses } from '../../src/losses/load-catalog.ts'

const ROWS = 9000
const WIDTH = 3
/** Rows that are read at once: not a divisor of anything. */
const STEP = 1117
let folder: string
let connection: DuckDBConnection

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-parquet-'))
  connection = await (await DuckDBInstance.create(':memory:', { threads: '1' })).connect()
  await connection.run(`CREATE TABLE t AS SELECT
    sin(i) AS a_double, CASE WHEN i % 7 = 3 THEN NULL ELSE cos(i) END AS a_double_with_nulls,
    NULL::DOUBLE AS only_nulls, sin(i)::FLOAT AS a_float, (i * 77 - 300000)::INTEGER AS an_integer,
    (i % 100)::INTEGER AS a_key, (i % 200 - 100)::TINYINT AS a_tinyint, (i * 7 % 65536)::USMALLINT AS a_usmallint,
    (i * 400000)::UINTEGER AS a_uinteger, (i * 90071992547 - 5000000000000)::BIGINT AS a_bigint,
    i % 3 = 0 AS a_boolean, CASE WHEN i % 5 = 0 THEN NULL ELSE i % 2 = 0 END AS a_boolean_with_nulls,
    ['north', 'süd', '', NULL][1 + (i % 4)::INTEGER] AS a_text, 'x' || (i % 300) AS some_texts, 'x' || (i % 3000) AS many_texts,
    DATE '1969-12-25' + (i % 40)::INTEGER AS a_date,
    [sin(i), cos(i), i]::DOUBLE[] AS a_list, [sin(i), cos(i), i]::FLOAT[] AS a_list_of_floats,
    CASE WHEN i % 11 = 0 THEN NULL WHEN i % 11 = 1 THEN [] WHEN i % 11 = 2 THEN [1.0] WHEN i % 11 = 3 THEN [1, NULL, 3]
      ELSE [i, 2, 3] END::DOUBLE[] AS an_odd_list,
    [1, 2, (i % 5)]::INTEGER[] AS a_list_of_few
    FROM range(${ROWS}) r(i)`)
})
afterAll(() => {
  connection.closeSync()
  rmSync(folder, { recursive: true })
})

async function written(options: string): Promise<string> {
  const path = join(folder, `data${options.replaceAll(/\W+/g, '-')}.parquet`)
  await connection.run(`COPY t TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 4096${options})`)
  return path
}

function pagesOf(path: string, chunk: ColumnChunk): Page[] {
  const file = openSync(path, 'r')
  try {
    const reader = new PageReader(file, chunk)
    const pages: Page[] = []
    for (let page = reader.next(); page !== undefined; page = reader.next()) pages.push(page)
    return pages
  } finally {
    closeSync(file)
  }
}

type Cell = number | string | null | string[]

/** All values of a column: numbers, texts, or lists as texts, as `an_odd_list` needs them. */
function read(path: string, name: string): Cell[] {
  const { columns, groups } = readFooter(path)!
  const column = columns.find((one) => one.name === name)!
  const file = openSync(path, 'r')
  try {
    let before: ColumnReader | undefined
    return groups.flatMap(({ rows, chunks }) => {
      const reader = new ColumnReader(file, column, chunks[column.leaf]!, before)
      before = reader
      return inSteps(rows, (count) => some(reader, column, count))
    })
  } finally {
    closeSync(file)
  }
}

function inSteps(rows: number, readSome: (count: number) => Cell[]): Cell[] {
  const cells: Cell[] = []
  while (cells.length < rows) cells.push(...readSome(Math.min(STEP, rows - cells.length)))
  return cells
}

function some(reader: ColumnReader, { isList, physical }: ParquetColumn, count: number): Cell[] {
  if (isList) return someLists(reader, count)
  const nulls = new Set<number>()
  const note = (row: number) => nulls.add(row)
  if (physical === 'BYTE_ARRAY') return someTexts(reader, count)
  const numbers = new Float64Array(count)
  reader.readNumbers(numbers, 0, count, note)
  return Array.from(numbers, (x, row) => (nulls.has(row) ? null : x))
}

function someTexts(reader: ColumnReader, count: number): Cell[] {
  const texts: Cell[] = []
  while (texts.length < count) {
    const { values, dictionary } = reader.peek()
    const now = Math.min(values, count - texts.length)
    const nulls = new Set<number>()
    const places = new Int32Array(now)
    reader.readPlaces(places, 0, now, (row) => nulls.add(row))
    texts.push(
      ...Array.from(places, (place, row) => (nulls.has(row) ? null : (dictionary![place] as string))),
    )
  }
  return texts
}

function someLists(reader: ColumnReader, count: number): Cell[] {
  const values = new Float64Array(count * WIDTH)
  const gaps = new Map<number, string>()
  reader.readLists(values, 0, count, WIDTH, (row, why) => gaps.set(row, String(why)))
  return Array.from(
    { length: count },
    (_, row) => gaps.get(row) ?? String(values.subarray(row * WIDTH, (row + 1) * WIDTH)),
  )
}

async function expected(name: string, type: string, table = 't'): Promise<Cell[]> {
  const value =
    type.endsWith('[]') || type === 'VARCHAR'
      ? name
      : type === 'DATE'
        ? `${name} - DATE '1970-01-01'`
        : `${name}::DOUBLE`
  const rows = (await connection.runAndReadAll(`SELECT ${value} FROM ${table}`)).getRows()
  return rows.map(([cell]) => {
    if (!type.endsWith('[]')) return typeof cell === 'bigint' ? Number(cell) : (cell as Cell)
    const list = (cell as { items: (number | null)[] } | null)?.items
    if (list === undefined) return 'null'
    if (list.length !== WIDTH) return String(list.length)
    return list.includes(null) ? 'null' : String(list)
  })
}

describe('a column of Parquet', () => {
  const ways = ['', ', COMPRESSION uncompressed', ', COMPRESSION gzip', ', COMPRESSION zstd']
  it.each(ways)('has the values that DuckDB wrote%s', async (options) => {
    const path = await written(options)
    for (const { name, type } of readFooter(path)!.columns)
      expect([name, read(path, name)]).toEqual([name, await expected(name, type!)])
  })

  it.each(['none', 'snappy', 'gzip', 'zstd'])(
    'has the values that DuckDB reads from pages of version 2: %s',
    async (codec) => {
      const path = fileURLToPath(new URL(`data/pages-2-${codec}.parquet`, import.meta.url))
      const { columns, groups } = readFooter(path)!
      for (const { name, type, leaf } of columns) {
        expect([
          name,
          pagesOf(path, groups[0]!.chunks[leaf]!).some(({ levels }) => levels !== undefined),
        ]).toEqual([name, true])
        expect([name, read(path, name)]).toEqual([name, await expected(name, type!, `'${path}'`)])
      }
    },
  )

  it('has lists that go on in the next page', async () => {
    const path = fileURLToPath(new URL('data/lists-over-pages.parquet', import.meta.url))
    const { columns } = readFooter(path)!
    for (const { name, type } of columns)
      expect([name, read(path, name)]).toEqual([name, await expected(name, type!, `'${path}'`)])
    const request = {
      losses: [{ loss: 'cross_entropy' }],
      columns: { predictions: ['list'], targets: ['target'] },
    }
    const catalog = await loadLosses(['cross_entropy'])
    expect(await evaluate(request, findFiles(path), { catalog, threads: 1 })).toMatchObject({ used: 500 })
  })

  it('has the type that DuckDB says', async () => {
    const path = await written('')
    const types = await connection.runAndReadAll(`DESCRIBE SELECT * FROM '${path}'`)
    expect(readFooter(path)!.columns.map(({ name, type }) => [name, type])).toEqual(
      types.getRows().map(([name, type]) => [name, type]),
    )
  })

  it('is left to DuckDB where it is written in a way that is not known here', async () => {
    const path = await written(', PARQUET_VERSION V2')
    const numbers = await expected('a_double', 'DOUBLE')
    expect(read(path, 'a_double')).toEqual(numbers)
    expect(() => read(path, 'an_integer')).toThrow(NotReadHere)
    const request = {
      losses: [{ loss: 'l1' }],
      columns: { predictions: ['an_integer'], targets: ['a_double'] },
      by: ['a_key'],
    }
    const options = { catalog: await loadLosses(['l1']), threads: 1 }
    const [there, here] = [path, await written('')].map((file) => evaluate(request, findFiles(file), options))
    expect((await there!).losses).toEqual((await here!).losses)
  })

  it('may lie beside columns that are not known here', async () => {
    const path = join(folder, 'others.parquet')
    await connection.run(
      `COPY (SELECT {'x': a_double, 'y': [a_key]} AS s, a_double::DECIMAL(18, 3) AS d, TIMESTAMP '2026-01-01' AS at, a_key FROM t)
       TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE 4096)`,
    )
    expect(readFooter(path)!.columns.map(({ type }) => type)).toEqual([
      undefined,
      undefined,
      undefined,
      'INTEGER',
    ])
    expect(read(path, 'a_key')).toEqual(await expected('a_key', 'INTEGER'))
  })

  it('is not read from a file that is damaged', async () => {
    const bytes = readFileSync(await written(''))
    const path = join(folder, 'damaged.parquet')
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const copy = Buffer.from(bytes)
        copy[place]! ^= change
        writeFileSync(path, copy)
        // Values may be others, but nothing is read outside of the file, and nothing runs forever.
        try {
          for (const { name } of readFooter(path)?.columns ?? []) read(path, name)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
      }),
      { numRuns: 30 },
    )
  })
})

describe('packed integers', () => {
  it('are unpacked at any width', () => {
    const numbers = fc
      .integer({ min: 1, max: 32 })
      .chain((width) =>
        fc.tuple(
          fc.constant(width),
          fc.array(fc.integer({ min: 0, max: 2 ** width - 1 }), { minLength: 1, maxLength: 40 }),
        ),
      )
    fc.assert(
      fc.property(numbers, ([width, values]) => {
        const found = new Int32Array(values.length)
        new HybridReader(packed(values, width), width, 0, packed(values, width).length).read(
          found,
          0,
          values.length,
        )
        expect([...found]).toEqual(values.map((x) => x | 0))
      }),
    )
  })
})

describe('places in a dictionary', () => {
  const cases = fc.integer({ min: 0, max: 12 }).chain((width) =>
    fc.record({
      width: fc.constant(width),
      places: fc.array(fc.integer({ min: 0, max: 2 ** width - 1 }), { minLength: 1, maxLength: 60 }),
      /** How many are read at once. */
      step: fc.integer({ min: 1, max: 30 }),
    }),
  )

  it('are looked up at any width, and stop where nothing is known yet', () => {
    fc.assert(
      fc.property(cases, ({ width, places, step }) => {
        const bytes = packed(places, width)
        const reader = new HybridReader(bytes, width, 0, bytes.length)
        const table = PlaceTable.ofIntegers()
        table.begin(2 ** width)
        const found = new Int32Array(places.length)
        const learned: number[] = []
        for (let at = 0; at < places.length; ) {
          const most = Math.min(step, places.length - at)
          const count = reader.find(table, found, at, most)
          at += count
          if (count === most) continue
          learned.push(table.missing)
          table.set(table.missing, 1000 + table.missing)
        }
        expect([...found]).toEqual(places.map((place) => 1000 + place))
        expect(learned).toEqual([...new Set(places)])
      }),
    )
  })

  it('stand for numbers, and are damaged if the dictionary has none for them', () => {
    fc.assert(
      fc.property(cases, ({ width, places }) => {
        const bytes = packed(places, width)
        const most = Math.max(...places)
        const table = PlaceTable.ofNumbers()
        table.fill(Float64Array.from({ length: most + 1 }, (_, place) => place / 3))
        const found = new Float64Array(places.length)
        const read = () =>
          new HybridReader(bytes, width, 0, bytes.length).find(table, found, 0, places.length)
        expect(read()).toBe(places.length)
        expect([...found]).toEqual(places.map((place) => place / 3))
        table.fill(new Float64Array(most))
        expect(read()).toBe(places.indexOf(most))
      }),
    )
  })
})

/** One group of packed values. */
function packed(values: readonly number[], width: number): Uint8Array {
  const groups = Math.ceil(values.length / 8)
  const bytes = new Uint8Array(1 + groups * width)
  bytes[0] = groups * 2 + 1
  for (const [i, value] of values.entries())
    for (let bit = 0; bit < width; bit++)
      if (Math.floor(value / 2 ** bit) % 2 === 1)
        bytes[1 + ((i * width + bit) >> 3)]! |= 1 << ((i * width + bit) & 7)
  return bytes
}

describe('Snappy', () => {
  it('copies what overlaps', () => {
    const into = new Uint8Array(12)
    // 'ab', then 10 bytes from 2 before.
    decompressSnappy(Uint8Array.of(12, 4, 97, 98, (10 - 4) * 4 + 1, 2), into)
    expect(Buffer.from(into).toString()).toBe('abababababab')
  })

  it.each([
    ['a copy from before the beginning', [4, 1, 9]],
    ['too little', [9, 4, 97, 98]],
    ['too much', [1, 4, 97, 98]],
    ['an end in a literal', [9, 200]],
  ])('refuses %s', (_, bytes) => {
    expect(() => decompressSnappy(Uint8Array.from(bytes), new Uint8Array(bytes[0]!))).toThrow(/damaged/)
  })
})
