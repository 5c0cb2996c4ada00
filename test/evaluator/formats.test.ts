/**
 * Every format there is, whatever it is: the same rows give the same numbers, and damaged files one sentence. A new format is
 * tested by being there, as soon as there is something here that writes it.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import {
  Bool,
  type DataType,
  Dictionary,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  Int8,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatchStreamWriter,
  Table,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Evaluation } from '../../src/evaluation/result.ts'
import { Database } from '../../src/evaluator/database.ts'
import { evaluate } from '../../src/evaluator/evaluate.ts'
import { findFiles } from '../../src/evaluator/files.ts'
import { FORMATS, hasPlaces } from '../../src/evaluator/formats/index.ts'
import type { EvaluationRequest } from '../../src/evaluator/request.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { npy, npz, safetensors } from './write-files.ts'

const ROWS = 9000
const catalog = await loadCatalog()
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-formats-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The same rows in every format. Numbers are multiples of 1/8, so that texts hold them exactly. */
const rows = Array.from({ length: ROWS }, (_, i) => ({
  y: ((i * 7919) % 97) / 8 - 6,
  y_hat: ((i * 104_729) % 89) / 8 - 5,
  w: (i % 5) / 4,
  clicked: i % 3 === 0,
  region: ['north', 'east', 'süd', 'west'][i % 4]!,
  logits: [(i % 11) / 4, (i % 7) / 4, (i % 5) / 4],
  label: i % 3,
}))
type Row = (typeof rows)[number]
const column = <K extends keyof Row>(name: K) => rows.map((row) => row[name])

async function copyAs(path: string, options: string) {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const source = join(folder, 'source.jsonl')
  writeFileSync(source, rows.map((row) => JSON.stringify(row)).join('\n'))
  await connection.run(`COPY (SELECT * FROM read_json('${source}')) TO '${path}' (${options})`)
  connection.closeSync()
  instance.closeSync()
  rmSync(source)
}

/** @param times nanoseconds since 1970 */
async function copyTimes(path: string, type: string, times: readonly bigint[]) {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  const values = times
    .map((time) => `(make_timestamp_ns(${time})${type === 'TIMESTAMP_NS' ? '' : `::TIMESTAMP::${type}`})`)
    .join(', ')
  await connection.run(
    `COPY (SELECT 0.0 AS y, 0.0 AS y_hat, t FROM (VALUES ${values}) own(t)) TO '${path}' (FORMAT parquet)`,
  )
  connection.closeSync()
  instance.closeSync()
}

const zeros = (count: number) => vectorFromArray(new Float64Array(count))

const arrowTable = (from = rows, region: Utf8 | Dictionary = new Dictionary(new Utf8(), new Int32())) => {
  const vector = <T extends DataType>(of: (row: Row) => unknown, type: T) =>
    vectorFromArray(from.map(of), type)
  return new Table({
    y: vector(({ y }) => y, new Float64()),
    y_hat: vector(({ y_hat }) => y_hat, new Float32()),
    w: vector(({ w }) => w, new Float64()),
    clicked: vector(({ clicked }) => clicked, new Bool()),
    region: vector((row) => row.region, region),
    logits: vector(({ logits }) => logits, new List(new Field('item', new Float64()))),
    label: vector(({ label }) => BigInt(label), new Int64()),
  })
}

const arrays = () => ({
  y: { data: Float64Array.from(column('y')), shape: [ROWS] },
  y_hat: { data: Float32Array.from(column('y_hat')), shape: [ROWS] },
  w: { data: Float64Array.from(column('w')), shape: [ROWS] },
  clicked: { data: Uint8Array.from(column('clicked'), Number), shape: [ROWS], isBool: true },
  logits: { data: Float64Array.from(column('logits').flat()), shape: [ROWS, 3] },
  label: { data: BigInt64Array.from(column('label'), BigInt), shape: [ROWS] },
})

/** Format -> the files that hold the rows: one for each way to write them. */
const WRITERS: Readonly<Record<string, Readonly<Record<string, (path: string) => void | Promise<void>>>>> = {
  parquet: { 'rows.parquet': (path) => copyAs(path, 'FORMAT parquet, ROW_GROUP_SIZE 2048') },
  csv: { 'rows.csv': (path) => copyAs(path, 'FORMAT csv') },
  json: { 'rows.jsonl': (path) => copyAs(path, 'FORMAT json') },
  arrow: {
    'file.arrow': (path) => writeFileSync(path, tableToIPC(arrowTable(), 'file')),
    'stream.arrows': (path) => writeFileSync(path, tableToIPC(arrowTable(), 'stream')),
    'batches.feather': (path) => {
      const starts = Array.from({ length: Math.ceil(ROWS / 1700) }, (_, i) => 1700 * i)
      const batches = starts.flatMap((from) => arrowTable(rows.slice(from, from + 1700), new Utf8()).batches)
      writeFileSync(path, tableToIPC(new Table(batches), 'file'))
    },
  },
  npz: {
    'stored.npz': (path) =>
      writeFileSync(path, npz({ ...arrays(), region: column('region') }, { isPacked: false })),
    'packed.npz': (path) =>
      writeFileSync(path, npz({ ...arrays(), region: column('region') }, { isPacked: true })),
  },
  safetensors: { 'rows.safetensors': (path) => writeFileSync(path, safetensors(arrays())) },
}

const run = (request: EvaluationRequest, path: string, more = {}) =>
  evaluate(request, findFiles(path), { catalog, threads: 1, ...more })

const simple: EvaluationRequest = {
  losses: [{ loss: 'huber' }],
  columns: { predictions: ['y_hat'], targets: ['y'] },
  by: ['label'],
  weight: 'w',
  worst: 4,
}
const l1: EvaluationRequest = { losses: [{ loss: 'l1' }], columns: simple.columns }
const classes: EvaluationRequest = {
  losses: [{ loss: 'cross_entropy' }],
  columns: { predictions: ['logits'], targets: ['label'] },
  by: ['clicked'],
}
const byText: EvaluationRequest = { ...simple, by: ['region'], weight: undefined, worst: 0 }

function numbersOf({ losses }: Evaluation): unknown {
  return losses.map(({ overall, slices, worst }) => ({
    overall,
    slices,
    worst: worst?.map(({ loss, row }) => [loss, row]),
  }))
}

describe.each([...FORMATS.values()].map((format) => [format.title, format] as const))('%s', (_, format) => {
  const writers = Object.entries(WRITERS[format.name] ?? {})

  it('is written by something here, has endings and types of its own', () => {
    expect(writers.length).toBeGreaterThan(0)
    for (const other of FORMATS.values()) {
      if (other === format) continue
      for (const own of format.extensions) expect(other.extensions).not.toContain(own)
      for (const own of format.mediaTypes) expect(other.mediaTypes).not.toContain(own)
    }
  })

  it.each(writers)('gives the same numbers as Parquet: %s', async (name, write) => {
    const path = join(folder, name)
    await write(path)
    const expected = join(folder, 'expected.parquet')
    await copyAs(expected, 'FORMAT parquet')
    const requests = [
      simple,
      ...(format.name === 'csv' ? [] : [classes]),
      ...(format.name === 'safetensors' ? [] : [byText]),
    ]
    for (const request of requests)
      expect(numbersOf(await run(request, path))).toEqual(numbersOf(await run(request, expected)))
    const { losses } = await run({ ...simple, weight: undefined, by: [], worst: 2, road: 'kernels' }, path)
    if (hasPlaces(format)) {
      const { values, loss } = losses[0]!.worst![0]!
      expect(Math.abs(Number(values!.y) - Number(values!.y_hat)) - 0.5).toBe(loss)
    }
    const sql = {
      ...simple,
      weight: undefined,
      worst: 0,
      quantiles: undefined,
      road: 'sql',
    } as EvaluationRequest
    const inSql = await run({ losses: sql.losses, columns: sql.columns, by: ['label'], road: 'sql' }, path)
    const byKernels = await run(
      { losses: sql.losses, columns: sql.columns, by: ['label'], road: 'kernels' },
      path,
    )
    for (const [i, slice] of inSql.losses[0]!.slices.entries())
      expect(Math.abs(slice.mean! - byKernels.losses[0]!.slices[i]!.mean!)).toBeLessThan(1e-12)
  })

  it.each(writers)('that is cut off is told in one line: %s', async (name, write) => {
    const path = join(folder, `cut-${name}`)
    await write(path)
    const { length } = readFileSync(path)
    for (const share of [0.9, 0.5, 0.1, 0]) {
      truncateSync(path, Math.floor(length * share))
      const error = await run(simple, path).then(
        () => undefined,
        (thrown: Error) => thrown,
      )
      const isText = format.name === 'csv' || format.name === 'json'
      // The last line of a text may end anywhere.
      if (isText && error === undefined) continue
      expect(['EvaluationFailed', 'Problem'], `${share}: ${error?.stack}`).toContain(error?.name)
      expect(error?.message).toMatch(new RegExp(`^cut-|cut-${name.replace('.', '\\.')}`))
      expect(error?.message).not.toContain('\n')
    }
  })

  it.each(writers)('whose bytes are changed at random never ends the process: %s', async (name, write) => {
    const path = join(folder, `changed-${name}`)
    await write(path)
    const whole = readFileSync(path)
    for (let seed = 1; seed <= 6; seed++) {
      const bytes = Buffer.from(whole)
      for (let i = 0; i < 8; i++) {
        const place =
          (seed * 7919 + i * 104_729 * seed) % (i < 4 ? Math.min(512, bytes.length) : bytes.length)
        bytes[i % 2 === 0 ? place : bytes.length - 1 - place] = (seed * 31 + i * 17) & 255
      }
      writeFileSync(path, bytes)
      const error = await run(simple, path).then(
        () => undefined,
        (thrown: Error) => thrown,
      )
      if (error !== undefined)
        expect(['EvaluationFailed', 'Problem', 'RangeError'], error.stack).toContain(error.name)
    }
  })

  it('of a folder or a pattern is read as one', async () => {
    const [[name, write] = ['', () => {}]] = writers
    const parts = join(folder, `folder-${format.name}`)
    mkdirSync(parts)
    await write(join(parts, `a-${name}`))
    await write(join(parts, `b-${name}`))
    for (const path of [parts, join(parts, '*')]) {
      const { used } = await run({ losses: simple.losses, columns: simple.columns }, path)
      expect(used).toBe(2 * ROWS)
    }
  })
})

describe('Arrow', () => {
  /** Written by PyArrow (test/evaluator/data/write.py). */
  const data = (name: string) => new URL(`data/${name}`, import.meta.url).pathname

  it.each(['lz4.arrow', 'zstd.arrow', 'plain.arrow', 'plain.arrows'])(
    'of PyArrow has nulls, dates, dictionaries and lists: %s',
    async (name) => {
      const database = new Database()
      const [file] = findFiles(data(name))
      const columns = await database.columns(file!)
      const rows = await database.rows(
        file!,
        columns,
        ` SELECT ${columns.map((_, i) => `c${i}::VARCHAR`).join(', ')}, place FROM file`,
      )
      const read = rows.map((row) =>
        Object.fromEntries([...columns.map(({ name: own }, i) => [own, row[i]]), ['place', row.at(-1)]]),
      )
      await database.close()
      const expected = JSON.parse(readFileSync(data('rows.json'), 'utf8')) as object[]
      expect(read).toEqual(expected.map((row, place) => ({ ...row, place })))
    },
  )

  it('with lists of one length is a row of classes', async () => {
    const path = join(folder, 'fixed.arrow')
    const flat = vectorFromArray(
      rows.flatMap(({ logits }) => logits),
      new Float64(),
    )
    const type = new FixedSizeList(3, new Field('item', new Float64()))
    const logits = makeData({ type, length: ROWS, nullCount: 0, child: flat.data[0]! })
    const { default: arrow } = { default: await import('apache-arrow') }
    const table = new Table({
      logits: new arrow.Vector([logits]),
      label: vectorFromArray(column('label'), new Int32()),
    })
    const writer = RecordBatchStreamWriter.writeAll(table)
    writeFileSync(path, writer.toUint8Array(true))
    const { losses } = await run({ ...classes, by: [] }, path)
    const list = join(folder, 'list.arrow')
    writeFileSync(list, tableToIPC(arrowTable(), 'file'))
    expect(losses[0]!.overall).toEqual((await run({ ...classes, by: [] }, list)).losses[0]!.overall)
  })

  it('may have a null in a dictionary of numbers, which is no number', async () => {
    const path = join(folder, 'dictionary.arrow')
    const dictionary = vectorFromArray([1.5, null], new Float64())
    const places = Int8Array.of(0, 1, 0)
    const data = makeData({
      type: new Dictionary(new Float64(), new Int8()),
      length: 3,
      data: places,
      dictionary,
    })
    writeFileSync(path, tableToIPC(new Table({ y: zeros(3), y_hat: new Vector([data]) }), 'file'))
    await expect(run(l1, path)).rejects.toThrow(/row 1: null in y_hat/)
  })

  it.each([
    ['TIMESTAMP_NS', new TimestampNanosecond(), 1_000_000_000n],
    ['TIMESTAMP', new TimestampMicrosecond(), 1_000_000n],
    ['TIMESTAMP_MS', new TimestampMillisecond(), 1000n],
  ] as const)('has the keys that Parquet has, apart to the last digit: %s', async (name, type, perSecond) => {
    const begin = 1_600_000_000n * perSecond
    const last = [0n, 1n, 2n, 10n, 455n, 456n, perSecond - 1n]
    const times = BigInt64Array.from([...last.map((more) => begin + more), -1n, -perSecond, -begin - 7n])
    const data = makeData({ type, length: times.length, data: times })
    const arrow = join(folder, `${name}.arrow`)
    writeFileSync(
      arrow,
      tableToIPC(new Table({ y: zeros(10), y_hat: zeros(10), t: new Vector([data]) }), 'file'),
    )
    const parquet = join(folder, `${name}.parquet`)
    await copyTimes(
      parquet,
      name,
      [...times].map((time) => time * (1_000_000_000n / perSecond)),
    )
    const [own, other] = await Promise.all([arrow, parquet].map((path) => run({ ...l1, by: ['t'] }, path)))
    expect(own!.losses[0]!.slices).toHaveLength(10)
    expect(own!.losses[0]!.slices.map(({ key }) => key)).toEqual(
      other!.losses[0]!.slices.map(({ key }) => key),
    )
  })
})

describe('npz', () => {
  const asked: EvaluationRequest = {
    losses: [{ loss: 'l1' }],
    columns: { predictions: ['a'], targets: ['b'] },
  }
  const write = (name: string, bytes: Uint8Array) => {
    const path = join(folder, name)
    writeFileSync(path, bytes)
    return path
  }
  const two = (a: object, b: object = a) => npz({ a: a as never, b: b as never }, { isPacked: false })

  it.each<[string, ArrayBufferView & { readonly length: number }]>([
    ['<f4', Float32Array.of(1.5, -2)],
    ['<i2', Int16Array.of(1, -2)],
    ['<u8', BigUint64Array.of(1n, 2n)],
    ['>f8', Float64Array.of(1.5, -2)],
    ['>i4', Int32Array.of(1, -2)],
  ])('holds numbers of the type %s', async (descr, data) => {
    const path = write(
      'types.npz',
      two({ data, shape: [2], descr }, { data: Float64Array.from(data as never, Number), shape: [2] }),
    )
    const { losses } = await run(asked, path)
    expect(losses[0]!.overall.mean).toBe(0)
  })

  it('in Fortran order has the same rows', async () => {
    const rowsOf = Float64Array.of(1, 2, 3, 4, 5, 6)
    const columnsOf = Float64Array.of(1, 3, 5, 2, 4, 6)
    const path = write(
      'fortran.npz',
      two({ data: rowsOf, shape: [3, 2] }, { data: columnsOf, shape: [3, 2], isFortran: true }),
    )
    const { losses } = await run({ ...asked, losses: [{ loss: 'l1' }] }, path)
    expect(losses[0]!.overall.mean).toBe(0)
  })

  it.each<[string, () => Uint8Array, RegExp]>([
    [
      'arrays of other lengths',
      () => two({ data: Float64Array.of(1), shape: [1] }, { data: Float64Array.of(1, 2), shape: [2] }),
      /equally many rows: "a" has 1, "b" has 2/,
    ],
    ['objects', () => two({ data: Float64Array.of(1), shape: [1], descr: '|O8' }), /"a.npy": .*dtype O8/],
    [
      'fields',
      () => two({ data: Float64Array.of(1), shape: [1], descr: [['x', '<f8']] }),
      /fields or objects/,
    ],
    [
      'a shape that is larger than its data',
      () => two({ data: Float64Array.of(1), shape: [1e9] }),
      /does not fit into the file/,
    ],
    [
      'a size that is not true',
      () => npz({ a: { data: Float64Array.of(1), shape: [1] } }, { isPacked: true, size: 10_000_000_000 }),
      /say that they unpack to 10000000000/,
    ],
    [
      'a size that is too small',
      () => npz({ a: { data: new Float64Array(999), shape: [999] } }, { isPacked: true, size: 500 }),
      /is longer than the zip says/,
    ],
    ['something that is no zip', () => npy({ data: Float64Array.of(1), shape: [1] }), /not a zip/],
  ])('with %s is refused in one line', async (_, bytes, message) => {
    await expect(run(asked, write('bad.npz', bytes()))).rejects.toThrow(message)
  })
})

describe('safetensors', () => {
  const asked: EvaluationRequest = {
    losses: [{ loss: 'l1' }],
    columns: { predictions: ['a'], targets: ['b'] },
  }
  it.each<[string, Buffer, RegExp]>([
    [
      'a header that is too long',
      Buffer.from([255, 255, 255, 255, 0, 0, 0, 0]),
      /not the length of a header/,
    ],
    [
      'a header that is no JSON',
      Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{{')]),
      /header is not JSON/,
    ],
    [
      'a tensor that lies elsewhere',
      safetensors({ a: { data: Float64Array.of(1), shape: [1] } }, { a: [0, 99] }),
      /does not have the place/,
    ],
    [
      'a tensor beyond the end',
      safetensors({ a: { data: Float64Array.of(1), shape: [1] } }, { a: [8, 16] }),
      /does not fit into the file/,
    ],
    [
      'float8',
      Buffer.from(
        safetensors({ a: { data: Float64Array.of(1), shape: [1] } })
          .toString('latin1')
          .replace('"F64"', '"F8 "'),
        'latin1',
      ),
      /dtype F8 , which is not supported/,
    ],
  ])('with %s is refused in one line', async (_, bytes, message) => {
    const path = join(folder, 'bad.safetensors')
    writeFileSync(path, bytes)
    await expect(run(asked, path)).rejects.toThrow(message)
  })
})
