/**
 * Hints for error messages: recognizes the notation of Python, NumPy, PyTorch, TensorFlow, C and papers, and says
 * how to write it in this language. Nothing here changes what is accepted.
 */

import { nearest } from '../nearest.ts'
import type { Parameter } from './arguments.ts'
import { FUNCTIONS } from './functions.ts'

/** `; write "x"`, with `or` between several ways. */
export function writeHint(...ways: readonly string[]): string {
  return `; write ${ways.map((way) => `"${way}"`).join(' or ')}`
}

// Characters

const NO_STRING = '; words are written without quotes: mode == soft'
const NO_DEFINITION = '; define a function on a line of its own, as in "f(x) = x^2"'
const NO_BLOCK = '; there are no blocks; a choice is "c ? a : b"'
const NO_LATEX = '; LaTeX is not supported; write functions by name: sqrt(x), exp(x)'
const ONE_VALUE = '; a name is assigned only once; use a new one: b = a + 1'
export const INDEXING_HINT = '; write "pick(x, 0, axis)" for one element along an axis'
export const KEYWORD_ARGUMENT_HINT = '; arguments have no names; write the axis itself: sum(x, classes)'

/**
 * Text that no formula can contain, although its first character may be an operator here. If two start alike, the
 * longer one comes first.
 */
const OPERATORS: readonly (readonly [text: string, hint: string])[] = [
  ['===', writeHint('==')],
  ['!==', writeHint('!=')],
  ['&&', writeHint('and')],
  ['||', writeHint('or')],
  ['<>', writeHint('!=')],
  ['=<', writeHint('<=')],
  ['=>', `${writeHint('>=')} to compare${NO_DEFINITION}`],
  [':=', writeHint('=')],
  ['//', `${writeHint('floor(a / b)')}, and "#" before a comment`],
  ['++', ONE_VALUE],
  ['+=', ONE_VALUE],
  ['-=', ONE_VALUE],
  ['*=', ONE_VALUE],
  ['/=', ONE_VALUE],
  ['.*', writeHint('*')],
  ['./', writeHint('/')],
  ['.^', writeHint('^')],
]

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹'
const POWERS = [...SUPERSCRIPTS].map((sign, power) => [sign, writeHint(`^${power}`)] as const)

const SIGNS: ReadonlyMap<string, string> = new Map([
  ...each('×·⋅∗∙⊙⊗•', writeHint('*')),
  ...each('÷∕⁄', writeHint('/')),
  ...each('−–—‐‑', writeHint('-')),
  ...each('≤⩽≦', writeHint('<=')),
  ...each('≥⩾≧', writeHint('>=')),
  ...each('≠', writeHint('!=')),
  ...each('≈≃≅', writeHint('abs(a - b) < 1e-6')),
  ...each('&∧', writeHint('and')),
  ...each('|∨', writeHint('or')),
  ...each('!~¬', writeHint('not')),
  ...each('→', writeHint('->')),
  ...each('←', writeHint('=')),
  ...each('…', writeHint('...')),
  ...each('√', writeHint('sqrt(x)')),
  ...each('∑Σ', writeHint('sum(x, axis)')),
  ...each('∏Π', writeHint('exp(sum(log(x), axis))')),
  ...each('‖∥', writeHint('norm(x, axis)')),
  ...each('⌊⌋', writeHint('floor(x)')),
  ...each('∞', writeHint('1 / 0')),
  ...each('∂∇', '; gradients are derived automatically; write only the value'),
  ...each('π', writeHint('3.141592653589793')),
  ...each('σ', writeHint('sigma', 'sigmoid(x)')),
  ...each('%', writeHint('a - b * floor(a / b)')),
  ...each('@', writeHint('sum(a * b, axis)')),
  ...each(';', '; write each statement on a line of its own'),
  ...each('"\'`“”‘’„«»', NO_STRING),
  ...each('{}', NO_BLOCK),
  ...each('\\$', NO_LATEX),
  ...each('⁻', writeHint('^-1')),
  ...POWERS,
])

function each(signs: string, hint: string): (readonly [string, string])[] {
  return [...signs].map((sign) => [sign, hint] as const)
}

const GREEK =
  'alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon phi chi psi omega'.split(
    ' ',
  )
const [SMALL_ALPHA, CAPITAL_ALPHA] = [0x3b1, 0x391]

/** Letters of other alphabets that look like Latin ones. */
const LOOKALIKES: ReadonlyMap<string, string> = new Map(
  [...'аеорсухіјѕһԁԛԝАВЕКМНОРСТХІЈЅ'].map((letter, place) => {
    return [letter, 'aeopcyxijshdqwABEKMHOPCTXIJS'[place]] as const
  }),
)

/** Marks above a letter, and how names write them after it. */
const MARKS: ReadonlyMap<string, string> = new Map([
  ['\u0302', 'hat'],
  ['\u0303', 'tilde'],
  ['\u0304', 'bar'],
])

/** What is wrong with the text at a position. */
export interface Misspelt {
  readonly text: string
  readonly hint: string
}

/** An operator of another language, at a position where one of ours may seem to begin. */
export function foreignOperator(source: string, offset: number): Misspelt | undefined {
  const found = OPERATORS.find(([text]) => source.startsWith(text, offset))
  return found && { text: found[0], hint: found[1] }
}

/** @param isOperand whether a value is expected here */
export function foreignCharacter(letter: string, isOperand: boolean): Misspelt {
  if (letter === '|' && isOperand) return { text: letter, hint: writeHint('abs(x)') }
  const hint = SIGNS.get(letter) ?? asLetter(letter)
  return { text: /\p{L}|\p{N}|\p{P}|\p{S}/u.test(letter) ? letter : codeOf(letter), hint }
}

const codeOf = (letter: string) => `U+${letter.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`

function asLetter(letter: string): string {
  const plain = inAscii(letter)
  if (plain !== undefined) return plain === ' ' ? '; write a plain space' : writeHint(plain)
  return /\p{C}/u.test(letter) ? '; remove it' : ' (names are ASCII letters, digits and _)'
}

/** The ASCII equivalent of a letter, by its name, its shape or its Unicode decomposition. */
function inAscii(letter: string): string | undefined {
  const [base, mark] = letter.normalize('NFD')
  const simple = letter.normalize('NFKC').replace('⁄', '/')
  if (/^[\x20-\x7e]+$/.test(simple)) return simple
  if (MARKS.has(base)) return `_${MARKS.get(base)}`
  if (mark !== undefined && /[A-Za-z]/.test(base)) return [base, MARKS.get(mark)].filter(Boolean).join('_')
  return greekName(simple) ?? LOOKALIKES.get(letter)
}

function greekName(letter: string): string | undefined {
  const code = letter.codePointAt(0)!
  const capital = GREEK[code - CAPITAL_ALPHA]
  if (capital !== undefined) return capital[0].toUpperCase() + capital.slice(1)
  return GREEK[code - SMALL_ALPHA]
}

// Members: np.abs(x), x.sum()

const MODULES: ReadonlySet<string> = new Set(
  'np numpy jnp jax torch tf tensorflow keras K F nn math Math cmath scipy special sp stats optax tfp tfm cp cupy mx pl pd lax functional ops backend linalg'.split(
    ' ',
  ),
)

/** Whether a name is that of a library. Here its functions are called without it. */
export function isModule(name: string): boolean {
  return MODULES.has(name)
}

/** The `log` of `.math.log(x)`. */
const MEMBER = /\.\s*[A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)*/y

/** @param owner the name before the dot, if there is one */
export function memberHint(source: string, offset: number, owner: string | undefined): string | undefined {
  MEMBER.lastIndex = offset
  const chain = MEMBER.exec(source)?.[0]
  if (chain === undefined) return undefined
  const member = chain.split('.').at(-1)!.trim()
  const subject = owner === undefined || isModule(owner) ? 'x' : owner
  const way = NAMES.get(member) ?? translateCall(member, subject)
  return way === undefined ? '; functions are called without a prefix: abs(x)' : writeHint(way)
}

// Functions

/** Name in another language -> how to write it here, with x and y. */
export const FOREIGN_FUNCTIONS: Readonly<Record<string, string>> = {
  absolute: 'abs(x)',
  fabs: 'abs(x)',
  negative: '-x',
  neg: '-x',
  add: 'x + y',
  subtract: 'x - y',
  multiply: 'x * y',
  mul: 'x * y',
  divide: 'x / y',
  div: 'x / y',
  truediv: 'x / y',
  div_no_nan: 'y == 0 ? 0 : x / y',
  reciprocal: '1 / x',
  pow: 'x ^ y',
  cbrt: 'sign(x) * abs(x) ^ (1 / 3)',
  rsqrt: '1 / sqrt(x)',
  exp2: '2 ^ x',
  ln: 'log(x)',
  clip_by_value: 'clamp(x, low, high)',
  arctan: 'atan(x)',
  arctan2: 'atan2(x, y)',
  arcsin: 'asin(x)',
  arccos: 'acos(x)',
  rint: 'round(x)',
  trunc: 'sign(x) * floor(abs(x))',
  tan: 'sin(x) / cos(x)',
  sinh: '(exp(x) - exp(-x)) / 2',
  cosh: '(exp(x) + exp(-x)) / 2',
  logit: 'log(x) - log1p(-x)',
  relu6: 'clamp(x, 0, 6)',
  leaky_relu: 'max(x, 0.01 * x)',
  elu: 'x > 0 ? x : expm1(x)',
  gelu: 'x * (1 + erf(x / sqrt(2))) / 2',
  mish: 'x * tanh(softplus(x))',
  erfc: '1 - erf(x)',
  hypot: 'sqrt(x * x + y * y)',
  gammaln: 'lgamma(x)',
  loggamma: 'lgamma(x)',
  log_gamma: 'lgamma(x)',
  gamma: 'exp(lgamma(x))',
  factorial: 'exp(lgamma(x + 1))',
  betaln: 'lbeta(x, y)',
  log_beta: 'lbeta(x, y)',
  beta: 'exp(lbeta(x, y))',
  psi: 'digamma(x)',
  heaviside: 'x > 0 ? 1 : 0',
  isfinite: 'is_finite(x)',
  isnan: 'x != x',
  nan_to_num: 'is_finite(x) ? x : 0',
  reduce_sum: 'sum(x, axis)',
  nansum: 'sum(x, axis)',
  reduce_mean: 'mean(x, axis)',
  average: 'mean(x, axis)',
  nanmean: 'mean(x, axis)',
  reduce_max: 'max(x, axis)',
  amax: 'max(x, axis)',
  reduce_min: 'min(x, axis)',
  amin: 'min(x, axis)',
  reduce_variance: 'var(x, axis)',
  variance: 'var(x, axis)',
  nanvar: 'var(x, axis)',
  reduce_std: 'std(x, axis)',
  stddev: 'std(x, axis)',
  reduce_any: 'any(c, axis)',
  reduce_all: 'all(c, axis)',
  count_nonzero: 'count(x != 0, axis)',
  reduce_logsumexp: 'logsumexp(x, axis)',
  prod: 'exp(sum(log(x), axis))',
  accumulate: 'cummax(x, axis)',
  take_along_axis: 'gather(x, i, axis)',
  take: 'pick(x, i, axis)',
  segment_sum: 'scatter(x, i, axis)',
  lag: 'shift(x, 1, axis)',
  lead: 'shift(x, -1, axis)',
  diff: 'x - shift(x, 1, axis)',
  convolve: 'conv(x, [0.25, 0.5, 0.25], axis)',
  convolve1d: 'conv(x, [0.25, 0.5, 0.25], axis)',
  conv1d: 'conv(x, [0.25, 0.5, 0.25], axis)',
  correlate: 'conv(x, [0.25, 0.5, 0.25], axis)',
  avg_pool1d: 'window_mean(x, 3, axis)',
  uniform_filter1d: 'window_mean(x, 3, axis)',
  rolling: 'window_mean(x, 3, axis)',
  diagonal: 'diag(x, rows, axis)',
  trace: 'sum(diag(x, rows, axis), rows)',
  logdet: '2 * sum(log(diag(x, rows, axis)), rows)',
  slogdet: '2 * sum(log(diag(x, rows, axis)), rows)',
  l2_normalize: 'x / norm(x, axis)',
  normalize: 'x / norm(x, axis)',
  dot: 'sum(x * y, axis)',
  inner: 'sum(x * y, axis)',
  vdot: 'sum(x * y, axis)',
  matmul: 'sum(x * y, axis)',
  detach: 'stop_gradient(x)',
  shape: 'size(axis)',
  numel: 'size(axis)',
  len: 'size(axis)',
  arange: 'index(axis)',
  range: 'index(axis)',
  T: 'x[rows -> others]',
  transpose: 'x[rows -> others]',
  if: 'c ? a : b',
  cond: 'c ? a : b',
  ifelse: 'c ? a : b',
  iif: 'c ? a : b',
  select: 'c ? a : b',
  where: 'where(c, a, b)',
  equal: 'x == y',
  not_equal: 'x != y',
  less: 'x < y',
  less_equal: 'x <= y',
  greater: 'x > y',
  greater_equal: 'x >= y',
  logical_and: 'x and y',
  logical_or: 'x or y',
  logical_not: 'not x',
  zeros_like: '0',
  ones_like: '1',
  xor: 'x ? not y : y',
}

const ARGUMENTS: Readonly<Record<Parameter, readonly string[]>> = {
  number: ['x', 'y', 'z'],
  'number?': [],
  place: ['i', 'j', 'k'],
  order: ['n'],
  length: ['n'],
  weights: ['[0.25, 0.5, 0.25]'],
  truth: ['c'],
  axis: ['axis', 'other'],
  axes: ['axis'],
}

/**
 * How to write a function of another language here; undefined if nothing is similar.
 *
 * @example
 * translateCall('reduce_sum') // 'sum(x, axis)'
 */
export function translateCall(name: string, subject = 'x'): string | undefined {
  const found = Object.hasOwn(FOREIGN_FUNCTIONS, name) ? FOREIGN_FUNCTIONS[name] : exampleOf(name)
  return found?.replace(/\bx\b/g, () => subject)
}

/** A call of one of our functions. */
function exampleOf(name: string): string | undefined {
  const own = FUNCTIONS.has(name) ? name : nearest(name, FUNCTIONS.keys())
  if (own === undefined) return undefined
  const counts = new Map<string, number>()
  const args = FUNCTIONS.get(own)!.parameters.flatMap((kind) => {
    const place = counts.get(kind) ?? 0
    counts.set(kind, place + 1)
    return ARGUMENTS[kind].slice(place, place + 1)
  })
  return `${own}(${args.join(', ')})`
}

/** The hint for a call of an unknown function. */
export function callHint(name: string): string {
  const way = Object.hasOwn(FOREIGN_FUNCTIONS, name) ? writeHint(FOREIGN_FUNCTIONS[name]) : undefined
  return way ?? WORDS.get(name) ?? ''
}

// Words

const CHOICE = writeHint('c ? a : b')
const AS_NAMED = '; write "e = x - y", without a keyword'

const NO_LOOP = '; there are no loops; write "sum(x, axis)" or another function over an axis'
const NO_IMPORT = '; nothing needs to be imported; write "abs(x)"'

/** Words of other grammars. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ...words('if then else elif elseif otherwise switch case', CHOICE),
  ...words('let const var val local float double', AS_NAMED),
  ...words('lambda def function fn fun func class', NO_DEFINITION),
  ...words('for while', NO_LOOP),
  ...words('import from', NO_IMPORT),
  ['return', '; the last line is the value; write it without a keyword'],
  ['is', writeHint('==')],
  ['in', writeHint('a == b or a == c')],
  ['mod', writeHint('a - b * floor(a / b)')],
  ['div', writeHint('floor(a / b)')],
  ['AND', writeHint('and')],
  ['OR', writeHint('or')],
  ['NOT', writeHint('not')],
])

function words(list: string, hint: string): (readonly [string, string])[] {
  return list.split(' ').map((word) => [word, hint] as const)
}

/** Words that are operators between two values, and names anywhere else. */
const BETWEEN: ReadonlySet<string> = new Set(['is', 'in', 'mod', 'div', 'AND', 'OR'])

/** Names of numbers in other languages. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ...words('True TRUE', 'true'),
  ...words('False FALSE', 'false'),
  ...words('pi PI', '3.141592653589793'),
  ...words('inf INF Infinity infinity', '1 / 0'),
  ...words('nan NaN', '0 / 0'),
  ['e', 'exp(1)'],
])
const NOTHING: ReadonlySet<string> = new Set(['None', 'null', 'nil', 'undefined'])

/** The hint for a name that has no meaning here; undefined for an ordinary unknown name. */
export function foreignNameHint(name: string): string | undefined {
  const number = NAMES.get(name)
  if (number !== undefined) return writeHint(number)
  if (NOTHING.has(name)) return '; test with given(x) whether it is in the request'
  return (
    WORDS.get(name) ?? (FUNCTIONS.has(name) ? `; it is a function${writeHint(exampleOf(name)!)}` : undefined)
  )
}

/** What the parser sees of a token. */
interface Word {
  readonly kind: string
  readonly text: string
}

/**
 * The first word of another grammar on a line, from `start` to `end`: one that is next to a value without an
 * operator. Anywhere else it may be a name (`lambda * x`).
 *
 * @returns its index
 */
export function foreignWord(tokens: readonly Word[], start: number, end: number): number | undefined {
  for (let place = start; place <= end; place++) {
    const { kind, text } = tokens[place]
    if (kind === 'name' && WORDS.has(text) && isOutOfPlace(tokens, place)) return place
  }
  return undefined
}

/** @param word one of those */
export function wordHint(word: string): string {
  return WORDS.get(word)!
}

function isOutOfPlace(tokens: readonly Word[], place: number): boolean {
  const { text } = tokens[place]
  const isAfter = endsValue(tokens[place - 1])
  const isBefore = beginsValue(tokens[place + 1])
  if (BETWEEN.has(text)) return isAfter && isBefore
  const isCondition = (text === 'if' || text === 'while' || text === 'elif') && tokens[place + 1].text === '('
  return isAfter || isBefore || isCondition || (text === 'lambda' && tokens[place + 1].text === ':')
}

/** Whether a value may end with the token. */
export function endsValue(token: Word | undefined): boolean {
  return token !== undefined && (/^(name|number)$/.test(token.kind) || /^[)\]]$/.test(token.text))
}

function beginsValue({ kind }: Word): boolean {
  return kind === 'name' || kind === 'number'
}

/** The hint for a token where an operator or the end of the line is expected. */
export function operatorHint(before: Word | undefined, found: Word): string {
  if (found.text === '=') return `${writeHint('==')} to compare`
  if (found.text === ',') return '; a formula has one value'
  const isFactor = beginsValue(found) || found.text === '('
  const isAfterFactor = before !== undefined && (before.kind === 'number' || /^[)\]]$/.test(before.text))
  return isFactor && isAfterFactor ? `${writeHint('*')} between factors` : ''
}

/** The hint for a token where a value is expected. */
export function valueHint({ text }: Word): string {
  if (text === '+') return '; write a positive value without a sign'
  if (text === '=') return writeHint('==', '<=', '>=')
  return ''
}
