/** Whether what a source computed is what the service answers. */

/** Numbers of one result, and how far each may be off. */
export interface Comparison {
  readonly got: ArrayLike<number>
  readonly want: ArrayLike<number>
  /** Of the number at a place; infinite where nothing can be said. */
  readonly allowed: (place: number) => number
}

export interface Difference {
  readonly place: number
  readonly got: number
  readonly want: number
  readonly allowed: number
}

export interface Compared {
  /** The first number that is too far off; undefined if all agree. */
  readonly difference: Difference | undefined
  /** How many numbers may be anything. */
  readonly unbounded: number
}

export function compare({ got, want, allowed }: Comparison): Compared {
  if (got.length !== want.length)
    return { difference: { place: -1, got: got.length, want: want.length, allowed: 0 }, unbounded: 0 }
  let difference: Difference | undefined
  let unbounded = 0
  for (let place = 0; place < want.length; place++) {
    const most = allowed(place)
    if (most === Infinity) unbounded++
    else if (!isClose(got[place]!, want[place]!, most))
      difference ??= { place, got: got[place]!, want: want[place]!, allowed: most }
  }
  return { difference, unbounded }
}

function isClose(got: number, want: number, allowed: number): boolean {
  if (Object.is(got, want) || got === want) return true
  if (!Number.isFinite(want) || !Number.isFinite(got)) return Number.isNaN(got) && Number.isNaN(want)
  return Math.abs(got - want) <= allowed
}

export interface Tolerance {
  /**
   * Relative to the larger of the number itself and a thousandth of the largest number of its row, whose rounding it
   * shares.
   */
  readonly tolerance: number
  /** Numbers that may be wrong by less than this: those with fewer digits. */
  readonly smallest: number
}

const SHARED = 1e-3

/** @param width numbers per row */
export function allowedIn(
  want: ArrayLike<number>,
  width: number,
  { tolerance, smallest }: Tolerance,
): (place: number) => number {
  return (place) => {
    const row = Array.from({ length: width }, (_, i) => Math.abs(want[place - (place % width) + i] ?? 0))
    const largest = Math.max(...row.filter(Number.isFinite), 0)
    return tolerance * Math.max(Math.abs(want[place]!), smallest, SHARED * largest)
  }
}
