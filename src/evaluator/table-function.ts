/** Files that DuckDB cannot read itself, as a table function: `read_table(path, first, count)`. */
import type * as Api from '@duckdb/node-api'
import type { ColumnRows, ColumnType, FlatRows, NumberRows, Table } from './formats/define.ts'

/** The rows of a chunk of DuckDB. */
const CHUNK = 2048
const NAME = 'read_table'

/** The query for some rows of a table, or for all. */
export function tableQuery(range: readonly [number, number] | undefined): string {
  return range === undefined ? `${NAME}($1)` : `${NAME}($1, first_row = ${range[0]}, end_row = ${range[1]})`
}

interface Scan {
  readonly table: Table
  readonly columns: readonly number[]
  at: number
  readonly end: number
}

export interface Tables {
  /** The table of a file that has been opened. */
  readonly tableAt: (path: string) => Table
  /** Whether the row in the file is the last column. */
  readonly hasPlaces: boolean
}

export function registerTables(
  api: typeof Api,
  connection: Api.DuckDBConnection,
  { tableAt, hasPlaces }: Tables,
): void {
  const { BIGINT, DOUBLE, VARCHAR } = api
  const typed = typesOf(api)
  const definition = api.DuckDBTableFunction.create({
    name: NAME,
    parameterTypes: [VARCHAR],
    namedParameterTypes: { first_row: BIGINT, end_row: BIGINT },
    supportsProjectionPushdown: true,
    bindFunction: (info) => {
      const table = tableAt(String(info.getParameter(0)))
      for (const { name, type } of table.columns) info.addResultColumn(name, typed(type))
      if (hasPlaces) info.addResultColumn('file_row_number', DOUBLE)
      const at = Number(info.getNamedParameter('first_row') ?? 0)
      const end = Math.min(table.rows, Number(info.getNamedParameter('end_row') ?? table.rows))
      info.setCardinality(Math.max(0, end - at), true)
      info.setBindData({ table, columns: [], at, end } satisfies Scan)
    },
    initFunction: (info) => {
      info.setMaxThreads(1)
      const scan = info.getBindData() as Scan
      info.setInitData({ ...scan, columns: info.getColumnIndexes() })
    },
    mainFunction: (info, chunk) => fill(api, info.getInitData() as Scan, chunk),
  })
  connection.registerTableFunction(definition)
}

function typesOf({
  DOUBLE,
  BOOLEAN,
  VARCHAR,
  LIST,
  ARRAY,
}: typeof Api): (type: ColumnType) => Api.DuckDBType {
  const plain = { number: DOUBLE, boolean: BOOLEAN, text: VARCHAR, other: VARCHAR }
  return (type) => {
    if (type.kind !== 'list') return plain[type.kind]
    return type.length === undefined ? LIST(DOUBLE) : ARRAY(DOUBLE, type.length)
  }
}

function fill(api: typeof Api, scan: Scan, chunk: Api.DuckDBDataChunk) {
  const { table, columns, at, end } = scan
  const rows = at < end ? table.atOnce(at, Math.min(CHUNK, end - at)) : 0
  chunk.rowCount = rows
  if (rows === 0) return
  columns.forEach((column, place) => {
    const vector = chunk.getColumnVector(place)
    if (column < table.columns.length) put(api, vector, table.read(column, at, rows))
    else putNumbers(vector, { numbers: Float64Array.from({ length: rows }, (_, i) => at + i) })
  })
  scan.at += rows
}

/** What the vectors of DuckDB's package have, and do not declare. */
interface Raw {
  readonly items: Float64Array
  readonly childData: { readonly items: Float64Array }
  readonly validity: { setItemValid(row: number, isValid: boolean): void }
}

function put({ listValue }: typeof Api, vector: Api.DuckDBVector, rows: ColumnRows) {
  if ('numbers' in rows) return putNumbers(vector, rows)
  if ('flat' in rows) return putLists(vector, rows)
  if ('lists' in rows)
    rows.lists.forEach(
      (list, i) => void vector.setItem(i, list === null ? null : listValue(Array.from(list))),
    )
  else if ('booleans' in rows) rows.booleans.forEach((value, i) => void vector.setItem(i, value))
  else rows.texts.forEach((text, i) => void vector.setItem(i, text))
  vector.flush()
}

function putNumbers(vector: Api.DuckDBVector, { numbers, nulls = [] }: NumberRows) {
  const { items, validity } = vector as unknown as Raw
  items.set(numbers)
  for (const row of nulls) validity.setItemValid(row, false)
  vector.flush()
}

function putLists(vector: Api.DuckDBVector, { flat, nulls = [] }: FlatRows) {
  const { childData, validity } = vector as unknown as Raw
  childData.items.set(flat)
  for (const row of nulls) validity.setItemValid(row, false)
  vector.flush()
}
