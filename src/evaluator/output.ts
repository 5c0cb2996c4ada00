/** The numbers of an evaluation as a file: JSON, CSV or Parquet, by its ending. */
import {
  accessSync,
  constants,
  copyFileSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, extname, join } from 'node:path'
import type * as Api from '@duckdb/node-api'
import type { Evaluation } from '../evaluation/result.ts'
import type { Table } from './formats/define.ts'
import { registerTables, tableQuery } from './table-function.ts'

type Cell = string | number | boolean | null

/** Columns, and one row for each loss or comparison and each slice. */
interface Numbers {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

const WRITERS: Readonly<Record<string, (path: string, answer: Evaluation) => void | Promise<void>>> = {
  '.json': (path, answer) => writeFileSync(path, `${JSON.stringify(answer, null, 2)}\n`),
  '.csv': (path, answer) => writeFileSync(path, csvOf(numbersOf(answer))),
  '.parquet': (path, answer) => writeParquet(path, numbersOf(answer)),
}

/** @throws TypeError for an ending that is not known: before anything is computed */
export function checkOutput(path: string): void {
  if (!Object.hasOwn(WRITERS, extname(path)))
    throw new TypeError(`--out takes a file that ends in ${Object.keys(WRITERS).join(', ')}, got "${path}"`)
}

/**
 * Neither creates nor changes the file.
 *
 * @throws the error of the system if it could not be written
 */
export function checkWritable(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false })
  // It fails, in the words of the system.
  if (stats?.isDirectory() || path === '') openSync(path, 'r+')
  // `new/` is in a folder that does not exist.
  accessSync(stats === undefined ? dirname(`${path}_`) : path, constants.W_OK)
}

/** Writes what {@link checkOutput} has let pass. */
export async function writeOutput(path: string, answer: Evaluation): Promise<void> {
  await WRITERS[extname(path)](path, answer)
}

const ESTIMATE = ['rows', 'weight', 'mean', 'standard_error', 'low', 'high', 'min', 'max'] as const

function numbersOf({ losses, comparisons, by }: Evaluation): Numbers {
  const series = [
    ...losses.map(({ loss, params, model, overall, slices }) => ({ loss, params, model, overall, slices })),
    ...comparisons.map(({ loss, params, a, b, overall, slices }) => ({
      loss,
      params,
      model: `${b} - ${a}`,
      overall,
      slices,
    })),
  ]
  const rows = series.flatMap(({ loss, params, model = null, overall, slices }) =>
    [{ ...overall, key: {}, scope: 'all' }, ...slices.map((one) => ({ ...one, scope: 'slice' }))].map(
      ({ key, scope, interval, weight = null, ...one }): Cell[] => [
        loss,
        JSON.stringify(params),
        model,
        scope,
        ...by.map((name) => (key as Readonly<Record<string, Cell>>)[name] ?? null),
        one.rows,
        weight,
        one.mean,
        one.standard_error,
        interval?.[0] ?? null,
        interval?.[1] ?? null,
        one.min,
        one.max,
      ],
    ),
  )
  return { columns: ['loss', 'params', 'model', 'scope', ...by, ...ESTIMATE], rows }
}

function csvOf({ columns, rows }: Numbers): string {
  return `${[columns, ...rows].map((line) => line.map(csvCell).join(',')).join('\n')}\n`
}

function csvCell(value: Cell): string {
  const cell = value === null ? '' : String(value)
  return /[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

/** DuckDB writes it, from a table function: so neither the path nor a name of a column becomes part of a query. */
async function writeParquet(path: string, numbers: Numbers) {
  const api = (await import('@duckdb/node-api')) as typeof Api
  const folder = mkdtempSync(join(tmpdir(), 'lossd-out-'))
  const instance = await api.DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await instance.connect()
  try {
    const table = tableOf(numbers)
    registerTables(api, connection, { tableAt: () => table, hasPlaces: false })
    await connection.run(`COPY (FROM ${tableQuery(undefined)}) TO '${folder}/out.parquet' (FORMAT parquet)`, [
      'numbers',
    ])
    copyFileSync(join(folder, 'out.parquet'), path)
  } finally {
    connection.closeSync()
    instance.closeSync()
    rmSync(folder, { recursive: true })
  }
}

function tableOf({ columns, rows }: Numbers): Table {
  const kinds = columns.map((_, place) => kindOf(rows.map((row) => row[place])))
  return {
    columns: uniqueNames(columns).map((name, place) => ({ name, type: { kind: kinds[place] } })),
    rows: rows.length,
    atOnce: (from, most) => Math.min(most, rows.length - from),
    read: (column, from, count) => {
      const cells = rows.slice(from, from + count).map((row) => row[column])
      if (kinds[column] === 'boolean') return { booleans: cells as (boolean | null)[] }
      if (kinds[column] === 'text')
        return { texts: cells.map((cell) => (cell === null ? null : String(cell))) }
      const nulls = cells.flatMap((cell, i) => (cell === null ? [i] : []))
      return { numbers: Float64Array.from(cells, Number), nulls }
    },
    close: () => {},
  }
}

function kindOf(cells: readonly Cell[]): 'number' | 'boolean' | 'text' {
  const types = new Set(cells.filter((cell) => cell !== null).map((cell) => typeof cell))
  const [only] = types
  if (types.size === 0 || (types.size === 1 && only === 'number')) return 'number'
  return types.size === 1 && only === 'boolean' ? 'boolean' : 'text'
}

/** A column that slices are made of may be called like one of ours. */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    let own = name
    while (taken.has(own.toLowerCase())) own += '_'
    taken.add(own.toLowerCase())
    return own
  })
}
