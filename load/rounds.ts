/** How sides are compared: in turn, several times, by their medians. */

/**
 * Measures every side once per round, so that a machine that slows down affects all sides.
 *
 * @returns the median of each side, ordered by what `by` reads from a measurement
 * @example
 * const [a, b] = await inTurn(['a', 'b'], 3, measure, (result) => result.seconds)
 */
export async function inTurn<Side, Found>(
  sides: readonly Side[],
  rounds: number,
  measure: (side: Side) => Promise<Found>,
  by: (found: Found) => number,
): Promise<Found[]> {
  const found: Found[][] = sides.map(() => [])
  for (let round = 0; round < rounds; round++) {
    for (const [place, side] of sides.entries()) found[place].push(await measure(side))
  }
  return found.map((results) => median(results, by))
}

function median<Found>(results: readonly Found[], by: (found: Found) => number): Found {
  const sorted = [...results].sort((a, b) => by(a) - by(b))
  return sorted[Math.floor(sorted.length / 2)]
}
