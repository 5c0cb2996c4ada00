/** TensorFlow.js: a TypeScript function with a tf.customGrad, which also reduces. */
import { BERNOULLI, LGAMMA_TAYLOR } from '../../language/gamma.ts'
import type { ArrayLines, ArrayRule, ArraySyntax } from '../arrays.ts'
import { atom, type Code, call, conditional, indented, infix, prefix } from '../code.ts'
import { flattenedInputs, valueShape } from '../collapse-axes.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { type GradientParts, gradientParts, sizesRead, tensorParams } from '../gradient-parts.ts'
import { commentSafe, headerLines } from '../header.ts'
import { helpersIn } from '../helpers.ts'
import {
  AND,
  CHOICE,
  EQUAL,
  JAVASCRIPT_WORDS,
  javascriptNumber,
  OR,
  ORDER,
  PRODUCT,
  SIGN,
  SUM,
} from '../javascript.ts'
import { camelCase, pascalCase } from '../names.ts'
import { TFJS_ALIGNMENTS } from '../tfjs-helpers.ts'

const target: Target = {
  name: 'tfjs',
  family: 'array',
  about: 'A TensorFlow.js function in TypeScript with a tf.customGrad, in float32.',
  mediaType: 'text/x-typescript',
  extension: '.ts',
  precisions: ['float32'],
  dialects: [],
  get taken() {
    return [...JAVASCRIPT_WORDS, ...RESERVED]
  },
  write,
}

export default target

const along =
  (name: string): ArrayRule =>
  (args, dimension) =>
    call(name, String(dimension))(args)

const list = (codes: readonly Code[]) => `[${codes.map(({ text }) => text).join(', ')}]`

const SYNTAX: ArraySyntax = {
  ops: {
    neg: call('tf.neg'),
    abs: call('tf.abs'),
    exp: call('tf.exp'),
    expm1: call('tf.expm1'),
    log: call('tf.log'),
    log1p: call('log1pOf'),
    log2: ([x]) => atom(`tf.mul(tf.log(${x.text}), Math.LOG2E)`),
    log10: ([x]) => atom(`tf.mul(tf.log(${x.text}), Math.LOG10E)`),
    sqrt: call('tf.sqrt'),
    safe_sqrt: call('tf.sqrt'),
    sigmoid: call('tf.sigmoid'),
    tanh: call('tf.tanh'),
    softplus: call('softplusOf'),
    sign: call('signOf'),
    floor: call('tf.floor'),
    round: call('tf.round'),
    sin: call('tf.sin'),
    cos: call('tf.cos'),
    atan: call('tf.atan'),
    asin: call('tf.asin'),
    acos: call('tf.acos'),
    erf: call('tf.erf'),
    lgamma: call('lgammaOf'),
    digamma: call('digammaOf'),
    polygamma: call('polygammaOf'),
    add: call('tf.add'),
    sub: call('tf.sub'),
    mul: call('tf.mul'),
    div: call('tf.div'),
    pow: call('tf.pow'),
    max: call('tf.maximum'),
    min: call('tf.minimum'),
    mul_no_nan: call('timesOf'),
    lt: call('tf.less'),
    le: call('tf.lessEqual'),
    eq: call('tf.equal'),
    and: call('tf.logicalAnd'),
    or: call('tf.logicalOr'),
    not: call('tf.logicalNot'),
    is_finite: call('tf.isFinite'),
    select: call('tf.where'),
    reduce_sum: along('tf.sum'),
    reduce_max: along('tf.max'),
    argsort: along('argsortAlong'),
    gather: along('gatherAlong'),
    scatter: along('scatterAlong'),
    cumsum: along('tf.cumsum'),
    reverse_cumsum: (args, dimension) => call('tf.cumsum', String(dimension), 'false', 'true')(args),
    cummax_place: along('cummaxPlaceAlong'),
    recurrence: (args, dimension) => call('recurrenceAlong', String(dimension), '1')(args),
    reverse_recurrence: (args, dimension) => call('recurrenceAlong', String(dimension), '-1')(args),
    shift: ([x, steps], dimension) => atom(`shiftAlong(${x.text}, ${steps.text}, ${dimension})`),
    solve_lower: (args) => call('solveTriangular', 'true')(args),
    solve_upper: (args) => call('solveTriangular', 'false')(args),
    ctc: call('ctcOf'),
    ctc_slope: call('ctcSlopeOf'),
    soft_dtw: call('softDtwOf'),
    soft_dtw_slope: call('softDtwSlopeOf'),
  },
  // Numbers of the host language: it has infinities, and parameters are never traced.
  statics: {
    neg: prefix('-', SIGN),
    add: infix('+', SUM),
    sub: infix('-', SUM),
    mul: infix('*', PRODUCT),
    div: infix('/', PRODUCT),
    exp: call('Math.exp'),
    expm1: call('Math.expm1'),
    log: call('Math.log'),
    log1p: call('Math.log1p'),
    sqrt: call('Math.sqrt'),
    abs: call('Math.abs'),
    pow: call('Math.pow'),
    floor: call('Math.floor'),
    max: call('Math.max'),
    min: call('Math.min'),
    lt: infix('<', ORDER),
    le: infix('<=', ORDER),
    eq: infix('===', EQUAL),
    and: infix('&&', AND),
    or: infix('||', OR),
    not: prefix('!', SIGN),
    select: conditional(CHOICE),
  },
  reserved: JAVASCRIPT_WORDS,
  number: javascriptNumber,
  truth: String,
  assign: (name, { text }) => `const ${name} = ${text}`,
  align: (x, dimensions) =>
    dimensions.reduce<Code>(
      (code, own, place) => (own === null ? atom(`tf.expandDims(${code.text}, ${place})`) : code),
      x,
    ),
  broadcast: (x, shape) => atom(`tf.broadcastTo(${x.text}, ${list(shape)})`),
  broadcastLike: (x, like) => atom(`tf.broadcastTo(${x.text}, ${like.text}.shape)`),
  transpose: (x, order) => atom(`tf.transpose(${x.text}, [${order.join(', ')}])`),
  slice: (x, dimension, place) => atom(`tf.gather(${x.text}, ${place}, ${dimension})`),
  pick: (x, places, dimension) => atom(`pickAlong(${x.text}, ${places.text}, ${dimension})`),
  einsum: (equation, a, b) => atom(`tf.einsum('${equation}', ${a.text}, ${b.text})`),
  range: (size) => atom(`tf.range(0, ${size.text}, 1, 'int32')`),
  realOf: (x) => atom(`tf.cast(${x.text}, 'float32')`),
  arrayOf: (number) => atom(`tf.scalar(${number.text})`),
}

const numbers = (list: readonly number[]) => `[${list.join(', ')}]`

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  signOf: [
    '/** -1, 0 or 1; on some backends tf.sign is 0 for small numbers. */',
    'function signOf(x: tf.Tensor): tf.Tensor {',
    "  return tf.sub(tf.cast(tf.greater(x, 0), 'float32'), tf.cast(tf.less(x, 0), 'float32'))",
    '}',
  ],
  softplusOf: [
    '/** log(1 + e^x), with all digits on the left. */',
    'function softplusOf(x: tf.Tensor): tf.Tensor {',
    '  return tf.add(tf.relu(x), log1pOf(tf.exp(tf.neg(tf.abs(x)))))',
    '}',
  ],
  log1pOf: [
    '/** log(1 + x) with the digits that rounding takes from 1 + x; some backends have them not. */',
    'function log1pOf(x: tf.Tensor): tf.Tensor {',
    '  const u = tf.add(x, 1)',
    '  const d = tf.sub(u, 1)',
    '  const exact = tf.where(tf.equal(d, 0), x, tf.mul(tf.log(u), tf.div(x, d)))',
    '  return tf.where(tf.isInf(u), tf.log(u), exact)',
    '}',
  ],
  timesOf: [
    '/** g * d, but 0 where the gradient g is 0: a branch that was not taken stays silent. */',
    'function timesOf(g: tf.Tensor | number, d: tf.Tensor | number): tf.Tensor {',
    '  return tf.where(tf.equal(g, 0), 0, tf.mul(g, d))',
    '}',
  ],
  pickAlong: [
    '/** The elements of x at these places of an axis, and 0 outside of it. */',
    'function pickAlong(x: tf.Tensor, place: tf.Tensor, axis: number): tf.Tensor {',
    '  const shape = x.shape.map((size, k) => (k === axis ? size : 1))',
    "  const index = tf.reshape(tf.range(0, x.shape[axis]!, 1, 'int32'), shape)",
    '  return tf.sum(tf.where(tf.equal(index, tf.expandDims(place, axis)), x, 0), axis)',
    '}',
  ],
  solveTriangular: [
    '/** The solution x of a x = b for a triangular matrix a, by substitution. */',
    'function solveTriangular(a: tf.Tensor, b: tf.Tensor, isLower: boolean): tf.Tensor {',
    '  const size = b.shape[b.rank - 1]!',
    '  const rights = tf.unstack(b, b.rank - 1)',
    '  const rows = tf.unstack(a, a.rank - 2).map((row) => tf.unstack(row, row.rank - 1))',
    '  const found: tf.Tensor[] = []',
    '  for (let k = 0; k < size; k++) {',
    '    const i = isLower ? k : size - 1 - k',
    '    let rest = rights[i]!',
    '    for (let j = isLower ? 0 : i + 1; j < (isLower ? i : size); j++)',
    '      rest = tf.sub(rest, tf.mul(rows[i]![j]!, found[j]!))',
    '    found[i] = tf.div(rest, rows[i]![i]!)',
    '  }',
    '  return tf.stack(found, b.rank - 1)',
    '}',
  ],
  lgammaOf: [
    '/** log |gamma(x)|: a series about its zero at 2, factors up to 10, Stirling beyond, reflection below 0. */',
    'function lgammaOf(x: tf.Tensor): tf.Tensor {',
    '  const flips = tf.less(x, 0)',
    '  const y = tf.where(flips, tf.sub(1, x), x)',
    '  let [w, product]: [tf.Tensor, tf.Tensor] = [y, tf.onesLike(y)]',
    '  for (let k = 0; k < 8; k++) {',
    '    const isFar = tf.logicalAnd(tf.greater(w, 2.5), tf.less(y, 10))',
    '    w = tf.where(isFar, tf.sub(w, 1), w)',
    '    product = tf.where(isFar, tf.mul(product, w), product)',
    '  }',
    '  const [isSmall, isNearOne] = [tf.less(w, 0.5), tf.less(w, 1.5)]',
    '  const z = tf.where(isSmall, w, tf.where(isNearOne, tf.sub(w, 1), tf.sub(w, 2)))',
    '  const below = tf.neg(log1pOf(z))',
    '  const more = tf.where(isSmall, tf.sub(below, tf.log(w)), tf.where(isNearOne, below, tf.log(product)))',
    '  const near = tf.add(more, tf.mul(z, horner(z, TAYLOR)))',
    '  const tail = tf.div(horner(tf.div(1, tf.mul(y, y)), STIRLING), y)',
    '  const far = tf.add(tf.add(tf.mul(tf.sub(y, 0.5), tf.sub(tf.log(y), 1)), 0.4189385332046727), tail)',
    '  const found = tf.where(tf.less(y, 10), near, far)',
    '  const sine = tf.abs(tf.sin(tf.mul(Math.PI, tf.sub(x, tf.round(x)))))',
    '  return tf.where(flips, tf.sub(tf.sub(Math.log(Math.PI), tf.log(sine)), found), found)',
    '}',
  ],
  digammaOf: [
    '/** The derivative of lgamma: steps up to 10, Stirling beyond, reflection below 0. */',
    'function digammaOf(x: tf.Tensor): tf.Tensor {',
    '  const flips = tf.less(x, 0)',
    '  let y = tf.where(flips, tf.sub(1, x), x)',
    '  let steps: tf.Tensor = tf.zerosLike(y)',
    '  for (let k = 0; k < 10; k++) {',
    '    const isNear = tf.less(y, 10)',
    '    steps = tf.where(isNear, tf.add(steps, tf.div(1, y)), steps)',
    '    y = tf.where(isNear, tf.add(y, 1), y)',
    '  }',
    '  const square = tf.div(1, tf.mul(y, y))',
    '  const tail = tf.mul(square, horner(square, BERNOULLI.map((b, k) => b / (2 * k + 2))))',
    '  const found = tf.sub(tf.sub(tf.sub(tf.log(y), tf.div(0.5, y)), tail), steps)',
    '  const turned = tf.sub(found, tf.mul(Math.PI, cotOfTurn(x)))',
    '  const isPole = tf.logicalAnd(flips, tf.equal(tf.floor(x), x))',
    '  return tf.where(isPole, Number.NaN, tf.where(flips, turned, found))',
    '}',
  ],
  polygammaOf: [
    '/** The derivative of digamma of order n: some terms of a zeta function, and the rest by Euler and Maclaurin. */',
    'function polygammaOf(n: number, x: tf.Tensor): tf.Tensor {',
    '  const flips = tf.less(x, 0)',
    '  let y = tf.where(flips, tf.sub(1, x), x)',
    '  let near: tf.Tensor = tf.zerosLike(y)',
    '  for (let k = 0; k < n + 11; k++) {',
    '    const isNear = tf.less(y, n + 11)',
    '    near = tf.where(isNear, tf.add(near, tf.pow(y, -n - 1)), near)',
    '    y = tf.where(isNear, tf.add(y, 1), y)',
    '  }',
    '  let [factorial, factor] = [1, (n + 1) / 2]',
    '  for (let k = 2; k <= n; k++) factorial *= k',
    '  const numbers = BERNOULLI.map((b, k) => {',
    '    const own = b * factor',
    '    factor *= ((n + 2 * k + 2) * (n + 2 * k + 3)) / ((2 * k + 3) * (2 * k + 4))',
    '    return own',
    '  })',
    '  const tail = tf.div(horner(tf.div(1, tf.mul(y, y)), numbers), y)',
    '  const far = tf.mul(tf.pow(y, -n), tf.add(1 / n, tf.div(tf.add(0.5, tail), y)))',
    '  const sign = n % 2 === 0 ? -1 : 1',
    '  const found = tf.mul(sign * factorial, tf.add(near, far))',
    '  let powers = [0, 1]',
    '  for (let order = 0; order < n; order++) {',
    '    const slope = powers.map((c, k) => k * c).slice(1)',
    '    powers = Array.from({ length: powers.length + 1 }, (_, k) => -(slope[k] ?? 0) - (slope[k - 2] ?? 0))',
    '  }',
    '  const turned = tf.mul(-(Math.PI ** (n + 1)), horner(cotOfTurn(x), powers))',
    '  const isPole = tf.logicalAnd(tf.lessEqual(x, 0), tf.equal(tf.floor(x), x))',
    '  const reflected = tf.where(flips, tf.sub(turned, tf.mul(sign, found)), found)',
    '  return tf.where(isPole, sign * Number.POSITIVE_INFINITY, reflected)',
    '}',
  ],
  cotOfTurn: [
    '/** cot(pi x); next to a quarter turn by what is left to it, which is exact. */',
    'function cotOfTurn(x: tf.Tensor): tf.Tensor {',
    '  const rest = tf.sub(x, tf.round(x))',
    '  const left = tf.sub(0.5, tf.abs(rest))',
    '  const far = tf.mul(signOf(rest), tf.tan(tf.mul(Math.PI, left)))',
    '  return tf.where(tf.less(left, 0.25), far, tf.div(1, tf.tan(tf.mul(Math.PI, rest))))',
    '}',
  ],
  horner: [
    '/** The polynomial with these coefficients, lowest power first. */',
    'function horner(x: tf.Tensor, coefficients: readonly number[]): tf.Tensor {',
    '  const start: tf.Tensor = tf.zerosLike(x)',
    '  return coefficients.reduceRight((sum, c) => tf.add(tf.mul(sum, x), c), start)',
    '}',
  ],
  TAYLOR: [`const TAYLOR = ${numbers(LGAMMA_TAYLOR.slice(0, 16))}`],
  STIRLING: [
    `const STIRLING = ${numbers(BERNOULLI.slice(0, 5).map((b, i) => b / ((2 * i + 2) * (2 * i + 1))))}`,
  ],
  BERNOULLI: [`const BERNOULLI = ${numbers(BERNOULLI.slice(0, 6))}`],
  ...TFJS_ALIGNMENTS,
  shiftAlong: [
    '/** The element that many steps before each one, and 0 where there is none. */',
    'function shiftAlong(x: tf.Tensor, steps: number, axis: number): tf.Tensor {',
    '  const size = x.shape[axis]!',
    '  const count = Math.min(Math.abs(steps), size)',
    '  const part = (length: number) => x.shape.map((own, k) => (k === axis ? length : own))',
    '  const begin = x.shape.map((_, k) => (k === axis && steps < 0 ? count : 0))',
    '  const rest = tf.slice(x, begin, part(size - count))',
    '  const none = tf.zeros(part(count))',
    '  return tf.concat(steps > 0 ? [none, rest] : [rest, none], axis)',
    '}',
  ],
  recurrenceAlong: [
    '/** Each x plus a times the result before it, from the first or the last on; 0 adds nothing, whatever a is. */',
    'function recurrenceAlong(x: tf.Tensor, a: tf.Tensor, axis: number, step: number): tf.Tensor {',
    '  const size = x.shape[axis]!',
    '  if (size === 0) return x',
    '  const [terms, factors] = [tf.split(x, size, axis), tf.split(a, size, axis)]',
    '  const found: tf.Tensor[] = []',
    '  for (let k = step > 0 ? 0 : size - 1; k >= 0 && k < size; k += step) {',
    '    const last = found.at(-1)',
    '    found.push(last === undefined ? terms[k]! : tf.add(terms[k]!, timesOf(last, factors[k]!)))',
    '  }',
    '  return tf.concat(step > 0 ? found : found.reverse(), axis)',
    '}',
  ],
  argsortAlong: [
    '/** The places from the smallest to the largest, equal ones by place, NaN last. */',
    'function argsortAlong(x: tf.Tensor, axis: number): tf.Tensor {',
    '  const descending = tf.where(tf.isNaN(x), Number.NEGATIVE_INFINITY, tf.neg(x))',
    '  return exchanged(tf.topk(exchanged(descending, axis), x.shape[axis]!).indices, axis)',
    '}',
  ],
  gatherAlong: [
    '/** x at these places of an axis, and 0 outside of it. */',
    'function gatherAlong(x: tf.Tensor, place: tf.Tensor, axis: number): tf.Tensor {',
    '  const [inside, flat] = flatPlaces(place, x.shape[axis]!, axis)',
    '  const found = tf.gather(tf.reshape(exchanged(x, axis), [-1]), flat)',
    '  return exchanged(tf.where(inside, found, 0), axis)',
    '}',
  ],
  scatterAlong: [
    '/** The sum of those x that go to each place of an axis; what goes outside is dropped. */',
    'function scatterAlong(x: tf.Tensor, place: tf.Tensor, axis: number): tf.Tensor {',
    '  const [inside, flat] = flatPlaces(place, x.shape[axis]!, axis)',
    '  const moved = exchanged(x, axis)',
    '  const terms = tf.reshape(tf.where(inside, moved, 0), [-1])',
    '  const sums = tf.scatterND(tf.reshape(flat, [-1, 1]), terms, [x.size])',
    '  return exchanged(tf.reshape(sums, moved.shape), axis)',
    '}',
  ],
  flatPlaces: [
    '/** Whether places are inside of an axis, and where they are in flat memory in which it is the last one. */',
    'function flatPlaces(place: tf.Tensor, size: number, axis: number): [tf.Tensor, tf.Tensor] {',
    "  const own = exchanged(tf.cast(place, 'int32'), axis)",
    '  const inside = tf.logicalAnd(tf.greaterEqual(own, 0), tf.less(own, size))',
    '  const lines = own.shape.slice(0, -1)',
    "  const starts = tf.reshape(tf.range(0, own.size, size, 'int32'), [...lines, 1])",
    "  return [inside, tf.add(starts, tf.cast(tf.where(inside, own, 0), 'int32'))]",
    '}',
  ],
  exchanged: [
    '/** An axis exchanged with the last one. */',
    'function exchanged(x: tf.Tensor, axis: number): tf.Tensor {',
    '  const last = x.rank - 1',
    '  return tf.transpose(x, x.shape.map((_, k) => (k === axis ? last : k === last ? axis : k)))',
    '}',
  ],
  cummaxPlaceAlong: [
    '/** Where the largest so far stands: the first of equal ones; nothing is larger than a NaN. */',
    'function cummaxPlaceAlong(x: tf.Tensor, axis: number): tf.Tensor {',
    '  const [first, ...others] = tf.unstack(x, axis)',
    '  let largest = first!',
    "  let place: tf.Tensor = tf.zeros(largest.shape, 'int32')",
    '  const places = [place]',
    '  others.forEach((value, k) => {',
    '    const rises = tf.logicalOr(',
    '      tf.greater(value, largest),',
    '      tf.logicalAnd(tf.isNaN(value), tf.logicalNot(tf.isNaN(largest))),',
    '    )',
    "    place = tf.where(rises, tf.fill(place.shape, k + 1, 'int32'), place)",
    '    largest = tf.where(rises, value, largest)',
    '    places.push(place)',
    '  })',
    '  return tf.stack(places, axis)',
    '}',
  ],
}

/** Names of the frame. */
const RESERVED = [
  ...Object.keys(HELPERS),
  'tf',
  'reduction',
  'values',
  'args',
  'save',
  'saved',
  'total',
  'count',
  'rest',
]

const NOTES = [
  'Returns the loss, reduced by "mean", "sum" or "none". Its gradient is written out; parameters and labels have none.',
]

interface Parts extends GradientParts {
  /** Parameter -> the name of its number, for those that must be tensors. */
  readonly numbers: ReadonlyMap<string, string>
}

function write(source: SourceProgram, { name }: WriteOptions): string {
  const own = camelCase(name)
  const parts = partsOf(source, own)
  const body = functionLines(parts, own)
  const lines = [
    "import * as tf from '@tensorflow/tfjs'",
    '',
    ...optionsLines(parts, own),
    '',
    '/**',
    ...headerLines(source, NOTES).map((line) => ` * ${commentSafe(line)}`.trimEnd()),
    ' */',
    ...body,
    '',
    ...helpersIn(body, HELPERS),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function partsOf(source: SourceProgram, name: string): Parts {
  const parts = gradientParts(source, SYNTAX, [...RESERVED, name])
  const { names } = parts.names
  const numbers = new Map(tensorParams(parts).map((param) => [param, names.take(`${param}_number`)]))
  return { ...parts, numbers }
}

/** The parameters, which may be left out. */
function optionsLines({ source, names }: Parts, name: string): string[] {
  return [
    `export interface ${pascalCase(name)}Options {`,
    ...source.params.map((param) => `  ${names.params.get(param.name)}?: number`),
    "  reduction?: 'mean' | 'sum' | 'none'",
    '}',
  ]
}

function functionLines(parts: Parts, name: string): string[] {
  const { source, names, numbers } = parts
  const defaults = source.params.map((param) => {
    const number = numbers.get(param.name)
    const own = names.params.get(param.name)!
    return `${number === undefined ? own : `${own}: ${number}`} = ${javascriptNumber(param.value)}`
  })
  return [
    `export function ${name}(`,
    ...[...names.inputs.values()].map((input) => `  ${input}: tf.Tensor,`),
    `  { ${[...defaults, "reduction = 'mean'"].join(', ')} }: ${pascalCase(name)}Options = {},`,
    '): tf.Tensor {',
    '  return tf.tidy(() => {',
    ...indented([...flattening(parts), ...valueLines(parts), ...reduction(parts)], '    '),
    '  })',
    '}',
  ]
}

/** Inputs whose other axes are seen as one. */
function flattening({ source, names }: Parts): string[] {
  const shape = valueShape(source)
  const flattened = flattenedInputs(source).map(({ name, axes }) => {
    const own = names.inputs.get(name)!
    const before = axes.indexOf('...')
    const after = axes.length - before - 1
    const parts = [
      ...(before === 0 ? [] : [`...${own}.shape.slice(0, ${before})`]),
      '-1',
      ...(after === 0 ? [] : [`...${own}.shape.slice(-${after})`]),
    ]
    return `${own} = tf.reshape(${own}, [${parts.join(', ')}])`
  })
  if (shape === undefined) return flattened
  const end = shape.until === 0 ? '' : `, ${shape.until}`
  return [`const rest = ${names.inputs.get(shape.of)}.shape.slice(${shape.from}${end})`, ...flattened]
}

/** What a function needs before its lines. */
function prelude(parts: Parts, lines: ArrayLines): string[] {
  const { names, numbers } = parts
  const read = sizesRead(parts, lines).map(([name, argument, place]) => {
    return `const ${name} = ${argument}.shape[${place}]!`
  })
  const made = [...numbers].flatMap(([param, number]) => {
    const own = names.params.get(param)!
    if (lines.asArrays.includes(param)) return [`const ${own} = tf.scalar(${number})`]
    return mentions(lines.lines, own) ? [`const ${own} = ${number}`] : []
  })
  return [...made, ...read]
}

function mentions(lines: readonly string[], name: string): boolean {
  return lines.some((line) => new RegExp(`\\b${name}\\b`).test(line))
}

/** `const [predictions, , targets] = args`, with those that the lines read. */
function taken(
  from: string,
  all: readonly string[],
  types: readonly string[],
  lines: readonly string[],
): string[] {
  const used = all.map((name) => (mentions(lines, name) ? name : ''))
  const last = used.findLastIndex((name) => name !== '')
  if (last < 0) return []
  const names = used.slice(0, last + 1).join(', ')
  return [`const [${names}] = ${from} as [${types.slice(0, all.length).join(', ')}]`]
}

function valueLines(parts: Parts): string[] {
  const { names, loss, value, wanted } = parts
  const own = [...prelude(parts, value), ...value.lines]
  if (wanted.length === 0)
    return [
      'const values = () => {',
      ...indented([...own, `return ${loss}`], '  '),
      '}',
      `const ${loss} = values()`,
    ]
  const inputs = [...names.inputs.values()]
  const gradient = gradientLines(parts)
  const saved = inputs.filter((name) => mentions(gradient, name))
  const tensors = inputs.map(() => 'tf.Tensor')
  const body = [`save([${saved.join(', ')}])`, ...own]
  return [
    'const values = tf.customGrad((...args) => {',
    ...indented(
      [
        ...taken('args', [...inputs, 'save'], [...tensors, 'tf.GradSaveFunc'], body),
        ...body,
        'return {',
        `  value: ${isInput(parts) ? `tf.clone(${loss})` : loss},`,
        `  gradFunc: (${mentions(gradient, names.cotangent) ? names.cotangent : '_'}: tf.Tensor, saved: tf.Tensor[]) => {`,
        ...indented([...taken('saved', saved, tensors, gradient), ...gradient], '    '),
        '  },',
        '}',
      ],
      '  ',
    ),
    '})',
    `const ${loss} = values(${inputs.join(', ')})`,
  ]
}

/** A value that is an input would have the gradient of the input. */
function isInput({ source: { program } }: Parts): boolean {
  return program.nodes[program.value].op === 'input'
}

function gradientLines(parts: Parts): string[] {
  const { names, gradient, wanted } = parts
  const returned = [...names.inputs].map(([name, own]) => {
    return gradient.results[wanted.indexOf(name)]?.text ?? `tf.zeros(${own}.shape)`
  })
  return [...prelude(parts, gradient), ...gradient.lines, `return [${returned.join(', ')}]`]
}

function reduction(parts: Parts): string[] {
  const { source, names, loss, shares, wanted } = parts
  const { lengths } = source
  const mean = lengths === undefined ? loss : `tf.div(${loss}, tf.maximum(${names.inputs.get(lengths)}, 1))`
  const shape = valueShape(source)
  const sizes = shape?.axes.map((axis, place) => (axis === '...' ? '...rest' : `${loss}.shape[${place}]!`))
  const shaped = sizes === undefined ? loss : `tf.reshape(${loss}, [${sizes.join(', ')}])`
  if (shares === undefined)
    return [
      `if (reduction === 'none') return ${shaped}`,
      `return reduction === 'sum' ? tf.sum(${loss}) : tf.mean(${mean})`,
    ]
  const own = [...prelude(parts, shares), ...shares.lines]
  const count = `tf.sum(${shares.results[0].text})`
  const isVaried = wanted.some((input) => mentions([...own, count], names.inputs.get(input)!))
  return [
    `if (reduction === 'none') return ${shaped}`,
    `if (reduction === 'sum') return tf.sum(${loss})`,
    ...(isVaried ? constantCount(own, count) : own),
    // The numerator of tf.divNoNan has no gradient.
    `return tf.mul(tf.sum(${loss}), tf.divNoNan(1, ${isVaried ? 'count()' : count}))`,
  ]
}

/** A denominator has no gradient, whatever it is computed from: nothing is recorded within a gradient of one's own. */
function constantCount(lines: readonly string[], count: string): string[] {
  return [
    'const count = tf.customGrad(() => {',
    ...indented([...lines, `return { value: ${count}, gradFunc: () => [] }`], '  '),
    '})',
  ]
}
