/**
 * DuckDB reads the files that we do not read ourselves. It is loaded when it is first needed, and one thread of it at a time
 * computes, so that equal questions have equal answers, bit for bit.
 *
 * No text of a caller is ever part of a query: paths are parameters, and columns have the names c0, c1 ... by their
 * places.
 */
import type * as Api from '@duckdb/node-api'
import type { DuckDBConnection, DuckDBInstance, DuckDBResult, DuckDBValue } from '@duckdb/node-api'
import { cut, Problem } from '../errors.ts'
import { TooManySlices } from '../evaluation/state.ts'
import { didYouMean } from '../nearest.ts'
import { EvaluationFailed } from './failure.ts'
import type { FormatDefinition, Table } from './formats/define.ts'
import { FORMATS, hasPlaces } from './formats/index.ts'
import { type ParquetFooter, readFooter } from './parquet/footer.ts'
import { RowStream, streamQuery, wholeQuery } from './row-stream.ts'
import { registerTables, tableQuery } from './table-function.ts'

/** A file that is read. */
export interface DataFile {
  readonly path: string
  /** As the caller knows it. */
  readonly name: string
  /** The name of its format. */
  readonly format: string
  /** The folder that nothing is opened outside of, if there is one. It has no links in its path. */
  readonly root?: string | undefined
}

/** The format of a file that has been found. */
export function formatOf({ format }: DataFile): FormatDefinition {
  return FORMATS.get(format)!
}

export interface Column {
  readonly name: string
  readonly kind: ColumnKind
  /** As DuckDB calls it. */
  readonly type: string
}

/** Which rows of a file are read; all, if nothing is said. */
export interface SomeRows {
  /** The first, and the one after the last. */
  readonly range?: readonly [number, number] | undefined
  /** Not more than so many. */
  readonly most?: number | undefined
}

/** What a column can be used as. */
export type ColumnKind = 'number' | 'boolean' | 'list' | 'text' | 'other'

/** Rows of the parts of a file that says nothing of parts. */
const GROUP_ROWS = 122_880

const MEMORY = '192MB'

export class Database {
  /** Opened when it is first asked something. */
  #opened: Promise<Opened> | undefined
  /** By path: files do not change while they are evaluated. */
  readonly #footers = new Map<string, ParquetFooter | undefined>()
  readonly #columns = new Map<string, Promise<Column[]>>()
  /** Files that neither DuckDB nor the reader of Parquet knows, by their paths. */
  readonly #tables = new Map<string, Promise<Table>>()
  readonly #read = new Map<string, Table>()
  /** The folder that DuckDB may read; undefined before the first file. */
  #root: Promise<string | undefined> | undefined

  /** @example await database.version() // 'v1.5.6' */
  async version(): Promise<string> {
    const { connection } = await this.#open()
    const reader = await connection.runAndReadAll('SELECT version()')
    return String(reader.getRows()[0][0])
  }

  /** What a Parquet file says about itself, if it can be read without DuckDB. */
  footer({ path, format, root }: DataFile): ParquetFooter | undefined {
    if (format !== 'parquet') return undefined
    if (!this.#footers.has(path)) this.#footers.set(path, readFooter(path, root))
    return this.#footers.get(path)
  }

  /** The columns of a file. DuckDB guesses those of texts from the cells, which takes a while for each part of a file. */
  columns(file: DataFile): Promise<Column[]> {
    const known = this.#columns.get(file.path)
    if (known !== undefined) return known
    const found = this.#readColumns(file)
    this.#columns.set(file.path, found)
    return found
  }

  async #readColumns(file: DataFile): Promise<Column[]> {
    const format = formatOf(file)
    if ('open' in format.reader) return (await this.#table(file)).columns.map(toColumn)
    const known = this.footer(file)?.columns
    if (known?.every(({ type }) => type !== undefined))
      return known.map(({ name, type = '' }) => ({ name, kind: kindOf(type), type }))
    const result = await this.#run(file, `SELECT * FROM ${format.reader.sql} LIMIT 0`)
    const names = result.columnNames()
    const all = names.map((name, i) => {
      const type = result.columnType(i)
      return { name, kind: kindOf(String(type)), type: String(type) }
    })
    return hasPlaces(format) ? all.slice(0, -1) : all
  }

  /** Rows of each part of a file where reading may begin. */
  async rowGroups(file: DataFile): Promise<number[]> {
    if ('open' in formatOf(file).reader) {
      const { rows } = await this.#table(file)
      return Array.from({ length: Math.ceil(rows / GROUP_ROWS) }, (_, group) =>
        Math.min(GROUP_ROWS, rows - group * GROUP_ROWS),
      )
    }
    const known = this.footer(file)
    if (known !== undefined) return known.groups.map(({ rows }) => rows)
    const query =
      'SELECT any_value(row_group_num_rows)::DOUBLE FROM parquet_metadata($1) GROUP BY row_group_id ORDER BY row_group_id'
    const result = await this.#run(file, query)
    return (await result.getRows()).map(([rows]) => Number(rows))
  }

  /**
   * The answer to a query about a file, as a whole.
   *
   * @param query what follows a common table expression called `file`
   * @param columns all columns of the file
   */
  async rows(
    file: DataFile,
    columns: readonly Column[],
    query: string,
    rows: SomeRows = {},
  ): Promise<DuckDBValue[][]> {
    return (await this.#run(file, fromFile(file, columns, query, rows))).getRows()
  }

  /**
   * The rows of a file, while they are read.
   *
   * @param columns all columns of the file
   * @param values expressions of the columns c0, c1 ..., which are computed for each row
   */
  async stream(
    file: DataFile,
    columns: readonly Column[],
    values: readonly string[],
    rows: SomeRows = {},
  ): Promise<RowStream> {
    const connection = await this.#ready(file)
    const query = fromFile(file, columns, streamQuery(values), rows)
    try {
      const result = await connection.stream(query, [file.path])
      return new RowStream(result, values.length, () => this.rows(file, columns, wholeQuery(values), rows))
    } catch (error) {
      throw unreadable(file, error)
    }
  }

  /** Must not be called while it works. */
  async close(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined)
    opened?.connection.closeSync()
    opened?.instance.closeSync()
    for (const table of this.#read.values()) table.close()
  }

  #open(): Promise<Opened> {
    this.#opened ??= open()
    return this.#opened
  }

  /** A file that DuckDB does not read itself. It stays open until the database is closed. */
  #table(file: DataFile): Promise<Table> {
    const known = this.#tables.get(file.path)
    if (known !== undefined) return known
    const opened = this.#openTable(file)
    this.#tables.set(file.path, opened)
    return opened
  }

  async #openTable(file: DataFile): Promise<Table> {
    const { reader, title } = formatOf(file)
    if (!('open' in reader)) throw new Error(`DuckDB reads ${title} itself`)
    try {
      const table = await reader.open({ path: file.path, root: file.root })
      this.#read.set(file.path, table)
      return table
    } catch (error) {
      throw unreadable(file, error)
    }
  }

  /** From then on, DuckDB opens nothing outside of the folder, whatever a path or a link says. */
  async #prepare(root: string | undefined): Promise<string | undefined> {
    const { api, connection } = await this.#open()
    registerTables(api, connection, { tableAt: (path) => this.#read.get(path)!, hasPlaces: true })
    if (root === undefined) return undefined
    await connection.run('SET allowed_directories = [$1]', [root])
    await connection.run('SET enable_external_access = false')
    await connection.run('SET lock_configuration = true')
    return root
  }

  /** The connection, which may read this file. */
  async #ready(file: DataFile): Promise<DuckDBConnection> {
    this.#root ??= this.#prepare(file.root)
    if ((await this.#root) !== file.root) throw new Error('one database reads files of one folder')
    if ('open' in formatOf(file).reader) await this.#table(file)
    return (await this.#open()).connection
  }

  async #run(file: DataFile, query: string): Promise<DuckDBResult> {
    const connection = await this.#ready(file)
    try {
      return await connection.run(query, [file.path])
    } catch (error) {
      throw unreadable(file, error)
    }
  }
}

/** The query, of a table called `file` whose columns have names of ours. */
function fromFile(
  file: DataFile,
  columns: readonly Column[],
  query: string,
  { range, most }: SomeRows,
): string {
  const format = formatOf(file)
  const names = columns.map((_, place) => `c${place}`)
  const own = hasPlaces(format) ? [...names, 'place'] : names
  const isTable = 'open' in format.reader
  const source = 'open' in format.reader ? tableQuery(range) : format.reader.sql
  const where = range === undefined || isTable ? '' : ` WHERE place >= ${range[0]} AND place < ${range[1]}`
  const limit = most === undefined ? '' : ` LIMIT ${most}`
  return `WITH file AS (SELECT * FROM ${source} AS own(${own.join(', ')})${where}${limit})${query}`
}

/** A failure of DuckDB, in one line that names the file as the caller knows it. */
export function unreadable({ name, path }: DataFile, error: unknown): Error {
  if (error instanceof Problem || error instanceof EvaluationFailed) return error
  if (error instanceof TooManySlices) return new EvaluationFailed('too-many-slices', error.message)
  const message = error instanceof Error ? error.message : String(error)
  return new EvaluationFailed(
    'unreadable-data',
    `${name}: ${cut(toldBy(message.replaceAll(path, name), name))}`,
    {
      cause: error,
    },
  )
}

/** What DuckDB adds: its kind of error, the file, what a person at its prompt may try, and the search of its sniffer. */
const ADDED = [
  /^(\w+ )+Error: /,
  /^(Failed to read file|Error when sniffing file) "[^"]*"[:.] /,
  / (in|from) file "[^"]*"/,
  / \([^()]* used\) Database is launched .*$/,
  / The search space used was:.*$/,
  / Try increasing 'sample_size', .*$/,
  /^Failed to read Parquet file "[^"]*": Using file_row_number option on (?=file with column named)/,
]

/** DuckDB's words for what people know by other ones. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^Out of buffer$/, 'its pages are damaged: one ends early'],
  [/^(Snappy decompression failure|Failed to decompress)/, 'its pages are damaged: $1'],
  [/^failed to (allocate|pin|offload)/i, `it takes more than ${MEMORY} of memory to read: failed to $1`],
  [/^No magic bytes found at end of file '[^']*'/, 'it is not Parquet, or it was cut off: $&'],
]

function toldBy(message: string, name: string): string {
  const lines = message.split('\n').map((line) => line.trim())
  const told = lines.filter((line) => line !== '' && !/^(Possible|LINE \d|\^|\*)/.test(line)).slice(0, 3)
  const plain = ADDED.reduce((text, pattern) => text.replace(pattern, ''), told.join(' '))
  const words = WORDS.reduce((text, [pattern, word]) => text.replace(pattern, word), plain)
  return words.replaceAll(` '${name}'`, '')
}

/** @throws Problem `unknown-name` */
export function placeOfColumn(file: DataFile, columns: readonly Column[], name: string): number {
  const place = columns.findIndex((column) => column.name === name)
  if (place >= 0) return place
  const names = columns.map((column) => column.name)
  throw new Problem(
    'unknown-name',
    `${file.name} has no column "${cut(name)}"; it has ${namesIn(columns)}${didYouMean(name, names)}`,
  )
}

/**
 * The columns of a file, for a message. DuckDB sees one column, or none of the names, where lines do not have the same number
 * of cells.
 */
export function namesIn(columns: readonly Column[]): string {
  const names = columns.map((column) => column.name)
  const has = names.slice(0, 20).map(cut).join(', ')
  if (names.length === 1 && /[,;\t|]/.test(names[0]))
    return `one column, "${has}": does a line near the beginning have more or fewer cells?`
  if (names.every((name) => /^column\d+$/.test(name)))
    return `${has}: is its first line one with names, and has each line as many cells?`
  return `${has}${names.length > 20 ? ` and ${names.length - 20} more` : ''}`
}

const NUMBERS = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(.*\))$/
const TEXTS = /^(VARCHAR|DATE|TIME|TIMESTAMP.*|UUID|ENUM\(.*\))/

function toColumn({ name, type }: Table['columns'][number]): Column {
  const types = { number: 'DOUBLE', boolean: 'BOOLEAN', text: 'VARCHAR', list: 'DOUBLE[]' }
  if (type.kind === 'number' && type.isLong) return { name, kind: type.kind, type: 'BIGINT' }
  return { name, kind: type.kind, type: type.kind === 'other' ? type.type : types[type.kind] }
}

function kindOf(text: string): ColumnKind {
  const element = /^(.*)\[\d*\]$/.exec(text)?.[1]
  if (element !== undefined) return NUMBERS.test(element) ? 'list' : 'other'
  if (NUMBERS.test(text)) return 'number'
  if (text === 'BOOLEAN') return 'boolean'
  return TEXTS.test(text) ? 'text' : 'other'
}

interface Opened {
  readonly api: typeof Api
  readonly instance: DuckDBInstance
  readonly connection: DuckDBConnection
}

/** @throws EvaluationFailed if DuckDB is not installed */
async function open(): Promise<Opened> {
  const api = await load()
  const instance = await api.DuckDBInstance.create(':memory:', {
    threads: '1',
    memory_limit: MEMORY,
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
  })
  return { api, instance, connection: await instance.connect() }
}

async function load(): Promise<typeof Api> {
  try {
    return (await import('@duckdb/node-api')) as typeof Api
  } catch (cause) {
    throw new EvaluationFailed('unreadable-data', 'evaluations need the package @duckdb/node-api', { cause })
  }
}
