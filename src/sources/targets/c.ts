/** C11, with nothing but libm. */
import type { Op } from '../../language/ir.ts'
import type { Precision } from '../../tensor.ts'
import { mathHelpers } from '../c-math.ts'
import { C_LIBRARY, C_WORDS } from '../c-words.ts'
import { call, conditional, indented, infix, prefix, type Rule, within } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { commentSafe, headerLines } from '../header.ts'
import { type BraceStyle, braces, parameterList, snakeWords } from '../helper-syntax.ts'
import { helpersIn } from '../helpers.ts'
import { HELPER_WORDS, loopHelpers } from '../loop-axis-ops.ts'
import {
  FRAME_WORDS,
  type FramePhrases,
  framed,
  scratchOffsets,
  signatureLines,
  usageLines,
} from '../loop-frame.ts'
import { type LoopSource, type LoopSyntax, writeLoops } from '../loops.ts'
import { Names, wordsOf } from '../names.ts'
import { shortest } from '../numbers.ts'
import { FUNCTION_WORDS, functionRules, loopFunctions } from '../special-functions.ts'

const target: Target = {
  name: 'c',
  family: 'loop',
  about:
    'A C11 function over flat arrays: value and gradient in one pass, no allocation, no dependency but libm.',
  mediaType: 'text/x-c',
  extension: '.c',
  precisions: ['float64', 'float32'],
  dialects: [],
  get taken() {
    return [...RESERVED, ...C_LIBRARY, ...HELPER_NAMES]
  },
  write,
}

export default target

const INDENT = '  '

/** Of the operators. */
const [OR, AND, EQUAL, ORDER, SUM, PRODUCT, SIGN, CHOICE] = [3, 4, 8, 9, 11, 12, 13, 2] as const

/** Compilers warn where && stands in || without parentheses. */
const either: Rule = ([a, b]) => ({ text: `${within(a, EQUAL)} || ${within(b, EQUAL)}`, binds: OR })

/** @param name of the function, whose reductions are named after it */
function syntaxOf(precision: Precision, name: string): LoopSyntax {
  const real = precision === 'float64' ? 'double' : 'float'
  /** The functions of float have an f behind their names. */
  const math = (name: string) => call(precision === 'float64' ? name : `${name}f`)
  const cast = (type: string): Rule => prefix(`(${type})`, SIGN)
  const helpers = braces(styleOf(precision))
  const functions = functionRules(helpers)
  return {
    ops: {
      neg: prefix('-', SIGN),
      abs: math('fabs'),
      exp: call('exp_of'),
      expm1: call('expm1_of'),
      log: call('log_of'),
      log1p: call('log1p_of'),
      log2: math('log2'),
      log10: math('log10'),
      sqrt: math('sqrt'),
      safe_sqrt: math('sqrt'),
      tanh: call('tanh_of'),
      sign: call('sign_of'),
      floor: math('floor'),
      round: math('nearbyint'),
      sin: math('sin'),
      cos: math('cos'),
      atan: math('atan'),
      asin: math('asin'),
      acos: math('acos'),
      erf: math('erf'),
      lgamma: math('lgamma'),
      digamma: functions.digamma,
      polygamma: functions.polygamma,
      stop_gradient: ([x]) => x,
      add: infix('+', SUM),
      sub: infix('-', SUM),
      mul: infix('*', PRODUCT),
      div: infix('/', PRODUCT),
      pow: math('pow'),
      max: call('larger'),
      min: call('smaller'),
      mul_no_nan: call('times'),
      lt: infix('<', ORDER),
      le: infix('<=', ORDER),
      eq: infix('==', EQUAL),
      and: infix('&&', AND),
      or: either,
      not: prefix('!', SIGN),
      is_finite: call('isfinite'),
      select: conditional(CHOICE),
    },
    indent: INDENT,
    reserved: [...RESERVED, ...FRAME_WORDS, ...HELPER_NAMES, ...reductionWords(name)],
    alone: new Set<Op>(['exp', 'expm1', 'log', 'log1p', 'tanh', 'sqrt', 'safe_sqrt']),
    number: (value) => numberIn(value, precision),
    truth: (value) => (value ? 'true' : 'false'),
    whole: String,
    indexOfLoop: cast('int32_t'),
    realOfSize: cast(real),
    realOfIndex: cast(real),
    indexOfReal: cast('int32_t'),
    constant: (type, name, { text }) => `const ${TYPES[type] ?? real} ${name} = ${text};`,
    variable: (type, name, { text }) => `${TYPES[type] ?? real} ${name} = ${text};`,
    assign: (place, { text }) => `${place} = ${text};`,
    add: (place, { text }) => `${place} += ${text};`,
    branch: ({ text }, yes, no) => [
      `if (${text}) {`,
      ...indented(yes, INDENT),
      '} else {',
      ...indented(no, INDENT),
      '}',
    ],
    loop: (index, size) => `for (size_t ${index} = 0; ${index} < ${size}; ${index}++) {`,
    at: (array, offset) => `${array}[${offset.text}]`,
    plus: infix('+', SUM),
    times: infix('*', PRODUCT),
    pick: call('pick'),
    helpers,
  }
}

const TYPES: Readonly<Record<string, string>> = { index: 'int32_t', bool: 'bool' }

function numberIn(value: number, precision: Precision): string {
  const own = precision === 'float64' ? value : Math.fround(value)
  if (Number.isNaN(own)) return 'NAN'
  if (!Number.isFinite(own)) return own < 0 ? '-INFINITY' : 'INFINITY'
  const text = String(own)
  const real = /[.e]/.test(text) ? text : `${text}.0`
  return precision === 'float64' ? real : `${shortest(own)}f`
}

/** Helpers stand above the function if it calls them. */
const C_MATH = { abs: 'fabs', floor: 'floor', sin: 'sin', cos: 'cos', log1p: 'log1p_of' } as const

/** How the functions for ops on a whole axis are spelled. */
function styleOf(precision: Precision): BraceStyle {
  const real = precision === 'float64' ? 'double' : 'float'
  const types = {
    reals: `const ${real} *`,
    whole: 'const int32_t *',
    out: `${real} *`,
    size: 'size_t ',
    real: `${real} `,
  }
  return {
    end: ';',
    indent: INDENT,
    name: snakeWords,
    comment: (_, about) => `/* ${about} */`,
    head: (name, params, result) => {
      const list = parameterList(params, (own, type) => `${types[type]}${own}`)
      return `static ${result === undefined ? 'void ' : types[result]}${name}(${list})`
    },
    constant: (type, name, value) => `const ${types[type]}${name} = ${value}`,
    variable: (type, name, value) => `${types[type]}${name} = ${value}`,
    test: (text) => `(${text})`,
    whileWord: 'while',
    each: (index, first, end) => `for (size_t ${index} = ${first}; ${index} < ${end}; ${index}++)`,
    number: (value) => numberIn(value, precision),
    real: (size) => `(${real})${size}`,
    size: (value) => `(size_t)${value}`,
    at: (array, place) => `${array}[${place}]`,
    equal: '==',
    differs: '!=',
    exp: (x) => `exp_of(${x})`,
    log: (x) => `log_of(${x})`,
    math: (name, x) => `${C_MATH[name]}${precision === 'float64' || name === 'log1p' ? '' : 'f'}(${x})`,
    pass: (array) => array,
  }
}

const HELPERS = (real: string): Readonly<Record<string, readonly string[]>> => ({
  sign_of: [
    `static inline ${real} sign_of(${real} x) {`,
    '  return x > 0 ? 1 : x < 0 ? -1 : x != x ? x : 0;',
    '}',
  ],
  larger: [
    '/* NaN if one of them is. */',
    `static inline ${real} larger(${real} a, ${real} b) {`,
    '  return a > b || a != a ? a : b;',
    '}',
  ],
  smaller: [
    '/* NaN if one of them is. */',
    `static inline ${real} smaller(${real} a, ${real} b) {`,
    '  return a < b || a != a ? a : b;',
    '}',
  ],
  times: [
    '/* 0 if the gradient g is 0, whatever d is: a branch that was not taken stays silent. */',
    `static inline ${real} times(${real} g, ${real} d) {`,
    '  return g == 0 ? 0 : g * d;',
    '}',
  ],
  pick: [
    '/* The element at a place of an axis, and 0 outside of it. */',
    `static inline ${real} pick(const ${real} *x, size_t start, size_t stride, int32_t place, size_t size) {`,
    '  return place >= 0 && (size_t)place < size ? x[start + (size_t)place * stride] : 0;',
    '}',
  ],
  total_of: [
    '/* With what rounding takes from it (Neumaier). */',
    `static ${real} total_of(size_t count, const ${real} *x) {`,
    '  double total = 0, lost = 0;',
    '  for (size_t i = 0; i < count; i++) {',
    '    const double next = total + x[i];',
    '    lost += fabs(total) >= fabs((double)x[i]) ? total - next + x[i] : x[i] - next + total;',
    '    total = next;',
    '  }',
    `  return (${real})(isfinite(total) ? total + lost : total);`,
    '}',
  ],
})

/** Functions for ops on a whole axis, and special ones. */
const HELPER_NAMES = [...HELPER_WORDS, ...FUNCTION_WORDS].map(snakeWords)

/** With the types and functions that sources use. */
const RESERVED = [
  ...C_WORDS,
  ...'size_t ptrdiff_t int32_t uint32_t uint64_t main pick larger smaller times sign_of total_of from_bits to_bits power_of_2 expm1_near_0 exp_of expm1_of log_with log_of log1p_of tanh_of memcpy memmove memset memcmp exp expf expm1 expm1f log logf log1p log1pf log2 log2f log10 log10f sqrt sqrtf tanh tanhf floor floorf nearbyint nearbyintf sin sinf cos cosf atan atanf asin asinf acos acosf erf erff erfc lgamma lgammaf tgamma pow powf fabs fabsf fmax fmin y0 y1 yn j0 j1 jn gamma signgam div abs labs index remainder scalb significand drem'.split(
    ' ',
  ),
]

function write(source: SourceProgram, { precision, name }: WriteOptions): string {
  const real = precision === 'float64' ? 'double' : 'float'
  const loops = writeLoops(source, syntaxOf(precision, name))
  const body = functionLines(loops, name, real)
  const helpers = helpersIn(body, {
    ...HELPERS(real),
    ...mathHelpers(precision),
    ...loopFunctions(braces(styleOf(precision))),
    ...loopHelpers(braces(styleOf(precision))),
  })
  const usesMath = helpers.some((line) => line.includes('memcpy'))
  const lines = [
    ...comment([...headerLines(source), '', ...usage(source, loops, name)]),
    '#include <math.h>',
    '#include <stdbool.h>',
    '#include <stddef.h>',
    '#include <stdint.h>',
    ...(usesMath ? ['#include <string.h>'] : []),
    '',
    ...defaults(loops, name, real, wordsOf(body)),
    `enum ${name}_reduction { ${reductionWords(name).join(', ')} };`,
    '',
    ...RELAXED,
    ...helpers,
    ...scratchLines(loops, name),
    ...body,
    ...RESTORED,
  ]
  return `${lines.join('\n')}\n`
}

/**
 * GCC would branch rather than compute what might set a flag that nobody reads, which changes no result. A product within a sum that is
 * not rounded does: what is 0 by cancelling would be what rounding has left.
 */
const RELAXED = [
  '/* Products and sums are rounded one by one. Nobody reads errno or the flags of exceptions, so that GCC may vectorize selections. */',
  '#if defined(__clang__)',
  '#pragma STDC FP_CONTRACT OFF',
  '#elif defined(__GNUC__)',
  '#pragma GCC push_options',
  '#pragma GCC optimize ("no-trapping-math", "no-math-errno", "fp-contract=off")',
  '#endif',
  '',
]

const RESTORED = ['', '#if defined(__GNUC__) && !defined(__clang__)', '#pragma GCC pop_options', '#endif']

function comment(lines: readonly string[]): string[] {
  return ['/*', ...lines.map((line) => ` * ${commentSafe(line)}`.trimEnd()), ' */']
}

function usage(source: SourceProgram, loops: LoopSource, name: string): string[] {
  const kept = loops.scratch.length === 0 ? [] : [`scratch has room for ${name}_scratch(...) numbers.`]
  return [...usageLines(source, loops, 'NONE'), ...kept]
}

const reductionWords = (name: string) =>
  ['NONE', 'SUM', 'MEAN'].map((word) => `${name.toUpperCase()}_${word}`)

/** Macros, which would replace what has their name in the function. */
function defaults({ params }: LoopSource, name: string, real: string, taken: ReadonlySet<string>): string[] {
  if (params.length === 0) return []
  const precision = real === 'double' ? 'float64' : 'float32'
  const macro = `${name.toUpperCase()}_`
  const names = new Names([...RESERVED, ...taken, ...reductionWords(name)])
  const lines = params.map((param) => {
    return `#define ${names.take(`${macro}${param.of.toUpperCase()}`)} ${numberIn(param.value, precision)}`
  })
  return ['/* Default parameters. */', ...lines, '']
}

function scratchLines({ scratch, sizes }: LoopSource, name: string): string[] {
  if (scratch.length === 0) return []
  const total = scratch.map(({ length }) => length.text).join(' + ')
  const args = sizes.map((size) => `size_t ${size.name}`)
  const unused = sizes.filter((size) => !new RegExp(`\\b${size.name}\\b`).test(total))
  return [
    `size_t ${name}_scratch(${args.join(', ')}) {`,
    ...unused.map((size) => `  (void)${size.name};`),
    `  return ${total};`,
    '}',
    '',
  ]
}

function functionLines(loops: LoopSource, name: string, real: string): string[] {
  const { sizes, inputs, params, outputs, scratch } = loops
  const args = [
    ...sizes.map((size) => `size_t ${size.name}`),
    ...inputs.map((input) => `const ${input.type === 'index' ? 'int32_t' : real} *restrict ${input.name}`),
    ...params.map((param) => `${real} ${param.name}`),
    `enum ${name}_reduction reduction`,
    ...outputs.map((output) => `${real} *restrict ${output.name}`),
    ...(scratch.length === 0 ? [] : [`${real} *restrict scratch`]),
  ]
  const places = scratchOffsets(scratch).map(({ array, begin }) => `${real} *const ${array.name} = ${begin};`)
  return [
    ...signatureLines(`${real} ${name}`, args, ' {', { indent: INDENT, last: '' }),
    ...indented([...places, ...framed(loops, phrasesOf(name, real))], INDENT),
    '}',
  ]
}

function phrasesOf(name: string, real: string): FramePhrases {
  return {
    is: (reduction) => `reduction == ${name.toUpperCase()}_${reduction.toUpperCase()}`,
    constant: (own, value) => `const ${real} ${own} = ${value};`,
    choose: (test, yes, no) => `${test} ? ${yes} : ${no}`,
    realOf: (count) => `(${real})${within(count, SIGN)}`,
    number: String,
    total: (array, count) => `total_of(${count.text}, ${array})`,
    returnIf: (test, value) => [`if (${test}) return ${value};`],
    return: (value) => `return ${value};`,
    helpers: braces(styleOf(real === 'double' ? 'float64' : 'float32')),
    scale: (array, count, factor) => [`for (size_t i = 0; i < ${count.text}; i++) ${array}[i] *= ${factor};`],
  }
}
