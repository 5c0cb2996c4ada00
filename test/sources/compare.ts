/** Whether what a source computed is what the service answers. */

/** Numbers of one result, and how far they may be apart. */
export interface Comparison {
  readonly got: ArrayLike<number>
  readonly want: ArrayLike<number>
  /**
   * Relative to the larger of the number itself and a thousandth of the largest number of its row, whose rounding it
   * shares.
   */
  readonly tolerance: number
  /** Numbers that may be wrong by less than this: those with fewer digits. */
  readonly smallest: number
  /** Numbers per row. */
  readonly width: number
}

export interface Difference {
  readonly place: number
  readonly got: number
  readonly want: number
}

const SHARED = 1e-3

/** The first number that is too far off; undefined if all agree. */
export function differenceIn({ got, want, tolerance, smallest, width }: Comparison): Difference | undefined {
  if (got.length !== want.length) return { place: -1, got: got.length, want: want.length }
  for (let place = 0; place < want.length; place++) {
    const row = Array.from({ length: width }, (_, i) => Math.abs(want[place - (place % width) + i] ?? 0))
    const largest = Math.max(...row.filter(Number.isFinite), 0)
    if (!isClose(got[place]!, want[place]!, tolerance, Math.max(smallest, SHARED * largest)))
      return { place, got: got[place]!, want: want[place]! }
  }
  return undefined
}

function isClose(got: number, want: number, tolerance: number, floor: number): boolean {
  if (Object.is(got, want) || got === want) return true
  if (!Number.isFinite(want) || !Number.isFinite(got)) return Number.isNaN(got) && Number.isNaN(want)
  return Math.abs(got - want) <= tolerance * Math.max(Math.abs(want), floor)
}
