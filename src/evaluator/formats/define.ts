/** The contract of a format of files. Every file of this folder that exports a format is one (index.ts). */

/** What a column of a table holds. Lists may have a fixed length. */
export type ColumnType =
  | { readonly kind: 'boolean' | 'text' }
  /** Doubles. Some of them may have been integers of 64 bits that no double holds. */
  | { readonly kind: 'number'; readonly isLong?: boolean }
  | { readonly kind: 'list'; readonly length: number | undefined }
  /** Something that nobody can evaluate. It reads as null. */
  | { readonly kind: 'other'; readonly type: string }

export interface TableColumn {
  readonly name: string
  readonly type: ColumnType
}

export interface NumberRows {
  readonly numbers: Float64Array
  /** The rows that are null. */
  readonly nulls?: readonly number[]
}

/** Lists of one length, one after the other. */
export interface FlatRows {
  readonly flat: Float64Array
  readonly nulls?: readonly number[]
}

/** Some rows of a column, by its type. */
export type ColumnRows =
  | NumberRows
  | FlatRows
  | { readonly booleans: readonly (boolean | null)[] }
  | { readonly texts: readonly (string | null)[] }
  | { readonly lists: readonly (ArrayLike<number> | null)[] }

/** A file with columns that any rows can be read from. It keeps little of it in memory. */
export interface Table {
  readonly columns: readonly TableColumn[]
  readonly rows: number
  /** Rows that may be read at once from a row on: at least 1 before the end, at most `most`. */
  atOnce(from: number, most: number): number
  /** @throws Error for data that is not what it says */
  read(column: number, from: number, count: number): ColumnRows
  close(): void
}

/** A file that is opened: links are not followed, and files outside of `root` are refused. */
export interface Source {
  readonly path: string
  readonly root?: string | undefined
}

/** How rows of a format are read. */
export type Reader =
  /** A table function of DuckDB, of the path `$1`. */
  | {
      readonly sql: string
      /** Whether its last column is the row in the file, so that parts and single rows can be read. */
      readonly hasPlaces: boolean
    }
  | { readonly open: (source: Source) => Promise<Table> }

export interface FormatDefinition {
  readonly name: string
  /** As people call it. */
  readonly title: string
  /** Of its files, with the dot. */
  readonly extensions: readonly string[]
  /** Of uploads. The first is the usual one. */
  readonly mediaTypes: readonly string[]
  /** The bytes that its files begin with, if that can be told. */
  readonly magic?: string
  readonly reader: Reader
}
