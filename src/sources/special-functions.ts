/**
 * erf, lgamma and its derivatives as functions of languages whose libraries have them not: the algorithms of language/gamma.ts and
 * language/scalar.ts, with their constants.
 */
import {
  BERNOULLI,
  cotDerivativePolynomial,
  DIGAMMA_TAYLOR,
  DIGAMMA_ZERO,
  factorial,
  hurwitzTail,
  LGAMMA_TAYLOR,
  TINY,
} from '../language/gamma.ts'
import { atom, type Rule } from './code.ts'
import { type HelperSyntax, helperParams } from './loop-axis-ops.ts'

/** Derivatives of digamma that formulas can have: those that they name, and their own first and second derivatives. */
const MOST_DERIVATIVES = 8

/** From here on Stirling's series is exact in its first terms. */
const FAR = 10

/** The terms of a Taylor series that are left of a double within half of its radius. */
const TERMS = 30

const words = (n: number) => `polygamma ${n}`

/** The names of all of these functions, which nothing else may have. */
export const FUNCTION_WORDS: readonly string[] = [
  'erf of',
  'lgamma of',
  'digamma of',
  ...Array.from({ length: MOST_DERIVATIVES }, (_, i) => words(i + 1)),
  'cot of turn',
]

/** How ops become calls of them. */
export function functionRules({
  name,
}: HelperSyntax): Readonly<Record<'erf' | 'lgamma' | 'digamma' | 'polygamma', Rule>> {
  const rule =
    (own: string): Rule =>
    ([x]) =>
      atom(`${name(own)}(${x.text})`)
  return {
    erf: rule('erf of'),
    lgamma: rule('lgamma of'),
    digamma: rule('digamma of'),
    polygamma: ([n, x]) => rule(words(Number.parseInt(n.text, 10)))([x]),
  }
}

/** A function for each op, and those that they call. */
export function loopFunctions(syntax: HelperSyntax): Readonly<Record<string, readonly string[]>> {
  const s: Words = { ...syntax, call: (name, ...args) => `${syntax.name(name)}(${args.join(', ')})` }
  const orders = Array.from({ length: MOST_DERIVATIVES }, (_, i) => i + 1)
  const functions = [
    ['erf of', erf(s)],
    ['cot of turn', cotOfTurn(s)],
    ['lgamma of', lgamma(s)],
    ['digamma of', digamma(s)],
    ...orders.map((n) => [words(n), polygamma(s, n)] as const),
  ] as const
  return Object.fromEntries(functions.map(([name, lines]) => [syntax.name(name), lines]))
}

type Words = HelperSyntax & { call(name: string, ...args: readonly string[]): string }

const X = helperParams('x: real')

/** `sum` by Horner's rule: the coefficients, lowest power first. */
function horner(s: Words, coefficients: readonly number[], at: string, sum = 'sum'): string[] {
  const [highest, ...lower] = coefficients.toReversed()
  return [
    s.variable('real', sum, s.number(highest)),
    ...lower.map((c) => s.set(sum, `${sum} * ${at} ${c < 0 ? '-' : '+'} ${s.number(Math.abs(c))}`)),
  ]
}

const infinite = (s: Words, x: string) => s.differs(`${x} - ${x}`, s.number(0))
const whole = (s: Words, x: string) => s.equal(s.math('floor', x), x)

function erf(s: Words): string[] {
  const two = 2 / Math.sqrt(Math.PI)
  return s.define(
    'erf of',
    X,
    'real',
    'The error function: its Maclaurin series below 2, a continued fraction above.',
    [
      s.constant('real', 'size', s.math('abs', 'x')),
      ...s.when(s.differs('x', 'x'), [s.return('x')]),
      s.variable('real', 'sign', s.number(1)),
      ...s.when(`x < ${s.number(0)}`, [s.set('sign', s.number(-1))]),
      ...s.when(`size > ${s.number(6)}`, [s.return('sign')]),
      ...s.when(`size < ${s.number(2)}`, [
        s.variable('real', 'term', 'x'),
        s.variable('real', 'sum', 'x'),
        ...s.each('k', '1', '60', [
          s.set('term', `-term * x * x / ${s.real('k')}`),
          s.set('sum', `sum + term / ${s.real('(2 * k + 1)')}`),
        ]),
        s.return(`${s.number(two)} * sum`),
      ]),
      s.variable('real', 'fraction', s.number(0)),
      ...s.each('k', '0', '60', [
        s.constant('real', 'half', `${s.real('(60 - k)')} / ${s.number(2)}`),
        s.set('fraction', 'half / (size + fraction)'),
      ]),
      s.return(
        `sign * (${s.number(1)} - ${s.exp('-size * size')} / (${s.number(Math.sqrt(Math.PI))} * (size + fraction)))`,
      ),
    ],
  )
}

function cotOfTurn(s: Words): string[] {
  const tan = (x: string) => `${s.math('sin', x)} / ${s.math('cos', x)}`
  const pi = s.number(Math.PI)
  return s.define(
    'cot of turn',
    X,
    'real',
    'cot(pi x); next to a quarter turn by what is left to it, which is exact.',
    [
      s.constant('real', 'rest', `x - ${s.math('floor', `x + ${s.number(0.5)}`)}`),
      s.constant('real', 'left', `${s.number(0.5)} - ${s.math('abs', 'rest')}`),
      ...s.when(`left > ${s.number(0.25)}`, [
        s.return(`${s.math('cos', `${pi} * rest`)} / ${s.math('sin', `${pi} * rest`)}`),
      ]),
      ...s.when(`rest < ${s.number(0)}`, [s.return(`-${tan(`${pi} * left`)}`)]),
      s.return(tan(`${pi} * left`)),
    ],
  )
}

function lgamma(s: Words): string[] {
  const call = (x: string) => s.call('lgamma of', x)
  const taylor = LGAMMA_TAYLOR.slice(0, TERMS)
  const stirling = BERNOULLI.map((b, i) => b / ((2 * i + 2) * (2 * i + 1)))
  return s.define(
    'lgamma of',
    X,
    'real',
    'ln |gamma(x)|: a series about its zero at 2, factors up to 10, Stirling beyond, reflection below 0.',
    [
      ...s.when(infinite(s, 'x'), [s.return('x * x')]),
      ...s.when(`x <= ${s.number(0)} && ${whole(s, 'x')}`, [s.return(s.number(Number.POSITIVE_INFINITY))]),
      ...s.when(`${s.math('abs', 'x')} < ${s.number(TINY)}`, [s.return(`-${s.log(s.math('abs', 'x'))}`)]),
      ...s.when(`x < ${s.number(0)}`, [
        s.constant('real', 'rest', `x - ${s.math('floor', `x + ${s.number(0.5)}`)}`),
        s.constant('real', 'sine', s.math('abs', s.math('sin', `${s.number(Math.PI)} * rest`))),
        s.return(`${s.number(Math.log(Math.PI))} - ${s.log('sine')} - ${call(`${s.number(1)} - x`)}`),
      ]),
      ...s.when(`x >= ${s.number(FAR)}`, [
        s.constant('real', 'square', `${s.number(1)} / (x * x)`),
        ...horner(s, stirling, 'square', 'tail'),
        s.constant('real', 'constant', s.number(Math.log(2 * Math.PI) / 2 - 0.5)),
        s.return(`(x - ${s.number(0.5)}) * (${s.log('x')} - ${s.number(1)}) + constant + tail / x`),
      ]),
      s.variable('real', 'z', `x - ${s.number(2)}`),
      s.variable('real', 'more', s.number(0)),
      ...s.when(`x < ${s.number(0.5)}`, [
        s.set('z', 'x'),
        s.set('more', `-${s.math('log1p', 'x')} - ${s.log('x')}`),
      ]),
      ...s.when(`x >= ${s.number(0.5)} && x < ${s.number(1.5)}`, [
        s.set('z', `x - ${s.number(1)}`),
        s.set('more', `-${s.math('log1p', 'z')}`),
      ]),
      ...s.when(`x > ${s.number(2.5)}`, [
        s.variable('real', 'y', 'x'),
        s.variable('real', 'product', s.number(1)),
        ...s.repeat(`y > ${s.number(2.5)}`, [
          s.set('y', `y - ${s.number(1)}`),
          s.set('product', 'product * y'),
        ]),
        s.set('z', `y - ${s.number(2)}`),
        s.set('more', s.log('product')),
      ]),
      ...horner(s, taylor, 'z'),
      s.return('more + z * sum'),
    ],
  )
}

function digamma(s: Words): string[] {
  const stirling = BERNOULLI.map((b, i) => b / (2 * i + 2))
  const nan = s.number(Number.NaN)
  return s.define(
    'digamma of',
    X,
    'real',
    'The derivative of lgamma: a series about its zero, steps up to 10, Stirling beyond, reflection below 0.',
    [
      ...s.when(s.equal('x', s.number(0)), [s.return(`${s.number(-1)} / x`)]),
      ...s.when(`x < ${s.number(0)}`, [
        ...s.when(`${infinite(s, 'x')} || ${whole(s, 'x')}`, [s.return(nan)]),
        s.return(
          `${s.call('digamma of', `${s.number(1)} - x`)} - ${s.number(Math.PI)} * ${s.call('cot of turn', 'x')}`,
        ),
      ]),
      s.constant('real', 'z', `x - ${s.number(DIGAMMA_ZERO.high)} - ${s.number(DIGAMMA_ZERO.low)}`),
      ...s.when(`${s.math('abs', 'z')} < ${s.number(0.4)}`, [
        ...horner(s, DIGAMMA_TAYLOR.slice(0, TERMS), 'z'),
        s.return('z * sum'),
      ]),
      s.variable('real', 'y', 'x'),
      s.variable('real', 'steps', s.number(0)),
      ...s.repeat(`y < ${s.number(FAR)}`, [
        s.set('steps', `steps + ${s.number(1)} / y`),
        s.set('y', `y + ${s.number(1)}`),
      ]),
      s.constant('real', 'square', `${s.number(1)} / (y * y)`),
      ...horner(s, stirling, 'square', 'tail'),
      s.return(`${s.log('y')} - ${s.number(0.5)} / y - tail * square - steps`),
    ],
  )
}

/** Hurwitz' zeta function of n + 1: some terms, and the rest by Euler and Maclaurin. */
function polygamma(s: Words, n: number): string[] {
  const sign = n % 2 === 0 ? -1 : 1
  const power = Array.from({ length: n }, () => 'y').join(' * ')
  const infinity = s.number(sign * Number.POSITIVE_INFINITY)
  const reflected = `${s.number(Math.PI ** (n + 1))} * sum`
  return s.define(words(n), X, 'real', `The derivative of digamma of order ${n}.`, [
    ...s.when(`x <= ${s.number(0)} && (${infinite(s, 'x')} || ${whole(s, 'x')})`, [s.return(infinity)]),
    ...s.when(`x < ${s.number(0)}`, [
      s.constant('real', 'cot', s.call('cot of turn', 'x')),
      ...horner(s, cotDerivativePolynomial(n), 'cot'),
      s.return(`-${reflected} ${sign < 0 ? '+' : '-'} ${s.call(words(n), `${s.number(1)} - x`)}`),
    ]),
    s.variable('real', 'y', 'x'),
    s.variable('real', 'near', s.number(0)),
    ...s.repeat(`y < ${s.number(FAR + n + 1)}`, [
      s.set('near', `near + ${s.number(1)} / (${power} * y)`),
      s.set('y', `y + ${s.number(1)}`),
    ]),
    s.constant('real', 'square', `${s.number(1)} / (y * y)`),
    ...horner(s, hurwitzTail(n + 1, BERNOULLI.length), 'square', 'tail'),
    s.constant('real', 'far', `(${s.number(1 / n)} + (${s.number(0.5)} + tail / y) / y) / (${power})`),
    s.return(`${s.number(sign * factorial(n))} * (near + far)`),
  ])
}
