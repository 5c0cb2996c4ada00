/** Java, with nothing but Math. */
import type { Precision } from '../../tensor.ts'
import { call, conditional, indented, infix, prefix, type Rule, within } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { commentSafe, headerLines } from '../header.ts'
import { type BraceStyle, braces, camelWords, parameterList } from '../helper-syntax.ts'
import { helpersIn } from '../helpers.ts'
import { HELPER_WORDS, loopHelpers } from '../loop-axis-ops.ts'
import { FRAME_WORDS, type FramePhrases, framed, signatureLines, usageLines } from '../loop-frame.ts'
import { type LoopSource, type LoopSyntax, writeLoops } from '../loops.ts'
import { camelCase, Names, pascalCase } from '../names.ts'
import { shortest } from '../numbers.ts'
import { FUNCTION_WORDS, functionRules, loopFunctions } from '../special-functions.ts'

const target: Target = {
  name: 'java',
  family: 'loop',
  about: 'A Java class with one static method over flat arrays: value and gradient in one pass.',
  mediaType: 'text/x-java',
  extension: '.java',
  precisions: ['float64', 'float32'],
  dialects: [],
  get taken() {
    return [...RESERVED, ...HELPER_NAMES]
  },
  write,
}

export default target

const INDENT = '  '

/** Of the operators. */
const [CHOICE, OR, AND, EQUAL, ORDER, SUM, PRODUCT, SIGN] = [2, 3, 4, 8, 9, 11, 12, 13] as const

const cast = (type: string): Rule => prefix(`(${type}) `, SIGN)

/** Most functions of Math are of doubles. */
function syntaxOf(real: string, precision: Precision): LoopSyntax {
  const math =
    (name: string): Rule =>
    (args) => {
      const called = call(`Math.${name}`)(args)
      return precision === 'float64' ? called : cast(real)([called])
    }
  const helpers = braces(styleOf(real, precision))
  return {
    ops: {
      neg: prefix('-', SIGN),
      abs: call('Math.abs'),
      exp: math('exp'),
      expm1: math('expm1'),
      log: math('log'),
      log1p: math('log1p'),
      log2: ([x]) => ({
        text: `${math('log')([x]).text} / ${numberIn(Math.LN2, precision)}`,
        binds: PRODUCT,
      }),
      log10: math('log10'),
      sqrt: math('sqrt'),
      safe_sqrt: math('sqrt'),
      tanh: math('tanh'),
      sign: call('Math.signum'),
      floor: math('floor'),
      round: math('rint'),
      sin: math('sin'),
      cos: math('cos'),
      atan: math('atan'),
      asin: math('asin'),
      acos: math('acos'),
      ...functionRules(helpers),
      stop_gradient: ([x]) => x,
      add: infix('+', SUM),
      sub: infix('-', SUM),
      mul: infix('*', PRODUCT),
      div: infix('/', PRODUCT),
      pow: math('pow'),
      max: call('Math.max'),
      min: call('Math.min'),
      mul_no_nan: call('times'),
      lt: infix('<', ORDER),
      le: infix('<=', ORDER),
      eq: infix('==', EQUAL),
      and: infix('&&', AND),
      or: infix('||', OR),
      not: prefix('!', SIGN),
      is_finite: call(precision === 'float64' ? 'Double.isFinite' : 'Float.isFinite'),
      select: conditional(CHOICE),
    },
    indent: INDENT,
    reserved: [...RESERVED, ...FRAME_WORDS, ...HELPER_NAMES],
    number: (value) => numberIn(value, precision),
    truth: String,
    whole: String,
    indexOfLoop: ([x]) => x,
    realOfSize: cast(real),
    realOfIndex: cast(real),
    indexOfReal: cast('int'),
    constant: (type, name, { text }) => `final ${TYPES[type] ?? real} ${name} = ${text};`,
    variable: (type, name, { text }) => `${TYPES[type] ?? real} ${name} = ${text};`,
    assign: (place, { text }) => `${place} = ${text};`,
    add: (place, { text }) => `${place} += ${text};`,
    loop: (index, size) => `for (int ${index} = 0; ${index} < ${size}; ${index}++) {`,
    at: (array, offset) => `${array}[${offset.text}]`,
    plus: infix('+', SUM),
    times: infix('*', PRODUCT),
    pick: call('pick'),
    helpers,
  }
}

const TYPES: Readonly<Record<string, string>> = { index: 'int', bool: 'boolean' }

function numberIn(value: number, precision: Precision): string {
  const own = precision === 'float64' ? value : Math.fround(value)
  const box = precision === 'float64' ? 'Double' : 'Float'
  if (Number.isNaN(own)) return `${box}.NaN`
  if (!Number.isFinite(own)) return `${box}.${own < 0 ? 'NEGATIVE_INFINITY' : 'POSITIVE_INFINITY'}`
  if (precision === 'float32') return `${shortest(own)}f`
  return /[.e]/.test(String(own)) ? String(own) : `${own}.0`
}

/** Functions for ops on a whole axis, and special ones. */
const HELPER_NAMES = [...HELPER_WORDS, ...FUNCTION_WORDS].map(camelWords)

const RESERVED =
  'abstract assert boolean break byte case catch char class const continue default do double else enum extends final finally float for goto if implements import instanceof int interface long native new package private protected public return short static strictfp super switch synchronized this throw throws transient try void volatile while true false null var record yield String Math Double Float Reduction pick times totalOf _'.split(
    ' ',
  )

/** How the functions for ops on a whole axis are spelled. */
function styleOf(real: string, precision: Precision): BraceStyle {
  const types = { reals: `${real}[]`, whole: 'int[]', out: `${real}[]`, size: 'int', real }
  const math = (name: string) => (x: string) =>
    precision === 'float64' ? `Math.${name}(${x})` : `(float) Math.${name}(${x})`
  return {
    end: ';',
    indent: INDENT,
    name: camelWords,
    comment: (_, about) => `/** ${about} */`,
    head: (name, params, result) => {
      const list = parameterList(params, (own, type) => `${types[type]} ${own}`)
      return `private static ${result === undefined ? 'void' : types[result]} ${name}(${list})`
    },
    constant: (type, name, value) => `final ${types[type]} ${name} = ${value}`,
    variable: (type, name, value) => `${types[type]} ${name} = ${value}`,
    test: (text) => `(${text})`,
    whileWord: 'while',
    each: (index, first, end) => `for (int ${index} = ${first}; ${index} < ${end}; ${index}++)`,
    number: (value) => numberIn(value, precision),
    real: (size) => `(${real}) ${size}`,
    size: (value) => `(int) ${value}`,
    at: (array, place) => `${array}[${place}]`,
    equal: '==',
    differs: '!=',
    exp: math('exp'),
    log: math('log'),
    math: (name, x) => (name === 'abs' ? `Math.abs(${x})` : math(name)(x)),
    pass: (array) => array,
  }
}

const HELPERS = (real: string): Readonly<Record<string, readonly string[]>> => ({
  times: [
    '/** 0 if the gradient g is 0, whatever d is: a branch that was not taken stays silent. */',
    `private static ${real} times(${real} g, ${real} d) {`,
    '  return g == 0 ? 0 : g * d;',
    '}',
  ],
  pick: [
    '/** The element at a place of an axis, and 0 outside of it. */',
    `private static ${real} pick(${real}[] x, int start, int stride, int place, int size) {`,
    '  return place >= 0 && place < size ? x[start + place * stride] : 0;',
    '}',
  ],
  totalOf: [
    '/** With what rounding takes from it (Neumaier). */',
    `private static ${real} totalOf(${real}[] x, int count) {`,
    '  double total = 0;',
    '  double lost = 0;',
    '  for (int i = 0; i < count; i++) {',
    '    final double next = total + x[i];',
    '    lost += Math.abs(total) >= Math.abs(x[i]) ? total - next + x[i] : x[i] - next + total;',
    '    total = next;',
    '  }',
    `  return ${real === 'double' ? '' : '(float) '}(Double.isFinite(total) ? total + lost : total);`,
    '}',
  ],
})

function phrasesOf(real: string): FramePhrases {
  return {
    is: (reduction) => `reduction == Reduction.${reduction.toUpperCase()}`,
    constant: (name, value) => `final ${real} ${name} = ${value};`,
    choose: (test, yes, no) => `${test} ? ${yes} : ${no}`,
    realOf: (count) => `(${real}) ${within(count, SIGN)}`,
    number: String,
    total: (array, count) => `totalOf(${array}, ${count.text})`,
    returnIf: (test, value) => [`if (${test}) return ${value};`],
    return: (value) => `return ${value};`,
    helpers: braces(styleOf(real, real === 'double' ? 'float64' : 'float32')),
    scale: (array, count, factor) => [`for (int i = 0; i < ${count.text}; i++) ${array}[i] *= ${factor};`],
  }
}

function write(source: SourceProgram, { name, precision }: WriteOptions): string {
  const real = precision === 'float64' ? 'double' : 'float'
  const loops = writeLoops(source, syntaxOf(real, precision))
  const body = functionLines(loops, camelCase(name), real)
  const notes = [...headerLines(source), '', ...usageLines(source, loops, 'NONE')]
  const names = new Names(['_'])
  const defaults = loops.params.map((param) => {
    return `public static final ${real} ${names.take(param.of.toUpperCase())} = ${numberIn(param.value, precision)};`
  })
  const helpers = helpersIn(body, {
    ...HELPERS(real),
    ...loopFunctions(braces(styleOf(real, precision))),
    ...loopHelpers(braces(styleOf(real, precision))),
  })
  const members = [
    'public enum Reduction { NONE, SUM, MEAN }',
    '',
    ...(defaults.length === 0 ? [] : ['// Default parameters.', ...defaults, '']),
    `private ${pascalCase(name)}() {}`,
    '',
    ...body,
    ...(helpers.length === 0 ? [] : ['', ...helpers.slice(0, -1)]),
  ]
  const lines = [
    '/*',
    ...notes.map((line) => ` * ${commentSafe(line)}`.trimEnd()),
    ' */',
    `public final class ${pascalCase(name)} {`,
    ...indented(members, INDENT),
    '}',
  ]
  return `${lines.join('\n')}\n`
}

function functionLines(loops: LoopSource, name: string, real: string): string[] {
  const { sizes, inputs, params, outputs, scratch } = loops
  const args = [
    ...sizes.map((size) => `int ${size.name}`),
    ...inputs.map((input) => `${input.type === 'index' ? 'int' : real}[] ${input.name}`),
    ...params.map((param) => `${real} ${param.name}`),
    'Reduction reduction',
    ...outputs.map((output) => `${real}[] ${output.name}`),
  ]
  const places = scratch.map((array) => `final ${real}[] ${array.name} = new ${real}[${array.length.text}];`)
  return [
    ...signatureLines(`public static ${real} ${name}`, args, ' {', { indent: INDENT, last: '' }),
    ...indented([...places, ...framed(loops, phrasesOf(real))], INDENT),
    '}',
  ]
}
