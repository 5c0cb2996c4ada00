/**
 * DuckDB reads the files that we do not read ourselves. It is loaded when it is first needed, and one thread of it at a time
 * computes, so that equal questions have equal answers, bit for bit.
 *
 * No text of a caller is ever part of a query: paths are parameters, and columns have the names c0, c1 ... by their
 * places.
 */
import type { DuckDBConnection, DuckDBInstance, DuckDBResult } from '@duckdb/node-api'
import { cut, Problem } from '../errors.ts'
import { TooManySlices } from '../evaluation/state.ts'
import { didYouMean } from '../nearest.ts'
import { EvaluationFailed } from './failure.ts'
import { type ParquetFooter, readFooter } from './parquet/footer.ts'

export const FORMATS = ['parquet', 'csv', 'json'] as const
export type Format = (typeof FORMATS)[number]

/** A file that is read. */
export interface DataFile {
  readonly path: string
  /** As the caller knows it. */
  readonly name: string
  readonly format: Format
}

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
  /** As DuckDB calls it. */
  readonly type: string
}

/** What a column can be used as. */
export type ColumnKind = 'number' | 'boolean' | 'list' | 'text' | 'other'

/** The names of the functions that read, and their options. */
const READERS: Readonly<Record<Format, string>> = {
  parquet: 'read_parquet($1, file_row_number = true)',
  csv: 'read_csv($1)',
  json: "read_json($1, format = 'newline_delimited')",
}

const MEMORY = '192MB'

export class Database {
  /** Opened when it is first asked something. */
  #opened: Promise<Opened> | undefined
  /** By path: files do not change while they are evaluated. */
  readonly #footers = new Map<string, ParquetFooter | undefined>()

  /** @example await database.version() // 'v1.5.6' */
  async version(): Promise<string> {
    const { connection } = await this.#open()
    const reader = await connection.runAndReadAll('SELECT version()')
    return String(reader.getRows()[0][0])
  }

  /** What a Parquet file says about itself, if it can be read without DuckDB. */
  footer({ path, format }: DataFile): ParquetFooter | undefined {
    if (format !== 'parquet') return undefined
    if (!this.#footers.has(path)) this.#footers.set(path, readFooter(path))
    return this.#footers.get(path)
  }

  /** The columns of a file. */
  async columns(file: DataFile): Promise<Column[]> {
    const known = this.footer(file)?.columns
    if (known?.every(({ type }) => type !== undefined))
      return known.map(({ name, type = '' }) => ({ name, kind: kindOf(type), type }))
    const result = await this.#run(file, `SELECT * FROM ${READERS[file.format]} LIMIT 0`)
    const names = result.columnNames()
    const all = names.map((name, i) => {
      const type = result.columnType(i)
      return { name, kind: kindOf(String(type)), type: String(type) }
    })
    return file.format === 'parquet' ? all.slice(0, -1) : all
  }

  /** Rows of each part of a Parquet file that is compressed as a whole. */
  async rowGroups(file: DataFile): Promise<number[]> {
    const known = this.footer(file)
    if (known !== undefined) return known.groups.map(({ rows }) => rows)
    const query =
      'SELECT any_value(row_group_num_rows)::DOUBLE FROM parquet_metadata($1) GROUP BY row_group_id ORDER BY row_group_id'
    const result = await this.#run(file, query)
    return (await result.getRows()).map(([rows]) => Number(rows))
  }

  /**
   * Streams the result of a query about a file.
   *
   * @param query what follows a common table expression called `file`
   * @param columns all columns of the file
   */
  async stream(
    file: DataFile,
    columns: readonly Column[],
    query: string,
    range?: readonly [number, number],
  ): Promise<DuckDBResult> {
    return this.#run(file, fromFile(file, columns, query, range))
  }

  /** Must not be called while it works. */
  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined)
    opened?.connection.closeSync()
    opened?.instance.closeSync()
  }

  #open(): Promise<Opened> {
    this.#opened ??= open()
    return this.#opened
  }

  async #run(file: DataFile, query: string): Promise<DuckDBResult> {
    try {
      const { connection } = await this.#open()
      return await connection.stream(query, [file.path])
    } catch (error) {
      throw unreadable(file, error)
    }
  }
}

/** The query, of a table called `file` whose columns have names of ours. */
function fromFile(
  { format }: DataFile,
  columns: readonly Column[],
  query: string,
  range: readonly [number, number] | undefined,
): string {
  const names = columns.map((_, place) => `c${place}`)
  const own = format === 'parquet' ? [...names, 'place'] : names
  const where = range === undefined ? '' : ` WHERE place >= ${range[0]} AND place < ${range[1]}`
  return `WITH file AS (SELECT * FROM ${READERS[format]} AS own(${own.join(', ')})${where})${query}`
}

/** A failure of DuckDB, in one line that names the file. */
export function unreadable({ name }: DataFile, error: unknown): Error {
  if (error instanceof Problem || error instanceof EvaluationFailed) return error
  if (error instanceof TooManySlices) return new EvaluationFailed('too-many-slices', error.message)
  const message = error instanceof Error ? error.message : String(error)
  const lines = message.split('\n').map((line) => line.trim())
  const told = lines.filter((line) => line !== '' && !/^(Possible|LINE \d|\^|\*)/.test(line)).slice(0, 3)
  return new EvaluationFailed('unreadable-data', `${name}: ${cut(told.join(' '))}`, { cause: error })
}

/** @throws Problem `unknown-name` */
export function placeOfColumn(file: DataFile, columns: readonly Column[], name: string): number {
  const place = columns.findIndex((column) => column.name === name)
  if (place >= 0) return place
  const names = columns.map((column) => column.name)
  const has = names.slice(0, 20).map(cut).join(', ')
  throw new Problem(
    'unknown-name',
    `${file.name} has no column "${cut(name)}"; it has ${has}${names.length > 20 ? ' ...' : ''}${didYouMean(name, names)}`,
  )
}

const NUMBERS = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(.*\))$/
const TEXTS = /^(VARCHAR|DATE|TIME|TIMESTAMP.*|UUID|ENUM\(.*\))/

function kindOf(text: string): ColumnKind {
  const element = /^(.*)\[\d*\]$/.exec(text)?.[1]
  if (element !== undefined) return NUMBERS.test(element) ? 'list' : 'other'
  if (NUMBERS.test(text)) return 'number'
  if (text === 'BOOLEAN') return 'boolean'
  return TEXTS.test(text) ? 'text' : 'other'
}

interface Opened {
  readonly instance: DuckDBInstance
  readonly connection: DuckDBConnection
}

/** @throws EvaluationFailed if DuckDB is not installed */
async function open(): Promise<Opened> {
  const { DuckDBInstance } = await load()
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: MEMORY,
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  })
  return { instance, connection: await instance.connect() }
}

async function load(): Promise<typeof import('@duckdb/node-api')> {
  try {
    return await import('@duckdb/node-api')
  } catch (cause) {
    throw new EvaluationFailed('unreadable-data', 'evaluations need the package @duckdb/node-api', { cause })
  }
}
