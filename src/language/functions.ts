/**
 * The functions of the language: name -> arguments, one line for the docs, and the lowering to IR ops. Many are
 * only shorthands, so that engines and gradient rules see few ops. The numerically stable form of each is defined
 * here.
 */
import type { Parameter } from './arguments.ts'
import type { Builder, Ref } from './builder.ts'
import type { CompositeOp } from './ir.ts'
import { convolved, windowMean, windowSum } from './windows.ts'

export interface LanguageFunction {
  readonly parameters: readonly Parameter[]
  /** One line for the docs. */
  readonly about: string
  /** `values` and `axes` in the order of the parameters of that kind. */
  readonly lower: (build: Builder, values: readonly Ref[], axes: readonly string[]) => Ref
  /** What is wrong with the axes of the values; undefined if they are valid. */
  readonly problem?: (build: Builder, values: readonly Ref[], axes: readonly string[]) => string | undefined
}

const unary = (op: Parameters<Builder['make']>[0], about: string): LanguageFunction => ({
  parameters: ['number'],
  about,
  lower: (build, values) => build.make(op, values),
})

const binary = (about: string, lower: (build: Builder, a: Ref, b: Ref) => Ref): LanguageFunction => ({
  parameters: ['number', 'number'],
  about,
  lower: (build, [a, b]) => lower(build, a, b),
})

/** The same function under another name. */
const alias = (name: string, same: LanguageFunction): LanguageFunction => ({
  ...same,
  about: `the same as ${name}`,
})

const along = (about: string, lower: (build: Builder, x: Ref, axis: string) => Ref): LanguageFunction => ({
  parameters: ['number', 'axis'],
  about,
  lower: (build, [x], [axis]) => lower(build, x, axis),
})

type OverAxes = (build: Builder, x: Ref, axes: readonly string[]) => Ref

const over = (about: string, lower: OverAxes): LanguageFunction => ({
  parameters: ['number', 'axes'],
  about,
  lower: (build, [x], axes) => lower(build, x, axes),
})

const ofTruths = (about: string, lower: OverAxes): LanguageFunction => ({
  parameters: ['truth', 'axes'],
  about,
  lower: (build, [test], axes) => lower(build, test, axes),
})

const spread = (about: string, lower: (build: Builder, variance: Ref) => Ref): LanguageFunction => ({
  parameters: ['number', 'axes', 'number?'],
  about,
  lower: (build, [x, ddof], axes) => lower(build, variance(build, x, axes, ddof)),
})

/** If the argument does not have the axis, it counts as constant along its length. */
const composite =
  (op: CompositeOp, alone: (build: Builder, x: Ref, length: Ref) => Ref) =>
  (build: Builder, x: Ref, axis: string): Ref =>
    build.axesOf(x).includes(axis) ? build.make(op, [x], { axis }) : alone(build, x, build.size(axis))

const larger = (build: Builder, a: Ref, b: Ref): Ref => build.make('max', [a, b])
const smaller = (build: Builder, a: Ref, b: Ref): Ref => build.make('min', [a, b])

const SIGMOID = unary('sigmoid', '1 / (1 + e^-x)')
const LOG_SIGMOID: LanguageFunction = {
  parameters: ['number'],
  about: 'ln(sigmoid(x)), computed without underflow',
  // ln(1 / (1 + e^-x)) = -ln(1 + e^-x)
  lower: (build, [x]) => build.neg(build.make('softplus', [build.neg(x)])),
}
const CLAMP: LanguageFunction = {
  parameters: ['number', 'number', 'number'],
  about:
    'clamp(x, low, high): x, limited to the range from low to high; at and beyond the ends of the range, the derivative is 0',
  lower: (build, [x, low, high]) => smaller(build, larger(build, x, low), high),
}

const SOLVE_LOWER = solver(
  'solve_lower',
  'solve_lower(L, b, i, j): the solution x, along j, of sum(L * x, j) = b, for a lower triangular matrix L with rows i and columns j; elements above the diagonal are ignored',
)

const ARGSORT = along(
  'the indices that sort the elements along an axis in ascending order; equal elements keep their order; the derivative is 0',
  (build, x, axis) => build.argsort(x, axis),
)

/** Every function by name. `max` and `min` also exist over an axis: see REDUCING. */
export const FUNCTIONS: ReadonlyMap<string, LanguageFunction> = new Map(
  Object.entries({
    abs: unary('abs', 'absolute value; the derivative at 0 is 0'),
    exp: unary('exp', 'e^x'),
    expm1: unary('expm1', 'e^x - 1, accurate near 0'),
    exp_tail: {
      parameters: ['number'],
      about: 'e^x - 1 - x, accurate near 0',
      lower: (build, [x]) => expTail(build, x),
    },
    log: unary('log', 'natural logarithm'),
    log1p: unary('log1p', 'ln(1 + x), accurate near 0'),
    log2: unary('log2', 'logarithm to base 2'),
    log10: unary('log10', 'logarithm to base 10'),
    sqrt: unary('sqrt', 'square root; the derivative at 0 is infinite'),
    safe_sqrt: unary('safe_sqrt', 'square root; the derivative at 0 is 0'),
    sigmoid: SIGMOID,
    expit: alias('sigmoid', SIGMOID),
    tanh: unary('tanh', 'hyperbolic tangent'),
    softplus: unary('softplus', 'ln(1 + e^x), computed without overflow'),
    sign: unary('sign', '-1, 0 or 1; the derivative is 0'),
    floor: unary('floor', 'the largest integer <= x; the derivative is 0'),
    ceil: {
      parameters: ['number'],
      about: 'the smallest integer >= x; the derivative is 0',
      lower: (build, [x]) => build.neg(build.make('floor', [build.neg(x)])),
    },
    round: unary('round', 'the nearest integer; ties go to the even one; the derivative is 0'),
    sin: unary('sin', 'sine'),
    cos: unary('cos', 'cosine'),
    atan: unary('atan', 'arc tangent'),
    asin: unary('asin', 'arc sine; the derivative at -1 and 1 is infinite'),
    acos: unary('acos', 'arc cosine; the derivative at -1 and 1 is infinite'),
    atan2: binary(
      'atan2(y, x): the angle of the point (x, y), from -pi to pi; the derivative at (0, 0) is 0',
      (build, y, x) => build.make('atan2', [y, x]),
    ),
    erf: unary('erf', 'error function'),
    lgamma: unary('lgamma', 'natural logarithm of the absolute value of the gamma function'),
    digamma: unary('digamma', 'the derivative of lgamma'),
    trigamma: {
      parameters: ['number'],
      about: 'the derivative of digamma',
      lower: (build, [x]) => polygamma(build, build.constant(1), x),
    },
    polygamma: {
      parameters: ['order', 'number'],
      about: 'polygamma(n, x): the nth derivative of digamma, for a constant n from 0 to 6',
      lower: (build, [n, x]) => polygamma(build, n, x),
    },
    lbeta: binary(
      'lbeta(a, b): natural logarithm of the beta function of two positive numbers, computed without cancellation; NaN for negative numbers',
      (build, a, b) => build.make('lbeta', [a, b]),
    ),
    stop_gradient: unary('stop_gradient', 'the value of x, which counts as a constant in the gradient'),
    straight_through: {
      parameters: ['number', 'number'],
      about: 'straight_through(x, slope): the value of x with the derivative of slope',
      lower: (build, values) => build.make('straight_through', values),
    },
    is_finite: unary('is_finite', 'true unless x is NaN or infinite'),
    logsigmoid: LOG_SIGMOID,
    log_sigmoid: alias('logsigmoid', LOG_SIGMOID),
    silu: {
      parameters: ['number'],
      about: 'x * sigmoid(x)',
      lower: (build, [x]) => build.mul(x, build.make('sigmoid', [x])),
    },
    relu: {
      parameters: ['number'],
      about: 'max(x, 0); the derivative at 0 is 0',
      lower: (build, [x]) => build.make('max', [x, build.constant(0)]),
    },
    max: binary(
      'the larger of two numbers; max(x, axis) is the largest along an axis. Ties share the gradient equally',
      larger,
    ),
    min: binary(
      'the smaller of two numbers; min(x, axis) is the smallest along an axis. Ties share the gradient equally',
      smaller,
    ),
    maximum: binary('the larger of two numbers; ties share the gradient equally', larger),
    minimum: binary('the smaller of two numbers; ties share the gradient equally', smaller),
    clamp: CLAMP,
    clip: alias('clamp', CLAMP),
    square: {
      parameters: ['number'],
      about: 'x^2',
      lower: (build, [x]) => build.mul(x, x),
    },
    power: binary('power(a, b): a^b', (build, a, b) => build.make('pow', [a, b])),
    logaddexp: binary('ln(e^a + e^b), computed without overflow', logAddExp),
    weigh: {
      parameters: ['number', 'number'],
      about: 'weigh(w, x): w * x, but 0 where w is 0, even if x is infinite or NaN',
      lower: (build, [w, x]) => build.mulNoNan(w, x),
    },
    xlogy: {
      parameters: ['number', 'number'],
      about: 'xlogy(x, y): x * ln(y), but 0 where x is 0, whatever y is',
      lower: (build, [x, y]) => {
        const zero = build.constant(0)
        return build.select(build.eq(x, zero), zero, build.mul(x, build.make('log', [y])))
      },
    },
    sum: over('sum over one or more axes', sum),
    mean: over('mean over one or more axes', mean),
    var: spread(
      'variance over one or more axes; it divides by the number of elements n, and var(x, axis, 1) by n - 1',
      (_, found) => found,
    ),
    std: spread(
      'standard deviation, the square root of var; where it is 0, the gradient is 0',
      (build, found) => build.make('safe_sqrt', [found]),
    ),
    any: ofTruths('true if a condition holds anywhere along one or more axes', any),
    all: ofTruths('true if a condition holds everywhere along one or more axes', (build, test, axes) =>
      build.make('not', [any(build, build.make('not', [test]), axes)]),
    ),
    count: ofTruths('how often a condition holds along one or more axes; the derivative is 0', count),
    logsumexp: along(
      'natural logarithm of the sum of e^x over an axis, computed without overflow',
      composite('logsumexp', (build, x, length) => build.add(x, build.make('log', [length]))),
    ),
    softmax: along(
      'e^x divided by its sum over an axis, computed without overflow',
      composite('softmax', (build, _x, length) => build.div(build.constant(1), length)),
    ),
    log_softmax: along(
      'x - logsumexp(x) along an axis',
      composite('log_softmax', (build, _x, length) => build.neg(build.make('log', [length]))),
    ),
    norm: over('Euclidean norm over one or more axes; where it is 0, the gradient is 0', norm),
    safe_norm: over('the same as norm', norm),
    pick: {
      parameters: ['number', 'place', 'axis'],
      about: 'pick(x, i, axis): the element of x at index i along the axis; 0 if i is out of range',
      lower: (build, [x, place], [axis]) => build.pick(x, place, axis),
    },
    sort: along('the elements along an axis in ascending order', (build, x, axis) =>
      build.gather(x, build.argsort(x, axis), axis),
    ),
    argsort: ARGSORT,
    order: alias('argsort', ARGSORT),
    gather: {
      parameters: ['number', 'place', 'axis'],
      about:
        'gather(x, i, axis): the elements of x at the indices i, which have the same axis; 0 where i is out of range',
      lower: (build, [x, place], [axis]) => build.gather(x, place, axis),
    },
    scatter: {
      parameters: ['number', 'place', 'axis'],
      about:
        'scatter(x, i, axis): at each index along the axis, the sum of the elements of x that have this index in i (a segment sum)',
      lower: (build, [x, place], [axis]) => build.scatter(x, place, axis),
    },
    shift: {
      parameters: ['number', 'place', 'axis'],
      about:
        'shift(x, n, axis): x, moved by n steps towards higher indices, or towards lower ones if n is negative; the gap is filled with 0',
      lower: (build, [x, steps], [axis]) =>
        build.gather(build.expand(x, [axis]), build.sub(build.index(axis), steps), axis),
    },
    conv: {
      parameters: ['number', 'weights', 'axis'],
      about:
        'conv(x, [1/4, 1/2, 1/4], axis): the weighted sum of the elements around each element, with zeros beyond the ends; as conv1d of PyTorch with padding "same"',
      lower: (build, [x, ...weights], [axis]) => convolved(build, x, weights, axis),
    },
    window_sum: {
      parameters: ['number', 'length', 'axis'],
      about:
        'window_sum(x, n, axis): the sum of the n elements around each element, with zeros beyond the ends',
      lower: (build, [x, length], [axis]) => windowSum(build, x, length, axis),
    },
    window_mean: {
      parameters: ['number', 'length', 'axis'],
      about:
        'window_mean(x, n, axis): the mean of the n elements around each element; at the ends, of those that exist',
      lower: (build, [x, length], [axis]) => windowMean(build, x, length, axis),
    },
    diag: {
      parameters: ['number', 'axis', 'axis'],
      about:
        'diag(x, i, j): the diagonal of a square matrix with rows i and columns j; the result has the axis i',
      lower: (build, [x], [rows, columns]) => {
        build.requireSquare(rows, columns)
        return build.pick(build.expand(x, [rows, columns]), build.index(rows), columns)
      },
    },
    solve_lower: SOLVE_LOWER,
    solve_triangular: alias('solve_lower', SOLVE_LOWER),
    solve_upper: solver(
      'solve_upper',
      'solve_upper(U, b, i, j): the same for an upper triangular matrix U; elements below the diagonal are ignored',
    ),
    cumsum: along(
      'cumulative sum: the sum of each element and all before it along an axis',
      (build, x, axis) => build.cumsum(x, axis),
    ),
    recurrence: {
      parameters: ['number', 'number', 'axis'],
      about:
        'recurrence(x, a, axis): a linear recurrence along an axis: each element is its x plus a times the result for the element before it, as in a discounted sum or an exponential moving average',
      lower: (build, [x, factor], [axis]) => build.recurrence('recurrence', x, factor, axis),
    },
    reverse_recurrence: {
      parameters: ['number', 'number', 'axis'],
      about: 'reverse_recurrence(x, a, axis): the same from the last element on: discounted returns',
      lower: (build, [x, factor], [axis]) => build.recurrence('reverse_recurrence', x, factor, axis),
    },
    logcumsumexp: along(
      'cumulative logsumexp: ln of the sum of e^x for each element and all before it, computed without overflow',
      logCumSumExp,
    ),
    cummax: along(
      'cumulative maximum: the largest of each element and all before it along an axis; of equal elements, the first gets the gradient',
      (build, x, axis) => largestSoFar(build, x, x, axis),
    ),
    cummin: along(
      'cumulative minimum: the smallest of each element and all before it along an axis; of equal elements, the first gets the gradient',
      (build, x, axis) => largestSoFar(build, x, build.neg(x), axis),
    ),
    ctc: {
      parameters: ['number', 'place', 'place', 'place', 'number', 'axis', 'axis'],
      about:
        'ctc(x, labels, input_lengths, target_lengths, blank, time, classes): the CTC loss for log-probabilities x; infinite if there are too few time steps for the labels',
      lower: (build, values, [time, classes]) => {
        const [x, labels, inputLengths, targetLengths, blank] = values
        return build.ctc([x, labels, inputLengths, targetLengths, blank], time, classes)
      },
    },
    soft_dtw: {
      parameters: ['number', 'number', 'axis', 'axis'],
      about:
        'soft_dtw(x, gamma, i, j): soft dynamic time warping, where x is the cost of each pair of steps; with gamma 0, the smallest cost of an alignment. gamma counts as a constant in the gradient',
      lower: (build, [x, gamma], [first, second]) =>
        build.softDtw(x, build.make('stop_gradient', [gamma]), first, second),
      problem: (build, [, gamma], axes) =>
        build.axesOf(gamma).some((axis) => axes.includes(axis))
          ? `gamma must not have the axes ${axes.join(' and ')}`
          : undefined,
    },
    one_hot: {
      parameters: ['place', 'axis'],
      about: 'one_hot(i, axis): 1 at index i along the axis, and 0 elsewhere',
      lower: (build, [place], [axis]) =>
        build.select(build.eq(build.index(axis), place), build.constant(1), build.constant(0)),
    },
    index: {
      parameters: ['axis'],
      about: 'the index along an axis, from 0',
      lower: (build, _, [axis]) => build.index(axis),
    },
    size: {
      parameters: ['axis'],
      about: 'the length of an axis',
      lower: (build, _, [axis]) => build.size(axis),
    },
  } satisfies Record<string, LanguageFunction>),
)

/** The forms over an axis of functions that also take two values. */
export const AXIS_OVERLOADS: ReadonlyMap<string, LanguageFunction> = new Map(
  Object.entries({
    max: along('the largest along an axis', (build, x, axis) => build.max(x, axis)),
    min: along('the smallest along an axis', (build, x, axis) => build.neg(build.max(build.neg(x), axis))),
  }),
)

function solver(op: 'solve_lower' | 'solve_upper', about: string): LanguageFunction {
  return {
    parameters: ['number', 'number', 'axis', 'axis'],
    about,
    lower: (build, [matrix, right], [rows, columns]) => {
      build.requireSquare(rows, columns)
      return build.solve(op, matrix, right, rows, columns)
    },
    problem: (build, [matrix, right], [rows, columns]) => {
      if (![rows, columns].every((axis) => build.axesOf(matrix).includes(axis)))
        return `the matrix must have the axes ${rows} and ${columns}`
      return build.axesOf(right).includes(columns)
        ? `the right-hand side must not have the axis ${columns}, which the solution gets`
        : undefined
    },
  }
}

/**
 * max(a, b) + ln(1 + e^-|a - b|), with the derivative of a + softplus(b - a), which has no kink. Equal infinities
 * have no difference.
 */
function logAddExp(build: Builder, a: Ref, b: Ref): Ref {
  const distance = build.make('abs', [build.sub(a, b)])
  const apart = build.add(larger(build, a, b), build.make('softplus', [build.neg(distance)]))
  const value = build.select(build.eq(a, b), build.add(a, build.constant(Math.LN2)), apart)
  return build.make('straight_through', [value, build.add(a, build.make('softplus', [build.sub(b, a)]))])
}

function polygamma(build: Builder, n: Ref, x: Ref): Ref {
  return build.is(n, 0) ? build.make('digamma', [x]) : build.make('polygamma', [n, x])
}

/** x where `size` was the largest so far. */
function largestSoFar(build: Builder, x: Ref, size: Ref, axis: string): Ref {
  const spread = build.expand(x, [axis])
  return build.axesOf(x).includes(axis) ? build.gather(x, build.cummaxPlace(size, axis), axis) : spread
}

/**
 * The largest so far and the sum of e^(x - largest), which shrinks when the largest grows. No derivative depends on what is
 * subtracted.
 */
function logCumSumExp(build: Builder, x: Ref, axis: string): Ref {
  const [zero, spread] = [build.constant(0), build.expand(x, [axis])]
  const found = build.make('stop_gradient', [largestSoFar(build, spread, spread, axis)])
  const largest = build.select(build.eq(found, build.constant(Number.NEGATIVE_INFINITY)), zero, found)
  // Equal infinities have no distance, but a derivative.
  const below = (x: Ref) => {
    const none = build.make('straight_through', [zero, x])
    return build.select(build.eq(x, largest), none, build.sub(x, largest))
  }
  const powers = [below(spread), smaller(build, below(build.shift(largest, 1, axis)), zero)]
  const [share, factor] = powers.map((power) => build.make('exp', [power], { hint: 'up to 0' }))
  return build.add(build.make('log', [build.recurrence('recurrence', share, factor, axis)]), largest)
}

function sum(build: Builder, x: Ref, axes: readonly string[]): Ref {
  return axes.reduceRight((so, axis) => build.sum(so, axis), x)
}

/** The number of elements along these axes together. */
function sizeOf(build: Builder, axes: readonly string[]): Ref {
  return axes.map((axis) => build.size(axis)).reduce((product, size) => build.mul(product, size))
}

function mean(build: Builder, x: Ref, axes: readonly string[]): Ref {
  const own = axes.filter((axis) => build.axesOf(x).includes(axis))
  return own.length === 0 ? x : build.div(sum(build, x, own), sizeOf(build, own))
}

function norm(build: Builder, x: Ref, axes: readonly string[]): Ref {
  return build.make('safe_sqrt', [sum(build, build.mul(x, x), axes)])
}

/**
 * In two passes, the mean first. The data is shifted by its first element, so that equal numbers have a variance of
 * exactly 0, and large numbers that are close to each other keep their digits; no derivative depends on what is
 * subtracted from all elements.
 */
function variance(build: Builder, x: Ref, axes: readonly string[], ddof: Ref | undefined): Ref {
  const first = axes.reduceRight((so, axis) => build.pick(so, build.constant(0), axis), x)
  const moved = build.sub(x, build.make('stop_gradient', [first]))
  const distance = build.sub(moved, mean(build, moved, axes))
  const count = sizeOf(build, axes)
  const weight = ddof === undefined ? count : build.sub(count, ddof)
  return build.div(sum(build, build.mul(distance, distance), axes), weight)
}

function count(build: Builder, test: Ref, axes: readonly string[]): Ref {
  return sum(build, build.select(test, build.constant(1), build.constant(0)), axes)
}

function any(build: Builder, test: Ref, axes: readonly string[]): Ref {
  return build.lt(build.constant(0), count(build, test, axes))
}

/** The series of (e^x - 1 - x) / x^2 up to terms that are below the precision of float64 for |x| < 1/4. */
const EXP_TAIL = Array.from({ length: 13 }, (_, power) => {
  return 1 / Array.from({ length: power + 2 }, (_, i) => i + 1).reduce((product, i) => product * i, 1)
})

/** The series near 0, because e^x - 1 and x cancel there. The slope is e^x - 1 everywhere. */
function expTail(build: Builder, x: Ref): Ref {
  const series = EXP_TAIL.reduceRight<Ref | undefined>((sum, coefficient) => {
    const constant = build.constant(coefficient)
    return sum === undefined ? constant : build.add(build.mul(sum, x), constant)
  }, undefined)
  const far = build.sub(build.make('expm1', [x]), x)
  const isNear = build.lt(build.make('abs', [x]), build.constant(0.25))
  const value = build.select(isNear, build.mul(build.mul(x, x), series!), far)
  return build.make('straight_through', [value, far])
}
