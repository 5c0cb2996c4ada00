/** The answer to one question about a loss, and how answers about parts become one about the whole. */

/**
 * `proved`: by rules or enclosures that leave no exception. `refuted`: by a counterexample, which was computed again
 * with bounds on its rounding. `supported`: no counterexample was found, or there is a proof but for jumps in the size
 * of rounding. `unknown`: nothing could be said.
 */
export type Truth = 'proved' | 'refuted' | 'supported' | 'unknown'

/** What a verdict rests on: numbers, words, and lists of these. */
export type Evidence = Readonly<Record<string, unknown>>

export interface Verdict {
  readonly verdict: Truth
  /** How it was found. */
  readonly method: string
  /** Input -> the numbers for which it holds. */
  readonly domain: Readonly<Record<string, readonly [number, number]>>
  readonly evidence: Evidence
}

/** A verdict before it is known for which numbers it was asked. */
export type Finding = Omit<Verdict, 'domain'>

export const proved = (method: string, evidence: Evidence = {}): Finding => ({
  verdict: 'proved',
  method,
  evidence,
})
export const refuted = (method: string, evidence: Evidence = {}): Finding => ({
  verdict: 'refuted',
  method,
  evidence,
})
export const supported = (method: string, evidence: Evidence = {}): Finding => ({
  verdict: 'supported',
  method,
  evidence,
})
export const unknown = (method: string, evidence: Evidence = {}): Finding => ({
  verdict: 'unknown',
  method,
  evidence,
})

/**
 * A claim that must hold in every case: one counterexample refutes it, and it is proved only if every case is.
 *
 * @param isComplete whether the findings are about all cases
 * @param merge what the evidence of the cases amounts to; default: that of the first case
 */
export function forAll(
  findings: readonly Finding[],
  isComplete: boolean,
  merge: (evidence: readonly Evidence[]) => Evidence = ([first]) => first,
): Finding {
  const wrong = findings.find(({ verdict }) => verdict === 'refuted')
  if (wrong !== undefined) return wrong
  const open = findings.find(({ verdict }) => verdict === 'unknown')
  if (open !== undefined || findings.length === 0) return open ?? unknown('there is no case')
  const weaker = findings.find(({ verdict }) => verdict === 'supported')
  const evidence = merge(findings.map((finding) => finding.evidence))
  if (weaker !== undefined) return supported(weaker.method, evidence)
  const [{ method }] = findings
  return isComplete
    ? proved(method, evidence)
    : supported(`${method}, in ${findings.length} of all cases`, evidence)
}
