/**
 * Numerically stable rewriting: replaces what people write by forms that keep their digits and do not overflow. In
 * float32, `1 - sigmoid(x)` is 0 from x = 17 on, while `sigmoid(-x)` is accurate to the last digit. Unlike the
 * rules in simplify.ts, these change the rounding, always for the better, and they avoid infinities that occur only
 * in intermediate results.
 */
import type { Builder, Ref } from './builder.ts'
import { flattenSum, sumTerms, type Term } from './flattened-sum.ts'
import type { FormulaOp } from './ir.ts'

type Rule = (build: Builder, ...args: Ref[]) => Ref | undefined

const RULES: { readonly [O in FormulaOp]?: Rule } = {
  add: (build, a, b) => sumWithOne(build, a, b) ?? sumWithOne(build, b, a),
  sub: (build, a, b) => {
    if (build.is(a, 1)) return oneLess(build, b)
    if (build.is(b, 1)) return lessOne(build, a)
    return (
      oneLessFactor(build, a, b) ??
      differenceOfSides(build, a, b) ??
      lossOfPicked(build, a, b) ??
      differenceOfSquares(build, a, b)
    )
  },
  // 1 / (1 + e^y) = sigmoid(-y)
  div: (build, a, b) => {
    const y = build.is(a, 1) ? argumentOf(build, 'exp', otherThanOne(build, 'add', b)) : undefined
    return y === undefined ? undefined : build.make('sigmoid', [build.neg(y)])
  },
  exp: (build, x) => {
    const [scores, inLog, inSoftplus] = [
      argumentOf(build, 'log_softmax', x),
      argumentOf(build, 'log1p', x),
      argumentOf(build, 'softplus', argumentOf(build, 'neg', x)),
    ]
    if (scores !== undefined) return composite(build, 'softmax', x)
    if (inSoftplus !== undefined) return build.make('sigmoid', [build.neg(inSoftplus)])
    return inLog === undefined ? undefined : build.add(build.constant(1), inLog)
  },
  expm1: (build, x) => {
    if (argumentOf(build, 'log_softmax', x) !== undefined)
      return build.neg(composite(build, 'softmax_rest', x))
    const inSoftplus = argumentOf(build, 'softplus', argumentOf(build, 'neg', x))
    if (inSoftplus !== undefined) return build.neg(build.make('sigmoid', [inSoftplus]))
    return argumentOf(build, 'log1p', x)
  },
  log: (build, x) => {
    const inSigmoid = argumentOf(build, 'sigmoid', x)
    if (inSigmoid !== undefined) return build.neg(build.make('softplus', [build.neg(inSigmoid)]))
    if (argumentOf(build, 'softmax', x) !== undefined) return composite(build, 'log_softmax', x)
    if (argumentOf(build, 'softmax_rest', x) !== undefined) return logOfRest(build, x)
    const [added, taken] = [otherThanOne(build, 'add', x), otherThanOne(build, 'sub', x)]
    if (added !== undefined) return build.make('log1p', [added])
    if (taken !== undefined) return build.make('log1p', [build.neg(taken)])
    const lessOne = argumentOf(build, 'expm1', argumentOf(build, 'neg', x))
    return (
      logOneLessPower(build, lessOne) ??
      argumentOf(build, 'exp', x) ??
      logOfSum(build, x) ??
      ofPicked(build, x, (y) => stable(build, 'log', [y]), Number.NEGATIVE_INFINITY)
    )
  },
  log2: (build, x) => otherBase(build, x, Math.LOG2E),
  log10: (build, x) => otherBase(build, x, Math.LOG10E),
  log1p: (build, x) => {
    const power = argumentOf(build, 'exp', x)
    if (power !== undefined) return build.make('softplus', [power])
    const negated = argumentOf(build, 'neg', x)
    const inSigmoid = argumentOf(build, 'sigmoid', negated)
    if (inSigmoid !== undefined) return build.neg(build.make('softplus', [inSigmoid]))
    if (argumentOf(build, 'softmax', negated) !== undefined) return logOfRest(build, negated!)
    return logOneLessPower(build, argumentOf(build, 'exp', negated)) ?? argumentOf(build, 'expm1', x)
  },
}

/** A logarithm to another base, if the natural one has a stable form. */
function otherBase(build: Builder, x: Ref, factor: number): Ref | undefined {
  const natural = stable(build, 'log', [x])
  return natural === undefined ? undefined : build.mul(natural, build.constant(factor))
}

/**
 * The stable form of `op(args)`, or undefined if there is none.
 *
 * @example
 * stable(build, 'log', [build.make('sigmoid', [x])]) // -softplus(-x)
 */
export function stable(build: Builder, op: FormulaOp, args: readonly Ref[]): Ref | undefined {
  return RULES[op]?.(build, ...args)
}

function argumentOf(build: Builder, op: FormulaOp, x: Ref | undefined): Ref | undefined {
  return x !== undefined && build.opOf(x) === op ? build.argOf(x, 0) : undefined
}

/** The a of 1 + a, a + 1 (`add`) or 1 - a (`sub`). */
function otherThanOne(build: Builder, op: 'add' | 'sub', x: Ref): Ref | undefined {
  if (build.opOf(x) !== op) return undefined
  const [a, b] = build.nodes[x].args
  if (build.is(a, 1)) return b
  return op === 'add' && build.is(b, 1) ? a : undefined
}

/** A composite op with the same argument as `x`, which is another composite op. */
function composite(build: Builder, op: FormulaOp, x: Ref): Ref {
  const { args, axis } = build.nodes[x]
  return build.make(op, args, { axis: axis! })
}

function sumWithOne(build: Builder, a: Ref, b: Ref): Ref | undefined {
  const power = argumentOf(build, 'exp', b)
  if (build.is(a, -1) && power !== undefined) return build.make('expm1', [power])
  const small = argumentOf(build, 'expm1', b)
  return build.is(a, 1) && small !== undefined ? build.exp(small) : undefined
}

/** 1 - x */
function oneLess(build: Builder, x: Ref): Ref | undefined {
  const inSigmoid = argumentOf(build, 'sigmoid', x)
  if (inSigmoid !== undefined) return build.make('sigmoid', [build.neg(inSigmoid)])
  if (build.opOf(x) === 'softmax') return composite(build, 'softmax_rest', x)
  if (build.opOf(x) === 'softmax_rest') return composite(build, 'softmax', x)
  const power = argumentOf(build, 'exp', x)
  if (power !== undefined) return build.neg(build.make('expm1', [power]))
  const [added, taken] = [otherThanOne(build, 'add', x), otherThanOne(build, 'sub', x)]
  if (added !== undefined) return build.neg(added)
  return taken ?? otherShare(build, x) ?? ofPicked(build, x, (y) => oneLess(build, y), 1)
}

/** What is true for all elements is true for the picked one; outside of the axis that is 0. */
function ofPicked(
  build: Builder,
  x: Ref,
  rule: (y: Ref) => Ref | undefined,
  outside: number,
): Ref | undefined {
  if (build.opOf(x) !== 'pick') return undefined
  const { args, axis } = build.nodes[x]
  const found = rule(args[0])
  if (found === undefined) return undefined
  return build.select(
    build.isInside(args[1], axis!),
    build.pick(found, args[1], axis!),
    build.constant(outside),
  )
}

/** 1 - a / (a + b) = b / (a + b), if the terms of a are among those of the denominator. */
function otherShare(build: Builder, x: Ref): Ref | undefined {
  if (build.opOf(x) !== 'div') return undefined
  const [above, below] = build.nodes[x].args.map((ref) => flattenSum(build, [{ ref, negative: false }]))
  if (above === undefined || below === undefined) return undefined
  const rest = withoutTerms(below, above)
  return rest === undefined ? undefined : build.div(sumTerms(build, rest), build.argOf(x, 1))
}

function withoutTerms(all: readonly Term[], taken: readonly Term[]): Term[] | undefined {
  const left = [...all]
  for (const { ref, negative } of taken) {
    const place = left.findIndex((term) => term.ref === ref && term.negative === negative)
    if (place < 0) return undefined
    left.splice(place, 1)
  }
  return left
}

/** r - y r = r (1 - y), if 1 - y has a stable form. */
function oneLessFactor(build: Builder, r: Ref, product: Ref): Ref | undefined {
  if (build.opOf(product) !== 'mul') return undefined
  const [a, b] = build.nodes[product].args
  const less = a === r ? oneLess(build, b) : b === r ? oneLess(build, a) : undefined
  return less === undefined ? undefined : build.mul(r, less)
}

/** x - 1 */
function lessOne(build: Builder, x: Ref): Ref | undefined {
  const less = oneLess(build, x)
  return less === undefined ? undefined : build.neg(less)
}

/** softplus(x) - softplus(-x) = x, and for sigmoid the difference is tanh(x / 2). */
function differenceOfSides(build: Builder, a: Ref, b: Ref): Ref | undefined {
  const op = build.opOf(a)
  if ((op !== 'softplus' && op !== 'sigmoid') || build.opOf(b) !== op) return undefined
  const [x, y] = [build.argOf(a, 0), build.argOf(b, 0)]
  if (build.neg(x) !== y) return undefined
  return op === 'softplus' ? x : build.make('tanh', [build.mul(x, build.constant(0.5))])
}

/** logsumexp(x) - x_i = -log_softmax(x)_i */
function lossOfPicked(build: Builder, a: Ref, b: Ref): Ref | undefined {
  const scores = argumentOf(build, 'logsumexp', a)
  if (scores === undefined || argumentOf(build, 'pick', b) !== scores) return undefined
  const [axis, place] = [build.nodes[a].axis!, build.argOf(b, 1)]
  if (build.nodes[b].axis !== axis) return undefined
  return build.neg(build.pick(build.make('log_softmax', [scores], { axis }), place, axis))
}

/** a^2 - b^2 = (a - b) (a + b): neither cancels more than a - b itself, nor overflows before the result. */
function differenceOfSquares(build: Builder, a: Ref, b: Ref): Ref | undefined {
  const [x, y] = [rootOf(build, a), rootOf(build, b)]
  return x === undefined || y === undefined || build.axesOf(x).length !== build.axesOf(y).length
    ? undefined
    : build.mul(build.sub(x, y), build.add(x, y))
}

function rootOf(build: Builder, square: Ref): Ref | undefined {
  const isSquare = build.opOf(square) === 'mul' && build.argOf(square, 0) === build.argOf(square, 1)
  return isSquare ? build.argOf(square, 0) : undefined
}

/** ln(1 - p) of a softmax: 1 - p is exact where p is near 1, and p itself where it is small. */
function logOfRest(build: Builder, x: Ref): Ref {
  const [p, rest] = [composite(build, 'softmax', x), composite(build, 'softmax_rest', x)]
  const near = build.raw('log1p', [build.neg(p)])
  return build.select(build.lt(p, build.constant(0.5)), near, build.raw('log', [rest]))
}

/** ln(1 - e^y), as Maechler's log1mexp (CRAN, Rmpfr): ln(-expm1(y)) near y = 0, ln1p(-e^y) below -ln 2. */
function logOneLessPower(build: Builder, y: Ref | undefined): Ref | undefined {
  if (y === undefined) return undefined
  const near = build.raw('log', [build.neg(build.make('expm1', [y]))])
  const far = build.raw('log1p', [build.neg(build.exp(y))])
  return build.select(build.lt(build.constant(-Math.LN2), y), near, far)
}

function logOfSum(build: Builder, x: Ref): Ref | undefined {
  const power = argumentOf(build, 'exp', argumentOf(build, 'reduce_sum', x))
  const { axis } = build.nodes[x]
  if (power === undefined || !build.axesOf(power).includes(axis!)) return undefined
  return build.make('logsumexp', [power], { axis: axis! })
}
