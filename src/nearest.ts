/** Spelling suggestions by edit distance: finds the name that was probably meant ("Did you mean ...?"). */

/** Longer names are not considered typos. */
const MAX_LENGTH = 100

/**
 * The candidate that a name was probably meant to be: a likely typo, with at most one wrong letter in three, or an
 * abbreviation. A less similar guess would help nobody.
 *
 * @example
 * nearest('dleta', ['delta', 'beta']) // 'delta'
 * nearest('classification', ['distillation']) // undefined
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  // No candidate is this long, and comparing two names of a megabyte would take a day.
  if (name.length > MAX_LENGTH) return undefined
  let best: { candidate: string; distance: number } | undefined
  for (const candidate of candidates) {
    const distance = distanceOf(name.toLowerCase(), candidate.toLowerCase())
    if (distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { candidate, distance }
  }
  return best?.candidate
}

/** Infinity if they are too different. */
function distanceOf(name: string, candidate: string): number {
  const limit = Math.max(1, Math.floor(Math.min(name.length, candidate.length) / 3))
  if (isShortFor(name, candidate) || isShortFor(`${candidate}_`, name))
    return ABBREVIATED + candidate.length / 1000
  if (Math.abs(candidate.length - name.length) > limit || candidate.length < 2)
    return Number.POSITIVE_INFINITY
  const distance = editDistance(name, candidate)
  return distance <= limit ? distance : Number.POSITIVE_INFINITY
}

/** Between a distance of one letter and of two. Among several abbreviated candidates, the shortest is nearest. */
const ABBREVIATED = 1.5

/** `pred` for `predictions`, `student` for `student_logits`. */
function isShortFor(short: string, long: string): boolean {
  return short.length >= 3 && long.length > short.length && long.startsWith(short)
}

/** ` Did you mean "x"?`, or an empty string. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const guess = nearest(name, candidates)
  return guess === undefined ? '' : suggesting(guess)
}

/**
 * `. Did you mean "x"?`, with `or` between several names.
 *
 * @example
 * suggesting('binary', 'multiclass') // '. Did you mean "binary" or "multiclass"?'
 */
export function suggesting(...names: readonly string[]): string {
  return `. Did you mean ${names.map((name) => `"${name}"`).join(' or ')}?`
}

/** Optimal string alignment distance: insertion, deletion, substitution and a swap of neighbors each count 1. */
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
