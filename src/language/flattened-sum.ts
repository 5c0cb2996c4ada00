/** A sum as a list of terms with signs, and the reverse. */
import type { Builder, Ref } from './builder.ts'

export interface Term {
  readonly ref: Ref
  readonly negative: boolean
}

/** Pairs of up to this many terms are compared, because a sum of sums can have any number of them. */
const MAX_TERMS = 24

export function termOf(build: Builder, ref: Ref): Term {
  return build.opOf(ref) === 'neg' ? { ref: build.argOf(ref, 0), negative: true } : { ref, negative: false }
}

/** The terms that these terms are sums of; undefined if there are too many. */
export function flattenSum(build: Builder, terms: readonly Term[]): Term[] | undefined {
  const [open, parts] = [[...terms], [] as Term[]]
  for (let term = open.shift(); term !== undefined; term = open.shift()) {
    if (open.length + parts.length >= MAX_TERMS) return undefined
    const addends = addendsOf(build, term)
    if (addends === undefined) parts.push(term)
    else open.unshift(...addends)
  }
  return parts
}

function addendsOf(build: Builder, { ref, negative }: Term): Term[] | undefined {
  const [op, args] = [build.opOf(ref), build.nodes[ref].args]
  if (op === 'neg') return [{ ref: args[0], negative: !negative }]
  if (op !== 'add' && op !== 'sub') return undefined
  return [
    { ref: args[0], negative },
    { ref: args[1], negative: (op === 'sub') !== negative },
  ]
}

export function sumTerms(build: Builder, terms: readonly Term[]): Ref {
  const sum = (isNegative: boolean) =>
    terms
      .filter(({ negative }) => negative === isNegative)
      .map(({ ref }) => ref)
      .reduce<Ref | undefined>((so, ref) => (so === undefined ? ref : build.add(so, ref)), undefined)
  const [plus, minus] = [sum(false), sum(true)]
  if (minus === undefined) return plus ?? build.constant(0)
  return plus === undefined ? build.neg(minus) : build.sub(plus, minus)
}
