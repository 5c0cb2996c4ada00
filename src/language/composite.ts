/**
 * Composite ops: softmax and related functions are differentiated as a whole and decomposed into primitive ops
 * afterwards. Where one class is certain, p rounds to 1 in float32 and 1 - p to 0, but the sum over the *other*
 * classes keeps all digits of both -ln p and 1 - p. Composite ops carry this sum from the value into its
 * derivatives.
 */
import type { Builder, Ref } from './builder.ts'
import type { CompositeOp } from './ir.ts'

interface Composite {
  /** The op in terms of primitive ops. */
  readonly decompose: (build: Builder, x: Ref, axis: string) => Ref
  readonly slopes: (build: Builder, x: Ref, axis: string) => Slopes
}

/**
 * d y_j = own_j dx_j + all_j sum_k(share_k dx_k), where undefined is 0 (own) or 1 (share). For `logsumexp`, which
 * has no j, it is only the second part.
 */
interface Slopes {
  readonly own?: Ref
  readonly all: Ref
  readonly share?: Ref
}

const softmaxOf = (build: Builder, x: Ref, axis: string) => build.make('softmax', [x], { axis })

const COMPOSITES: { readonly [O in CompositeOp]: Composite } = {
  logsumexp: {
    decompose: (build, x, axis) => {
      const { largest, log } = partsOf(build, x, axis)
      return build.add(log, largest)
    },
    slopes: (build, x, axis) => ({ all: build.constant(1), share: softmaxOf(build, x, axis) }),
  },
  log_softmax: {
    decompose: (build, x, axis) => {
      const { rest, log } = partsOf(build, x, axis)
      return build.sub(rest, log)
    },
    slopes: (build, x, axis) => {
      return { own: build.constant(1), all: build.constant(-1), share: softmaxOf(build, x, axis) }
    },
  },
  softmax: {
    decompose: (build, x, axis) => {
      const { e, share } = partsOf(build, x, axis)
      return build.mul(e, share)
    },
    slopes: (build, x, axis) => {
      const p = softmaxOf(build, x, axis)
      return { own: p, all: build.neg(p), share: p }
    },
  },
  softmax_rest: {
    decompose: (build, x, axis) => {
      const { e, share, isLargest, others } = partsOf(build, x, axis)
      const rest = build.sub(build.constant(1), build.mul(e, share))
      return build.select(isLargest, build.mul(others, share), rest)
    },
    slopes: (build, x, axis) => {
      const p = softmaxOf(build, x, axis)
      return { own: build.neg(p), all: p, share: p }
    },
  },
  sum_others: {
    decompose: sumOfOthers,
    slopes: (build) => ({ own: build.constant(-1), all: build.constant(1) }),
  },
}

/** The derivative of a composite node with respect to its argument. */
export function slopesOf(build: Builder, node: Ref): Slopes {
  const { op, args, axis } = build.nodes[node]
  return COMPOSITES[op as CompositeOp].slopes(build, args[0], axis!)
}

/**
 * Decomposes a composite op into primitive ops.
 *
 * @example
 * const b = new Builder(['classes']), x = b.input('x', 'real', ['classes'])
 * decompose(b, 'softmax', x, 'classes') // e^(x - max x) / sum
 */
export function decompose(build: Builder, op: CompositeOp, x: Ref, axis: string): Ref {
  return COMPOSITES[op].decompose(build, x, axis)
}

/**
 * Softmax and related functions do not change when a constant is subtracted from every x. Subtracting the largest
 * keeps e^x <= 1; if all are -inf, nothing is subtracted. `others` is the sum without the largest term, which is 1:
 * the term is left out of the sum where it would swallow the rest, and subtracted from it where the rest is large
 * enough to keep its digits (or where several are the largest, or none, because all are -inf).
 */
function partsOf(build: Builder, x: Ref, axis: string) {
  const [zero, one] = [build.constant(0), build.constant(1)]
  // A NaN reaches all results through the sum.
  const found = build.max(x, axis, 'skips NaN')
  const isEmpty = build.eq(found, build.constant(Number.NEGATIVE_INFINITY))
  const largest = build.select(isEmpty, zero, found)
  const rest = build.sub(x, largest)
  const e = build.make('exp', [rest], { hint: 'up to 0' })
  const isLargest = build.eq(x, found)
  const sum = build.sum(e, axis)
  const isSure = build.make('and', [build.make('le', [one, sum]), build.lt(sum, build.constant(1.5))])
  const withoutLargest = build.sum(build.select(isLargest, zero, e), axis)
  const less = build.sub(sum, one)
  const others = build.select(isSure, withoutLargest, less)
  // ln(1 + others), by the logarithm of the sum and what rounding took from that (Goldberg 1991, theorem 4).
  const share = build.div(one, sum)
  const lost = build.select(isSure, build.mul(build.sub(withoutLargest, less), share), zero)
  const log = build.add(build.make('log', [sum]), lost)
  return { largest, rest, e, isLargest, share, others, log }
}

/**
 * g times the softmax of x. If g is the same for the whole axis, it is first multiplied by the reciprocal of the
 * sum, which saves one product per element.
 */
export function timesSoftmax(build: Builder, op: 'mul' | 'mul_no_nan', g: Ref, x: Ref, axis: string): Ref {
  const { e, share } = partsOf(build, x, axis)
  return build.make(op, [build.make(op, [g, share]), e])
}

/**
 * The total minus the element itself. For the element that is by far the largest, the sum of the others is computed
 * without it.
 */
function sumOfOthers(build: Builder, x: Ref, axis: string): Ref {
  const [zero, one] = [build.constant(0), build.constant(1)]
  const size = build.make('abs', [x])
  const isLargest = build.eq(size, build.max(size, axis))
  const isAlone = build.eq(build.sum(build.select(isLargest, one, zero), axis), one)
  const rest = build.sum(build.select(isLargest, zero, x), axis)
  const difference = build.sub(build.sum(x, axis), x)
  return build.select(build.make('and', [isLargest, isAlone]), rest, difference)
}
