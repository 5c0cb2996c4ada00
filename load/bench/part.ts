/** One part of the bench: measures, and yields tables. */
import type { Table } from '../table.ts'

export interface PartContext {
  /** A smoke run: everything once, briefly; its figures mean nothing. */
  readonly quick: boolean
  /** Progress, for whoever waits. */
  readonly say: (line: string) => void
}

export type Part = (context: PartContext) => Promise<Table[]>
