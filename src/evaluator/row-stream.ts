/**
 * Rows of a file, chunk by chunk, to the last. A stream of DuckDB that fails ends as if there were no more rows, and
 * does not tell why. So a row that is not in the file follows the last one: without it, the stream was cut short.
 */
import type { DuckDBDataChunk, DuckDBResult } from '@duckdb/node-api'

/** Rows that lie in a chunk, from its first on. */
export interface SomeChunk {
  readonly chunk: DuckDBDataChunk
  readonly rows: number
}

/**
 * The query of a stream: rows of the table `file`, and the one that follows them.
 *
 * @param values expressions of its columns
 */
export function streamQuery(values: readonly string[]): string {
  const end = [...values.map(() => 'NULL'), 'TRUE']
  return ` SELECT ${[...values, 'FALSE'].join(', ')} FROM file UNION ALL SELECT ${end.join(', ')}`
}

/** A query that reads the same and is answered at once, so that its failure is told. No statistics of a file answer it. */
export function wholeQuery(values: readonly string[]): string {
  const names = [...values, 'end'].map((_, i) => `v${i}`).join(', ')
  return `, whole AS (${streamQuery(values)}) SELECT bit_xor(hash(${names})) FROM whole AS own(${names})`
}

export class RowStream {
  readonly #result: DuckDBResult
  readonly #width: number
  readonly #whyCut: () => Promise<unknown>
  /** DuckDB reads the next chunk meanwhile. */
  #next: Promise<DuckDBDataChunk | null>
  #isWhole = false

  /**
   * @param width the number of values of a row
   * @param whyCut throws what is wrong with the file, if something is
   */
  constructor(result: DuckDBResult, width: number, whyCut: () => Promise<unknown>) {
    this.#result = result
    this.#width = width
    this.#whyCut = whyCut
    this.#next = result.fetchChunk()
  }

  /**
   * The next rows, at least one; undefined after the last.
   *
   * @throws Error if the file cannot be read to its end
   */
  async read(): Promise<SomeChunk | undefined> {
    for (;;) {
      const chunk = await this.#next
      // The last one is empty, or there is none.
      if (chunk === null || chunk.rowCount === 0) return this.#end()
      this.#next = this.#result.fetchChunk()
      this.#isWhole = chunk.getColumnVector(this.#width).getItem(chunk.rowCount - 1) === true
      const rows = chunk.rowCount - (this.#isWhole ? 1 : 0)
      if (rows > 0) return { chunk, rows }
    }
  }

  /** The database must not be closed while it reads. */
  async close(): Promise<void> {
    await this.#next.catch(() => {})
  }

  async #end(): Promise<undefined> {
    if (this.#isWhole) return undefined
    await this.#whyCut()
    throw new Error('it could not be read to its end')
  }
}
