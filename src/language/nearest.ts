/** Finds the name that a misspelt one was probably meant to be. */

/** Names beyond it are nobody's typo. */
const MAX_LENGTH = 100

/**
 * The candidate with the smallest edit distance, if it is close enough to be a likely typo.
 *
 * @example
 * nearest('dleta', ['delta', 'beta']) // 'delta'
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  // No name here is so long; comparing two of a megabyte would take a day.
  if (name.length > MAX_LENGTH) return undefined
  const limit = Math.max(2, Math.floor(name.length / 2))
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - name.length) > limit) continue
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance <= limit && (best === undefined || distance < best.distance)) best = { candidate, distance }
  }
  return best?.candidate
}

/** ` Did you mean "x"?`, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const guess = nearest(name, candidates)
  return guess === undefined ? '' : `. Did you mean "${guess}"?`
}

/** Optimal string alignment distance: insertion, deletion, substitution, and a swap of neighbours count 1 each. */
function editDistance(a: string, b: string): number {
  let older: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(substitution, previous[j] + 1, row[j - 1] + 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) row[j] = Math.min(row[j], older[j - 2] + 1)
    }
    older = previous
    previous = row
  }
  return previous[b.length]
}
