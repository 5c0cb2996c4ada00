/**
 * Where the gradient of a function of many variables may be, as the convex hull of a few boxes, and between which
 * numbers the eigenvalues of its second derivative lie. The slopes of logsumexp and max are a mean of those of their
 * arguments, with weights that add up to 1: what the bounds of each partial derivative alone do not know.
 */

import {
  add,
  hull,
  type Interval,
  interval,
  isPoint,
  magnitude,
  mul,
  ONE,
  square,
  sub,
  ZERO,
} from './interval.ts'
import type { Jets } from './jets.ts'
import type { Tape, TapeNode } from './tape.ts'

/** A box of gradients: bounds for each variable. */
type Corner = readonly Interval[]
/** The convex hull of some boxes. */
type Hull = readonly Corner[]

/** A hull with more corners than this is replaced by the box around it. */
const MAX_CORNERS = 160

export interface GradientBounds {
  /** The largest Euclidean length of a gradient. */
  readonly length: number
  /** The largest absolute eigenvalue of the second derivative, where there is one. */
  readonly curvature: number
}

/**
 * Bounds over the box that `jets` was run on; infinite where nothing is known.
 *
 * @param jets of the same tape and variables
 * @example
 * gradientBounds(crossEntropy, ['predictions.0', ...], jets) // { length: 1.4142..., curvature: 0.5 }
 */
export function gradientBounds(tape: Tape, by: readonly string[], jets: Jets): GradientBounds {
  const run = new HullRun(by, jets)
  for (const [id, node] of tape.nodes.entries()) run.next(node, id)
  return run.bounds(tape.roots[0])
}

class HullRun {
  readonly #by: readonly string[]
  readonly #jets: Jets
  /** Undefined for what does not depend on the variables. */
  readonly #hulls: (Hull | undefined)[] = []
  /** Between which numbers the eigenvalues of the second derivative are. */
  readonly #spectra: Interval[] = []

  constructor(by: readonly string[], jets: Jets) {
    this.#by = by
    this.#jets = jets
  }

  bounds(root: number): GradientBounds {
    const length = Math.sqrt(this.#largestSquare(root)) * (1 + 2 ** -50)
    return { length, curvature: magnitude(this.#spectra[root]) }
  }

  next(node: TapeNode, id: number) {
    const [hullOfNode, spectrum] = this.#jets.varies(id) ? this.#ofNode(node, id) : [undefined, ZERO]
    this.#hulls.push(hullOfNode)
    this.#spectra.push(spectrum)
  }

  #ofNode(node: TapeNode, id: number): readonly [Hull | undefined, Interval] {
    const { op, args } = node
    switch (op) {
      case 'variable':
        return [[this.#by.map((name) => (name === node.name ? ONE : ZERO))], ZERO]
      case 'linear':
        return this.#sum(args, node.factorBounds)
      case 'logsumexp':
        return [this.#union(args), add(this.#mixed(args), interval(0, this.#variance(args)))]
      case 'select':
        return this.#selected(args)
      default:
        if (node.unary !== undefined) return this.#unary(node, id)
        if (node.binary !== undefined) return this.#binary(node, id)
        return [this.#anything(), ANYTHING]
    }
  }

  #sum(args: readonly number[], factors: readonly Interval[]): readonly [Hull | undefined, Interval] {
    let [sum, spectrum]: [Hull | undefined, Interval] = [undefined, ZERO]
    for (const [place, arg] of args.entries()) {
      sum = this.#plus(sum, this.#scaled(arg, factors[place]))
      spectrum = add(spectrum, mul(factors[place], this.#spectra[arg]))
    }
    return [sum, spectrum]
  }

  #selected([test, yes, no]: readonly number[]): readonly [Hull | undefined, Interval] {
    const { lo, hi } = this.#jets.value(test)
    const taken = lo > 0 ? [yes] : hi === 0 ? [no] : [yes, no]
    return [this.#union(taken), this.#mixed(taken)]
  }

  #unary(node: TapeNode, id: number): readonly [Hull | undefined, Interval] {
    const [arg] = node.args
    const [x, y] = [this.#jets.value(arg), this.#jets.value(id)]
    const slope = node.unary!.slope(x, y)
    const curved = mul(node.unary!.bend(x, y, slope), interval(0, this.#largestSquare(arg)))
    return [this.#scaled(arg, slope), add(curved, mul(slope, this.#spectra[arg]))]
  }

  /** The eigenvalues of g h' + h g' are the scalar product, plus and minus the product of the lengths. */
  #binary({ op, args: [left, right], binary }: TapeNode, id: number): readonly [Hull | undefined, Interval] {
    const [a, b] = [this.#jets.value(left), this.#jets.value(right)]
    const y = this.#jets.value(id)
    const [da, db] = binary!.slopes(a, b, y)
    if ((op === 'max' || op === 'min') && !isPoint(da)) return [this.#union([left, right]), ANYTHING]
    const [aa, ab, bb] = binary!.bends(a, b, y)
    const [first, second] = [this.#largestSquare(left), this.#largestSquare(right)]
    const across = 2 * Math.sqrt(first) * Math.sqrt(second) * (1 + 2 ** -50)
    const spectrum = [
      mul(da, this.#spectra[left]),
      mul(db, this.#spectra[right]),
      mul(aa, interval(0, first)),
      mul(bb, interval(0, second)),
      mul(ab, interval(-across, across)),
    ].reduce(add)
    return [this.#plus(this.#scaled(left, da), this.#scaled(right, db)), spectrum]
  }

  #anything(): Hull {
    return [this.#by.map(() => ANYTHING)]
  }

  /** All multiples of a gradient lie between those with the least and with the largest factor. */
  #scaled(arg: number, factor: Interval): Hull | undefined {
    const own = this.#hulls[arg]
    if (own === undefined || (factor.lo === 0 && factor.hi === 0)) return undefined
    if (factor.lo === 1 && factor.hi === 1) return own
    const ends = isPoint(factor) ? [factor.lo] : [factor.lo, factor.hi]
    return this.#reduced(ends.flatMap((end) => own.map((corner) => multiple(corner, interval(end, end)))))
  }

  #plus(a: Hull | undefined, b: Hull | undefined): Hull | undefined {
    if (a === undefined || b === undefined) return a ?? b
    const [left, right] = a.length * b.length > MAX_CORNERS ? [[boxOf(a)], [boxOf(b)]] : [a, b]
    return this.#reduced(left.flatMap((one) => right.map((other) => one.map((x, i) => add(x, other[i])))))
  }

  #union(args: readonly number[]): Hull | undefined {
    const none = [this.#by.map(() => ZERO)]
    const all = args.map((arg) => this.#hulls[arg])
    return all.every((own) => own === undefined)
      ? undefined
      : this.#reduced(all.flatMap((own) => own ?? none))
  }

  #reduced(corners: Hull): Hull {
    const distinct = new Map(
      corners.map((corner) => [corner.map(({ lo, hi }) => `${lo} ${hi}`).join(), corner]),
    )
    return distinct.size > MAX_CORNERS ? [boxOf(corners)] : [...distinct.values()]
  }

  /** Of a mean of second derivatives. */
  #mixed(args: readonly number[]): Interval {
    return args.map((arg) => this.#spectra[arg]).reduce(hull)
  }

  /** The variance of numbers that are at most d apart is at most d^2 / 4 (Popoviciu 1935). */
  #variance(args: readonly number[]): number {
    const none = [this.#by.map(() => ZERO)]
    let largest = 0
    for (const [place, first] of args.entries())
      for (const second of args.slice(place + 1))
        largest = Math.max(largest, distance(this.#hulls[first] ?? none, this.#hulls[second] ?? none))
    return largest / 4
  }

  #largestSquare(id: number): number {
    return Math.max(0, ...(this.#hulls[id] ?? []).map(squareOf))
  }
}

const ANYTHING = interval(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)

const multiple = (corner: Corner, factor: Interval): Corner => corner.map((x) => mul(factor, x))
const squareOf = (corner: Corner): number => corner.map(square).reduce(add).hi

/** The square of the largest distance between two gradients, bounded from above. */
function distance(a: Hull, b: Hull): number {
  const [left, right] = a.length * b.length > MAX_CORNERS ? [[boxOf(a)], [boxOf(b)]] : [a, b]
  return Math.max(
    ...left.flatMap((one) => right.map((other) => squareOf(one.map((x, i) => sub(x, other[i]))))),
  )
}

/** The box around a hull. */
function boxOf(corners: Hull): Corner {
  return corners.reduce((box, corner) => box.map((x, i) => hull(x, corner[i])))
}
