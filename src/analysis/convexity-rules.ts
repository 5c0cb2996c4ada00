/**
 * Curvature by rules (disciplined convex programming: Grant, Boyd, Ye 2006). A node is convex if the rules for its op
 * say so, given the curvature and the sign of its arguments. Where they do not, a node through which all the
 * variables pass may help: if g(t) is convex and never falls, g of something convex is convex, and g is a function
 * of one variable that shape.ts can examine.
 */
import type { Clock } from './clock.ts'
import { type Interval, isBounded, isPoint } from './interval.ts'
import { piecesOf } from './pieces.ts'
import { compare, minus, type Rational, reciprocal, signOf, times } from './rational.ts'
import type { Scalar, ScalarNode, Scalars } from './scalars.ts'
import { convexity, isMonotone, type Shape } from './shape.ts'
import { type Box, enclose, type Tape, type TapeNode, tapeOf } from './tape.ts'

/** What a node is known to be, as a function of the variables of interest. Constant and affine are both. */
export interface Curvature {
  readonly isConstant: boolean
  readonly isConvex: boolean
  readonly isConcave: boolean
}

const CONSTANT: Curvature = { isConstant: true, isConvex: true, isConcave: true }
const AFFINE: Curvature = { isConstant: false, isConvex: true, isConcave: true }
const UNKNOWN: Curvature = { isConstant: false, isConvex: false, isConcave: false }

const known = (isConvex: boolean, isConcave: boolean): Curvature => ({
  isConstant: false,
  isConvex,
  isConcave,
})
const mirrored = ({ isConstant, isConvex, isConcave }: Curvature): Curvature => ({
  isConstant,
  isConvex: isConcave,
  isConcave: isConvex,
})
const isAffine = ({ isConvex, isConcave }: Curvature) => isConvex && isConcave

/** A function of some variables over a box. */
export interface BoxFunction {
  readonly scalars: Scalars
  readonly root: Scalar
  /** The variables of interest. */
  readonly by: readonly string[]
  /** Of all variables. */
  readonly box: Box
}

/**
 * The curvature of a function by rules, and by its own shape where it is one of a single node.
 *
 * @returns also what shape.ts found out about the whole function, if it depends on one variable
 */
export function curvatureOf(
  field: BoxFunction,
  clock: Clock,
): { readonly curvature: Curvature; readonly shape?: Shape } {
  const rules = new Rules(field, clock)
  const curvature = rules.root()
  return rules.shape === undefined ? { curvature } : { curvature, shape: rules.shape }
}

class Rules {
  readonly #field: BoxFunction
  readonly #clock: Clock
  readonly #tape: Tape
  /** Node of the tape -> node of the graph. */
  readonly #ids: readonly Scalar[]
  readonly #ranges: readonly Interval[]
  readonly #found: Curvature[] = []
  shape: Shape | undefined

  constructor(field: BoxFunction, clock: Clock) {
    this.#field = field
    this.#clock = clock
    this.#tape = tapeOf(field.scalars, [field.root])
    this.#ids = field.scalars.reachable(field.root)
    this.#ranges = enclose(this.#tape, field.box)
  }

  root(): Curvature {
    this.#tape.nodes.forEach((node, id) => {
      this.#found.push(this.#curvature(node, id))
    })
    return this.#found[this.#tape.roots[0]]
  }

  #curvature(node: TapeNode, id: number): Curvature {
    if (node.op === 'variable') return this.#field.by.includes(node.name!) ? AFFINE : CONSTANT
    if (node.args.every((arg) => this.#found[arg].isConstant)) return CONSTANT
    const ruled = this.#byRule(node)
    if (ruled.isConvex || ruled.isConcave) return ruled
    return this.#byShape(id)
  }

  #byRule(node: TapeNode): Curvature {
    const args = node.args.map((arg) => this.#found[arg])
    const ranges = node.args.map((arg) => this.#ranges[arg])
    switch (node.op) {
      case 'linear':
        return args.reduce(
          (sum, arg, place) => combined(sum, signOf(node.factors![place]) < 0 ? mirrored(arg) : arg),
          AFFINE,
        )
      case 'add':
        return combined(args[0], args[1])
      case 'sub':
        return combined(args[0], mirrored(args[1]))
      case 'mul':
      case 'mul_no_nan':
        return args[0].isConstant
          ? scaled(args[1], ranges[0])
          : args[1].isConstant
            ? scaled(args[0], ranges[1])
            : UNKNOWN
      case 'div':
        return this.#quotient(node, args, ranges)
      case 'max':
        return known(
          args.every(({ isConvex }) => isConvex),
          false,
        )
      case 'min':
        return known(
          false,
          args.every(({ isConcave }) => isConcave),
        )
      case 'logsumexp':
        return known(
          args.every(({ isConvex }) => isConvex),
          false,
        )
      case 'select':
        return args[0].isConstant ? combined(args[1], args[2]) : UNKNOWN
      case 'pow':
        return this.#power(node, args, ranges)
      case 'sqrt':
      case 'safe_sqrt':
        return this.#isNorm(node.args[0])
          ? known(true, false)
          : composed(known(false, true), args[0], ranges[0].lo >= 0 ? 1 : 0)
      case 'abs':
        return composed(known(true, false), args[0], ranges[0].lo >= 0 ? 1 : ranges[0].hi <= 0 ? -1 : 0)
      default:
        return node.unary === undefined || node.unary.joint !== undefined
          ? UNKNOWN
          : this.#unary(node, args[0], ranges[0])
    }
  }

  #unary(node: TapeNode, arg: Curvature, range: Interval): Curvature {
    const value = node.unary!.enclose(range)
    // At the end of its domain a logarithm is infinite, which does not make it less concave.
    if (value.partial && !(range.lo === 0 && !range.partial && node.op.startsWith('log'))) return UNKNOWN
    const slope = node.unary!.slope(range, value)
    return composed(signs(node.unary!.bend(range, value, slope)), arg, direction(slope))
  }

  #power(node: TapeNode, args: readonly Curvature[], [base, exponent]: readonly Interval[]): Curvature {
    const value = node.binary!.enclose(base, exponent)
    if (value.partial) return UNKNOWN
    const place = args[1].isConstant ? 0 : args[0].isConstant ? 1 : undefined
    if (place === undefined) return UNKNOWN
    const [slopes, bends] = [
      node.binary!.slopes(base, exponent, value),
      node.binary!.bends(base, exponent, value),
    ]
    return composed(signs(bends[place === 0 ? 0 : 2]), args[place], direction(slopes[place]))
  }

  /** c / b with a positive b; the square of something affine over something affine and positive. */
  #quotient(
    { args: places }: TapeNode,
    [a, b]: readonly Curvature[],
    [top, bottom]: readonly Interval[],
  ): Curvature {
    if (b.isConstant) return bottom.lo > 0 ? a : bottom.hi < 0 ? mirrored(a) : UNKNOWN
    if (bottom.lo < 0 || bottom.partial) return UNKNOWN
    if (a.isConstant) return scaled(composed(known(true, false), b, -1), top)
    const above = this.#tape.nodes[places[0]]
    const isSquare = above.op === 'square' && isAffine(this.#found[above.args[0]])
    return known(isSquare && isAffine(b), false)
  }

  /** The root of a sum of squares of affine functions, and of constants that are not negative: a Euclidean length. */
  #isNorm(id: number): boolean {
    const { op, args, factors, exact } = this.#tape.nodes[id]
    const isTerm = (arg: number) => {
      const inner = this.#tape.nodes[arg]
      if (this.#found[arg].isConstant) return this.#ranges[arg].lo >= 0
      if (inner.op !== 'square') return false
      return (
        isAffine(this.#found[inner.args[0]]) ||
        (this.#found[inner.args[0]].isConvex && this.#ranges[inner.args[0]].lo >= 0)
      )
    }
    if (op === 'linear')
      return signOf(exact!) >= 0 && factors!.every((factor) => signOf(factor) > 0) && args.every(isTerm)
    return isTerm(id)
  }

  /** Through a node that all variables pass. */
  #byShape(id: number): Curvature {
    for (const inner of this.#passages(id)) {
      const found = this.#through(id, inner)
      if (found.isConvex || found.isConcave) return found
    }
    return UNKNOWN
  }

  /** Nodes below, the nearest first, without which the node does not depend on the variables; of known curvature. */
  #passages(id: number): number[] {
    const below = this.#varying(id, -1)
    return below
      .filter((inner) => {
        const { isConvex, isConcave } = this.#found[inner] ?? UNKNOWN
        if (inner === id || !(isConvex || isConcave) || !isBounded(this.#ranges[inner])) return false
        return !this.#varying(id, inner).some(
          (other) => other !== inner && this.#tape.nodes[other].op === 'variable',
        )
      })
      .slice(0, 3)
  }

  /** The nodes that depend on the variables and that a node is computed from, without looking below `stop`. */
  #varying(id: number, stop: number): number[] {
    const seen = new Set<number>()
    const pending = [id]
    while (pending.length > 0) {
      const next = pending.pop()!
      if (seen.has(next) || (this.#found[next]?.isConstant ?? false)) continue
      seen.add(next)
      const isPassage =
        stop >= 0 && next !== id && multipleOf(this.#tape.nodes[next], this.#tape.nodes[stop]) !== undefined
      if (next !== stop && !isPassage) pending.push(...this.#tape.nodes[next].args)
    }
    return [...seen].sort((a, b) => b - a)
  }

  #through(id: number, inner: number): Curvature {
    const { scalars, box } = this.#field
    const name = 't'
    const target = this.#ids[inner]
    const root = scalars.replace(this.#ids[id], (other) => {
      if (other === target) return scalars.variable(name)
      const same =
        other === this.#ids[id] ? undefined : multipleOf(scalars.nodes[other], scalars.nodes[target])
      return same === undefined
        ? undefined
        : scalars.combination([scalars.variable(name)], [same.factor], same.offset)
    })
    const tape = tapeOf(scalars, [root])
    const others = tape.variables.filter((variable) => variable !== name)
    if (others.some((variable) => !isPoint(box.get(variable)!))) return UNKNOWN
    const { lo, hi } = this.#ranges[inner]
    if (lo >= hi) return UNKNOWN
    const pieces = piecesOf({ tape, variable: name, lo, hi, box, graph: { scalars, root } }, this.#clock)
    if (pieces === undefined) return UNKNOWN
    const [up, down] = [convexity(pieces, this.#clock), convexity(pieces, this.#clock, -1)]
    const isWhole = id === this.#tape.roots[0] && this.#tape.nodes[inner].op === 'variable'
    if (isWhole) this.shape = up
    const way = isAffine(this.#found[inner])
      ? 0
      : isMonotone(pieces, this.#clock, 1)
        ? 1
        : isMonotone(pieces, this.#clock, -1)
          ? -1
          : 0
    return composed(known(up.kind === 'proved', down.kind === 'proved'), this.#found[inner], way)
  }
}

/** A sum as a multiple of another sum of the same terms, and a constant. */
function multipleOf(
  node: ScalarNode,
  other: ScalarNode,
): { readonly factor: Rational; readonly offset: Rational } | undefined {
  if (node.op !== 'linear' || other.op !== 'linear' || node.args.length !== other.args.length)
    return undefined
  const factor = times(node.factors![0], reciprocal(other.factors![0])!)
  const isSame = node.args.every(
    (arg, place) =>
      arg === other.args[place] && compare(node.factors![place], times(factor, other.factors![place])) === 0,
  )
  return isSame ? { factor, offset: minus(node.exact!, times(factor, other.exact!)) } : undefined
}

function combined(a: Curvature, b: Curvature): Curvature {
  if (a.isConstant) return b
  if (b.isConstant) return a
  return known(a.isConvex && b.isConvex, a.isConcave && b.isConcave)
}

function scaled(x: Curvature, factor: Interval): Curvature {
  if (factor.partial) return UNKNOWN
  return factor.lo >= 0 ? x : factor.hi <= 0 ? mirrored(x) : isAffine(x) ? x : UNKNOWN
}

const signs = (bend: Interval) => known(bend.lo >= 0, bend.hi <= 0)
const direction = (slope: Interval): -1 | 0 | 1 => (slope.lo >= 0 ? 1 : slope.hi <= 0 ? -1 : 0)

/** An outer function of known curvature and direction, of an inner one. */
function composed(outer: Curvature, inner: Curvature, way: -1 | 0 | 1): Curvature {
  if (inner.isConstant) return CONSTANT
  if (isAffine(inner)) return { ...outer, isConstant: false }
  const rises = way > 0 ? inner : way < 0 ? mirrored(inner) : UNKNOWN
  return known(outer.isConvex && rises.isConvex, outer.isConcave && rises.isConcave)
}
