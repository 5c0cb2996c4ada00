/**
 * Softmax and its kin as composite ops: differentiated as a whole, then decomposed into primitive ones. Where one class
 * is sure, p rounds to 1 in float32 and 1 - p to 0; the sum over the *other* classes keeps all digits of both -ln p and
 * 1 - p. Composite ops are how that sum gets from the value into its derivatives.
 */
import type { Builder, Ref } from './builder.ts'
import type { CompositeOp, FormulaOp } from './ir.ts'

interface Composite {
  /** The op, said by primitive ones. */
  readonly decompose: (build: Builder, x: Ref, axis: string) => Ref
  /**
   * d y_j = own_j dx_j + mean_j sum_k(p_k dx_k), with p the softmax of x; undefined for 0. Of `logsumexp`, which has no
   * j, it is the mean alone.
   */
  readonly slopes: (build: Builder, x: Ref, axis: string) => { own?: Ref; mean: Ref }
}

const COMPOSITES: { readonly [O in CompositeOp]: Composite } = {
  logsumexp: {
    decompose: (build, x, axis) => {
      const { largest, others } = partsOf(build, x, axis)
      return build.add(build.make('log1p', [others]), largest)
    },
    slopes: (build) => ({ mean: build.constant(1) }),
  },
  log_softmax: {
    decompose: (build, x, axis) => {
      const { rest, others } = partsOf(build, x, axis)
      return build.sub(rest, build.make('log1p', [others]))
    },
    slopes: (build) => ({ own: build.constant(1), mean: build.constant(-1) }),
  },
  softmax: {
    decompose: (build, x, axis) => {
      const { e, sum } = partsOf(build, x, axis)
      return build.div(e, sum)
    },
    slopes: (build, x, axis) => {
      const p = build.make('softmax', [x], { axis })
      return { own: p, mean: build.neg(p) }
    },
  },
  softmax_rest: {
    decompose: (build, x, axis) => {
      const { e, sum, isLargest, others } = partsOf(build, x, axis)
      return build.select(isLargest, build.div(others, sum), build.sub(build.constant(1), build.div(e, sum)))
    },
    slopes: (build, x, axis) => {
      const p = build.make('softmax', [x], { axis })
      return { own: build.neg(p), mean: p }
    },
  },
}

/** Whether the op is one of these. */
export function isComposite(op: FormulaOp): op is CompositeOp {
  return Object.hasOwn(COMPOSITES, op)
}

/** The derivative of a composite node's element by its arguments; see {@link Composite.slopes}. */
export function slopesOf(build: Builder, node: Ref): { readonly own?: Ref; readonly mean: Ref } {
  const { op, args, axis } = build.nodes[node]
  return COMPOSITES[op as CompositeOp].slopes(build, args[0], axis!)
}

/**
 * Says a composite op by primitive ones.
 *
 * @example
 * const b = new Builder(['classes']), x = b.input('x', 'real', ['classes'])
 * decompose(b, 'softmax', x, 'classes') // e^(x - max x) / sum
 */
export function decompose(build: Builder, op: CompositeOp, x: Ref, axis: string): Ref {
  return COMPOSITES[op].decompose(build, x, axis)
}

/**
 * Softmax and its kin do not change when a constant is taken from every x. Taking the largest keeps e^x <= 1; an infinite
 * largest stays in place, so that inf - inf never appears. `others` is the sum without the largest, which is 1: left out
 * of the sum where it would swallow the rest, subtracted where what is left is large enough to keep its digits (or where
 * several are the largest, or none, all being -inf).
 */
function partsOf(build: Builder, x: Ref, axis: string) {
  const [zero, one] = [build.constant(0), build.constant(1)]
  const found = build.max(x, axis)
  const largest = build.select(build.make('is_finite', [found]), found, zero)
  const rest = build.sub(x, largest)
  const e = build.exp(rest)
  const isLargest = build.eq(rest, zero)
  const sum = build.sum(e, axis)
  const isSure = build.make('and', [build.make('le', [one, sum]), build.lt(sum, build.constant(1.5))])
  const others = build.select(isSure, build.sum(build.select(isLargest, zero, e), axis), build.sub(sum, one))
  return { largest, rest, e, isLargest, sum, others }
}
