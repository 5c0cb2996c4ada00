/**
 * Cancellation-free gradient accumulation: adds up the contributions that a node gets from its uses, without the
 * parts that cancel. For Huber's q^2/2 + delta (|e| - q) with q = min(|e|, delta), the gradient of |e| is delta
 * directly plus q - delta through q where |e| is the smaller one: in float32 no digit of a small q is left in this
 * sum. Likewise, in y softplus(-x) + (1 - y) softplus(x), the gradient of y is the difference of two softplus,
 * which is -x.
 */
import type { Builder, Ref } from './builder.ts'
import { flattenSum, sumTerms, type Term, termOf } from './flattened-sum.ts'
import { stable } from './stable.ts'

/**
 * @example
 * accumulateGradients(build, [delta, build.select(isSmall, build.sub(q, delta), zero)]) // isSmall ? q : delta
 */
export function accumulateGradients(build: Builder, shares: readonly Ref[]): Ref {
  const plain = shares.map((ref) => termOf(build, ref))
  const terms = flattenSum(build, plain)
  const settled = terms === undefined ? plain : withoutPairs(build, terms)
  return sumTerms(build, settled.length < (terms ?? plain).length ? settled : plain)
}

function withoutPairs(build: Builder, terms: readonly Term[]): Term[] {
  const [open, settled] = [terms.map((term) => signed(build, term)), [] as Term[]]
  for (let a = open.shift(); a !== undefined; a = open.shift()) {
    const found = partnerOf(build, a, open)
    if (found === undefined) settled.push(a)
    else open.splice(found.place, 1, ...found.terms)
  }
  return settled
}

/** (-g) x is -(g x): so that it is seen what g y and it share. */
function signed(build: Builder, { ref, negative }: Term): Term {
  const { op, factors } = productOf(build, ref)
  if (op === undefined || build.opOf(factors[0]) !== 'neg') return { ref, negative }
  return { ref: build.make(op, [build.argOf(factors[0], 0), factors[1]]), negative: !negative }
}

/** The first term that can be said together with `a` in fewer parts. */
function partnerOf(build: Builder, a: Term, others: readonly Term[]) {
  for (const [place, b] of others.entries()) {
    const terms =
      opposite(a, b) ??
      factored(build, a, b) ??
      withinChoice(build, a, b) ??
      withinChoice(build, b, a) ??
      withinSum(build, a, b)
    if (terms !== undefined) return { place, terms }
  }
  return undefined
}

/** a - a = 0 */
function opposite(a: Term, b: Term): Term[] | undefined {
  return a.ref === b.ref && a.negative !== b.negative ? [] : undefined
}

/** g a - g b = g (a - b), if the difference has a stable form. */
function factored(build: Builder, a: Term, b: Term): Term[] | undefined {
  if (a.negative === b.negative) return undefined
  const shared = sharedFactor(build, productOf(build, a.ref), productOf(build, b.ref))
  const difference = shared === undefined ? undefined : stable(build, 'sub', [shared.x, shared.y])
  return shared === undefined || difference === undefined
    ? undefined
    : [{ ref: build.make(shared.op, [shared.g, difference]), negative: a.negative }]
}

interface Product {
  readonly ref: Ref
  /** Undefined for what is no product. */
  readonly op: 'mul' | 'mul_no_nan' | undefined
  readonly factors: readonly Ref[]
}

function productOf(build: Builder, ref: Ref): Product {
  const op = build.opOf(ref)
  const isProduct = op === 'mul' || op === 'mul_no_nan'
  return { ref, op: isProduct ? op : undefined, factors: isProduct ? build.nodes[ref].args : [] }
}

/**
 * The upstream gradient is the first factor of a product. One of the two may be the upstream gradient itself, times
 * 1.
 */
function sharedFactor(build: Builder, a: Product, b: Product) {
  const one = build.constant(1)
  if (a.op !== undefined && a.op === b.op && a.factors[0] === b.factors[0])
    return { op: a.op, g: a.factors[0], x: a.factors[1], y: b.factors[1] }
  if (a.op !== undefined && b.ref === a.factors[0]) return { op: a.op, g: b.ref, x: a.factors[1], y: one }
  if (b.op !== undefined && a.ref === b.factors[0]) return { op: b.op, g: a.ref, x: one, y: b.factors[1] }
  return undefined
}

/** a + (c ? u : v) = c ? u + a : v + a, if a cancels on one side. */
function withinChoice(build: Builder, a: Term, choice: Term): Term[] | undefined {
  if (build.opOf(choice.ref) !== 'select') return undefined
  const [test, yes, no] = build.nodes[choice.ref].args
  const added = { ref: a.ref, negative: a.negative !== choice.negative }
  const sides = [yes, no].map((ref) => flattenSum(build, [{ ref, negative: false }]) ?? [])
  if (
    sides.some((parts) => parts.length === 0) ||
    !sides.some((parts) => parts.some((part) => opposite(part, added)))
  )
    return undefined
  const [ifYes, ifNo] = sides.map((parts) => sumTerms(build, withoutPairs(build, [added, ...parts])))
  return [{ ref: build.select(test, ifYes, ifNo), negative: choice.negative }]
}

/** sum a - sum b = sum (a - b) over one axis, if parts of these cancel. */
function withinSum(build: Builder, a: Term, b: Term): Term[] | undefined {
  const [one, other] = [build.nodes[a.ref], build.nodes[b.ref]]
  if (one.op !== 'reduce_sum' || other.op !== 'reduce_sum' || one.axis !== other.axis) return undefined
  const inner = [a, b].map(({ ref, negative }) => ({ ref: build.argOf(ref, 0), negative }))
  const found = partnerOf(build, inner[0], [inner[1]])
  if (found === undefined) return undefined
  return found.terms.map(({ ref, negative }) => ({ ref: build.sum(ref, one.axis!), negative }))
}
