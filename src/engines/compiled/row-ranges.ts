/** How a launch is split into ranges of rows, one for each thread that is worth it. */
import { MAX_ROW_RANGES, type RowRange } from './kernel.ts'

/** A shorter range is not worth a message to another thread. */
const RANGE_NS = 300_000
/** Ranges begin at cache line boundaries, so that threads do not write to the same cache line (false sharing). */
const STEP = 16
/** Rows that take longer (images, sequences) are written so seldom that this does not matter. */
const LONG_ROW_NS = 20_000

/** All rows, in one range. */
export const wholeRange = (rows: number): RowRange => ({ index: 0, first: 0, last: rows })

/**
 * @param rows that can be computed in any order
 * @param ns how long all of them take
 * @example
 * rowRangesOf(100, 2, 1e6) // rows 0 to 63, and 64 to 99
 */
export function rowRangesOf(rows: number, threads: number, ns: number): RowRange[] {
  const count = Math.min(threads, MAX_ROW_RANGES, Math.floor(ns / RANGE_NS))
  if (count <= 1) return [wholeRange(rows)]
  const unit = ns > rows * LONG_ROW_NS ? 1 : STEP
  const step = Math.ceil(rows / count / unit) * unit
  const starts = Array.from({ length: count }, (_, i) => i * step).filter((first) => first < rows)
  return starts.map((first, index) => ({ index, first, last: Math.min(first + step, rows) }))
}
