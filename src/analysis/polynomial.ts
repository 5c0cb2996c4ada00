/**
 * Polynomials with rational coefficients over numbered atoms: expressions that are no sums or products themselves.
 * An atom may be a root, whose power is an expression again: sqrt(x)^2 = x.
 */
import { negated, ONE, plus, type Rational, signOf, times, withinSizeLimit, ZERO } from './rational.ts'

/** Atom -> its power, at least 1; sorted by atom. */
export type Monomial = readonly (readonly [atom: number, power: number])[]

export interface Term {
  readonly factor: Rational
  readonly monomial: Monomial
}

/** Monomial -> its term. No factor is 0. */
export type Polynomial = ReadonlyMap<string, Term>

/** What took more terms than this is given up. */
const MAX_TERMS = 300

/** An expression became too large to go on with. */
export class TooManyTerms extends Error {
  override readonly name = 'TooManyTerms'
}

const keyOfMonomial = (monomial: Monomial): string =>
  monomial.map(([atom, power]) => `${atom}^${power}`).join('*')

export const NOTHING: Polynomial = new Map()

export function constantPolynomial(value: Rational): Polynomial {
  return fromTerms([{ factor: value, monomial: [] }])
}

export function atomPolynomial(atom: number, power = 1): Polynomial {
  return fromTerms([{ factor: ONE, monomial: power === 0 ? [] : [[atom, power]] }])
}

/** @throws TooManyTerms */
export function fromTerms(terms: readonly Term[]): Polynomial {
  const result = new Map<string, Term>()
  for (const { factor, monomial } of terms) {
    const key = keyOfMonomial(monomial)
    const sum = withinSizeLimit(plus(result.get(key)?.factor ?? ZERO, factor))
    if (sum === undefined) throw new TooManyTerms('a factor has too many digits')
    if (signOf(sum) === 0) result.delete(key)
    else result.set(key, { factor: sum, monomial })
  }
  if (result.size > MAX_TERMS) throw new TooManyTerms(`more than ${MAX_TERMS} terms`)
  return result
}

export function sumOf(a: Polynomial, b: Polynomial): Polynomial {
  if (a.size === 0) return b
  return b.size === 0 ? a : fromTerms([...a.values(), ...b.values()])
}

export function multipleOf(a: Polynomial, factor: Rational): Polynomial {
  return fromTerms([...a.values()].map((term) => ({ ...term, factor: times(term.factor, factor) })))
}

export function oppositeOf(a: Polynomial): Polynomial {
  return multipleOf(a, negated(ONE))
}

/** @throws TooManyTerms */
export function productOf(a: Polynomial, b: Polynomial): Polynomial {
  if (a.size * b.size > 40 * MAX_TERMS) throw new TooManyTerms('a product has too many terms')
  return fromTerms(
    [...a.values()].flatMap((left) =>
      [...b.values()].map((right) => ({
        factor: times(left.factor, right.factor),
        monomial: productOfMonomials(left.monomial, right.monomial),
      })),
    ),
  )
}

export function productOfMonomials(a: Monomial, b: Monomial): Monomial {
  const powers = new Map(a)
  for (const [atom, power] of b) powers.set(atom, (powers.get(atom) ?? 0) + power)
  return sortedMonomial(powers)
}

function sortedMonomial(powers: ReadonlyMap<number, number>): Monomial {
  return [...powers].filter(([, power]) => power !== 0).sort(([x], [y]) => x - y)
}

/** The number that a polynomial is; undefined if it has atoms. */
export function constantIn(a: Polynomial): Rational | undefined {
  if (a.size === 0) return ZERO
  const [term] = a.values()
  return a.size === 1 && term.monomial.length === 0 ? term.factor : undefined
}

/** The terms in an order that does not depend on how they were found. */
export function orderedTerms(a: Polynomial): readonly Term[] {
  return [...a].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, term]) => term)
}

/** What all terms have in common. */
export function commonMonomial(a: Polynomial): Monomial {
  const [first, ...others] = a.values()
  if (first === undefined) return []
  const powers = new Map(first.monomial)
  for (const { monomial } of others) {
    const own = new Map(monomial)
    for (const [atom, power] of powers) powers.set(atom, Math.min(power, own.get(atom) ?? 0))
  }
  return sortedMonomial(powers)
}

/** Without a monomial that all terms have. */
export function dividedBy(a: Polynomial, divisor: Monomial): Polynomial {
  if (divisor.length === 0) return a
  const less = divisor.map(([atom, power]) => [atom, -power] as const)
  return fromTerms(
    [...a.values()].map(({ factor, monomial }) => ({ factor, monomial: productOfMonomials(monomial, less) })),
  )
}
