/**
 * Sums of what a node receives from its uses, said without the parts that cancel. Huber's q^2/2 + delta (|e| - q) with
 * q = min(|e|, delta) sends delta to |e| itself, and q - delta through q where |e| is the smaller one: in float32 the sum
 * of both has no digit of a small q left. Likewise y softplus(-x) + (1 - y) softplus(x) sends y the difference of two
 * softplus, which is -x.
 */
import type { Builder, Ref } from './builder.ts'
import { stable } from './stable.ts'

interface Term {
  readonly ref: Ref
  readonly negative: boolean
}

/** Pairs of so many terms are compared, and no more: a sum of sums can have any number of them. */
const MAX_TERMS = 24

/**
 * @example
 * sumOf(build, [delta, build.select(isSmall, build.sub(q, delta), zero)]) // isSmall ? q : delta
 */
export function sumOf(build: Builder, shares: readonly Ref[]): Ref {
  const plain = shares.map((ref) => termOf(build, ref))
  const terms = partsOf(build, plain)
  const settled = terms === undefined ? plain : withoutPairs(build, terms)
  return total(build, settled.length < (terms ?? plain).length ? settled : plain)
}

function termOf(build: Builder, ref: Ref): Term {
  return build.opOf(ref) === 'neg' ? { ref: build.argOf(ref, 0), negative: true } : { ref, negative: false }
}

/** What the terms are sums of; undefined where those are too many. */
function partsOf(build: Builder, terms: readonly Term[]): Term[] | undefined {
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

function total(build: Builder, terms: readonly Term[]): Ref {
  const sum = (isNegative: boolean) =>
    terms
      .filter(({ negative }) => negative === isNegative)
      .map(({ ref }) => ref)
      .reduce<Ref | undefined>((so, ref) => (so === undefined ? ref : build.add(so, ref)), undefined)
  const [plus, minus] = [sum(false), sum(true)]
  if (minus === undefined) return plus ?? build.constant(0)
  return plus === undefined ? build.neg(minus) : build.sub(plus, minus)
}

function withoutPairs(build: Builder, terms: readonly Term[]): Term[] {
  const [open, settled] = [[...terms], [] as Term[]]
  for (let a = open.shift(); a !== undefined; a = open.shift()) {
    const found = partnerOf(build, a, open)
    if (found === undefined) settled.push(a)
    else open.splice(found.place, 1, ...found.terms)
  }
  return settled
}

/** The first term that can be said together with `a` in fewer parts. */
function partnerOf(build: Builder, a: Term, others: readonly Term[]) {
  for (const [place, b] of others.entries()) {
    const terms =
      opposite(a, b) ?? factored(build, a, b) ?? withinChoice(build, a, b) ?? withinChoice(build, b, a)
    if (terms !== undefined) return { place, terms }
  }
  return undefined
}

/** a - a = 0 */
function opposite(a: Term, b: Term): Term[] | undefined {
  return a.ref === b.ref && a.negative !== b.negative ? [] : undefined
}

/** g a - g b = g (a - b), where the difference has a stable form. */
function factored(build: Builder, a: Term, b: Term): Term[] | undefined {
  const op = build.opOf(a.ref)
  if (a.negative === b.negative || (op !== 'mul' && op !== 'gate') || build.opOf(b.ref) !== op)
    return undefined
  const [[g, x], [h, y]] = [build.nodes[a.ref].args, build.nodes[b.ref].args]
  const difference = g === h ? stable(build, 'sub', [x, y]) : undefined
  return difference === undefined
    ? undefined
    : [{ ref: build.make(op, [g, difference]), negative: a.negative }]
}

/** a + (c ? u : v) = c ? u + a : v + a, where a cancels on one side. */
function withinChoice(build: Builder, a: Term, choice: Term): Term[] | undefined {
  if (build.opOf(choice.ref) !== 'select') return undefined
  const [test, yes, no] = build.nodes[choice.ref].args
  const added = { ref: a.ref, negative: a.negative !== choice.negative }
  const sides = [yes, no].map((ref) => partsOf(build, [{ ref, negative: false }]) ?? [])
  if (
    sides.some((parts) => parts.length === 0) ||
    !sides.some((parts) => parts.some((part) => opposite(part, added)))
  )
    return undefined
  const [ifYes, ifNo] = sides.map((parts) => total(build, withoutPairs(build, [added, ...parts])))
  return [{ ref: build.select(test, ifYes, ifNo), negative: choice.negative }]
}
