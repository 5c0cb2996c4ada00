/** One part of a benchmark: measures, and returns tables. */
import type { Table } from '../table.ts'

export interface PartContext {
  /** A smoke run: everything once, briefly. Its figures mean nothing. */
  readonly quick: boolean
  /** Reports progress. */
  readonly say: (line: string) => void
}

export type Part = (context: PartContext) => Promise<Table[]>
