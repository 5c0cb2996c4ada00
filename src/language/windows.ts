/**
 * Windows along an axis, as sums of shifts: so that kernels, gradients and second derivatives know nothing of them. A window lies
 * around its place; of an even number of places the one more lies behind it, as with the padding "same" of PyTorch.
 */
import type { Builder, Ref } from './builder.ts'

/** A longer window would be a formula of thousands of operations. */
export const MAX_WINDOW = 64

/** How many places of a window lie before its own. */
const before = (length: number) => (length - 1) >> 1

/**
 * The sum of weight k times the element k places behind the beginning of the window, zeros outside of the axis.
 *
 * @example
 * convolved(build, x, [quarter, half, quarter], 'time') // x[t - 1] / 4 + x[t] / 2 + x[t + 1] / 4
 */
export function convolved(build: Builder, x: Ref, weights: readonly Ref[], axis: string): Ref {
  const at = (k: number) => build.shift(x, before(weights.length) - k, axis)
  const terms = weights.flatMap((weight, k) => {
    const mirrored = weights.length - 1 - k
    if (build.is(weight, 0)) return []
    if (k === mirrored || weights[mirrored] !== weight) return [build.mul(weight, at(k))]
    return k < mirrored ? [build.mul(weight, build.add(at(k), at(mirrored)))] : []
  })
  return sumInPairs(build, terms)
}

export function windowSum(build: Builder, x: Ref, length: Ref, axis: string): Ref {
  const one = build.constant(1)
  return convolved(build, x, new Array(build.constantOf(length)!).fill(one), axis)
}

/** Of those places of the window that are within the axis. */
export function windowMean(build: Builder, x: Ref, length: Ref, axis: string): Ref {
  return build.div(windowSum(build, x, length, axis), placesWithin(build, build.constantOf(length)!, axis))
}

function placesWithin(build: Builder, length: number, axis: string): Ref {
  const [index, one] = [build.index(axis), build.constant(1)]
  const last = build.sub(build.size(axis), one)
  const behind = build.add(index, build.constant(length - 1 - before(length)))
  const end = build.make('min', [behind, last])
  const start = build.make('max', [build.sub(index, build.constant(before(length))), build.constant(0)])
  return build.add(build.sub(end, start), one)
}

/** As a tree, whose rounding errors grow with the logarithm of the number of terms. */
function sumInPairs(build: Builder, terms: readonly Ref[]): Ref {
  if (terms.length <= 1) return terms[0] ?? build.constant(0)
  const middle = terms.length >> 1
  return build.add(sumInPairs(build, terms.slice(0, middle)), sumInPairs(build, terms.slice(middle)))
}
