/** The derivative of a graph of scalars as a graph, where the formula is smooth and made of functions of analysis. */
import { compare, negated, ONE, type Rational, rational, ZERO } from './rational.ts'
import type { Scalar, ScalarNode, Scalars } from './scalars.ts'

/** The slope of a function of one argument. */
type Slope = (scalars: Scalars, x: Scalar, y: Scalar) => Scalar

const times = (scalars: Scalars, a: Scalar, b: Scalar) => scalars.make('mul', [a, b])
const over = (scalars: Scalars, a: Scalar, b: Scalar) => scalars.make('div', [a, b])
const half: Rational = { top: 1n, bottom: 2n }
const multiple = (scalars: Scalars, a: Scalar, factor: Rational) => scalars.combination([a], [factor], ZERO)
/** 1 - a, 1 + a. */
const lessThanOne = (scalars: Scalars, a: Scalar) => scalars.combination([a], [negated(ONE)], ONE)
const moreThanOne = (scalars: Scalars, a: Scalar) => scalars.combination([a], [ONE], ONE)

const SLOPES: { readonly [O in ScalarNode['op']]?: Slope } = {
  square: (scalars, x) => multiple(scalars, x, rational(2)!),
  exp: (_, __, y) => y,
  expm1: (scalars, x) => scalars.make('exp', [x]),
  log: (scalars, x) => over(scalars, scalars.constant(1), x),
  log1p: (scalars, x) => over(scalars, scalars.constant(1), moreThanOne(scalars, x)),
  sqrt: (scalars, _, y) => over(scalars, scalars.exact(half), y),
  safe_sqrt: (scalars, _, y) => over(scalars, scalars.exact(half), y),
  softplus: (scalars, x) => scalars.make('sigmoid', [x]),
  sigmoid: (scalars, _, y) => times(scalars, y, lessThanOne(scalars, y)),
  tanh: (scalars, _, y) => lessThanOne(scalars, scalars.make('square', [y])),
  sin: (scalars, x) => scalars.make('cos', [x]),
  cos: (scalars, x) => multiple(scalars, scalars.make('sin', [x]), negated(ONE)),
  atan: (scalars, x) => over(scalars, scalars.constant(1), moreThanOne(scalars, scalars.make('square', [x]))),
}

/**
 * @returns undefined where an op has a kink, or a derivative that no formula here has
 * @example
 * derivativeOf(scalars, scalars.make('softplus', [x]), 'x') // sigmoid(x)
 */
export function derivativeOf(scalars: Scalars, root: Scalar, variable: string): Scalar | undefined {
  const slopes = new Map<Scalar, Scalar>()
  for (const id of scalars.reachable(root)) {
    const found = slopeOf(scalars, id, slopes, variable)
    if (found === undefined) return undefined
    slopes.set(id, found)
  }
  return slopes.get(root)!
}

function slopeOf(
  scalars: Scalars,
  id: Scalar,
  slopes: ReadonlyMap<Scalar, Scalar>,
  variable: string,
): Scalar | undefined {
  const node = scalars.nodes[id]
  const nought = scalars.constant(0)
  if (node.op === 'variable') return node.name === variable ? scalars.constant(1) : nought
  const own = node.args.map((arg) => slopes.get(arg)!)
  if (own.every((slope) => slope === nought)) return nought
  if (node.op === 'linear') return scalars.combination(own, node.factors!, ZERO)
  if (node.op === 'logsumexp')
    return scalars.sum(
      node.args.map((arg, place) =>
        times(scalars, own[place], scalars.make('exp', [scalars.difference(arg, id)])),
      ),
    )
  const slope = SLOPES[node.op]
  if (slope !== undefined) return times(scalars, own[0], slope(scalars, node.args[0], id))
  return slopeOfPair(scalars, node, own)
}

function slopeOfPair(scalars: Scalars, { op, args }: ScalarNode, [da, db]: readonly Scalar[]) {
  const [a, b] = args
  switch (op) {
    case 'neg':
      return multiple(scalars, da, negated(ONE))
    case 'add':
      return scalars.make('add', [da, db])
    case 'sub':
      return scalars.difference(da, db)
    case 'mul':
      return scalars.make('add', [times(scalars, da, b), times(scalars, a, db)])
    case 'div': {
      const above = scalars.difference(times(scalars, da, b), times(scalars, a, db))
      return over(scalars, above, scalars.make('square', [b]))
    }
    case 'pow':
      return slopeOfPower(scalars, a, b, da)
    default:
      return undefined
  }
}

/** With a constant exponent. */
function slopeOfPower(scalars: Scalars, base: Scalar, exponent: Scalar, slope: Scalar): Scalar | undefined {
  const n = scalars.constantOf(exponent)
  if (n === undefined || compare(n, ZERO) === 0) return undefined
  const less = scalars.combination([exponent], [ONE], negated(ONE))
  return times(scalars, slope, multiple(scalars, scalars.make('pow', [base, less]), n))
}
