/** TypeScript, with nothing but Math. */
import { call, conditional, indented, infix, prefix, type Rule, within } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { commentSafe, headerLines } from '../header.ts'
import { type BraceStyle, braces, camelWords, parameterList } from '../helper-syntax.ts'
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
import { HELPER_WORDS, loopHelpers } from '../loop-axis-ops.ts'
import { FRAME_WORDS, type FramePhrases, framed, signatureLines, usageLines } from '../loop-frame.ts'
import { type LoopSource, type LoopSyntax, writeLoops } from '../loops.ts'
import { camelCase } from '../names.ts'
import { FUNCTION_WORDS, functionRules, loopFunctions } from '../special-functions.ts'

const target: Target = {
  name: 'typescript',
  family: 'loop',
  about: 'A TypeScript function over flat typed arrays; it computes in doubles.',
  mediaType: 'text/x-typescript',
  extension: '.ts',
  precisions: ['float64'],
  dialects: [],
  get taken() {
    return SYNTAX.reserved
  },
  write,
}

export default target

const INDENT = '  '

const same: Rule = ([x]) => x

const TYPES = {
  reals: 'ArrayLike<number>',
  whole: 'ArrayLike<number>',
  out: 'Float64Array',
  size: 'number',
  real: 'number',
} as const

/** How the functions for ops on a whole axis are spelled. */
const STYLE: BraceStyle = {
  end: '',
  indent: INDENT,
  name: camelWords,
  comment: (_, about) => `/** ${about} */`,
  head: (name, params, result) => {
    const list = parameterList(params, (own, type) => `${own}: ${TYPES[type]}`)
    return `function ${name}(${list}): ${result === undefined ? 'void' : 'number'}`
  },
  constant: (_, name, value) => `const ${name} = ${value}`,
  variable: (_, name, value) => `let ${name} = ${value}`,
  test: (text) => `(${text})`,
  whileWord: 'while',
  each: (index, first, end) => `for (let ${index} = ${first}; ${index} < ${end}; ${index}++)`,
  number: javascriptNumber,
  real: (size) => size,
  size: (value) => value,
  at: (array, place) => `${array}[${place}]!`,
  equal: '===',
  differs: '!==',
  exp: (x) => `Math.exp(${x})`,
  log: (x) => `Math.log(${x})`,
  math: (name, x) => `Math.${name}(${x})`,
  pass: (array) => array,
}

export const SYNTAX: LoopSyntax = {
  ops: {
    neg: prefix('-', SIGN),
    abs: call('Math.abs'),
    exp: call('Math.exp'),
    expm1: call('Math.expm1'),
    log: call('Math.log'),
    log1p: call('Math.log1p'),
    log2: call('Math.log2'),
    log10: call('Math.log10'),
    sqrt: call('Math.sqrt'),
    safe_sqrt: call('Math.sqrt'),
    tanh: call('Math.tanh'),
    sign: call('Math.sign'),
    floor: call('Math.floor'),
    round: call('roundToEven'),
    sin: call('Math.sin'),
    cos: call('Math.cos'),
    atan: call('Math.atan'),
    asin: call('Math.asin'),
    acos: call('Math.acos'),
    ...functionRules(braces(STYLE)),
    stop_gradient: same,
    add: infix('+', SUM),
    sub: infix('-', SUM),
    mul: infix('*', PRODUCT),
    div: infix('/', PRODUCT),
    pow: call('Math.pow'),
    max: call('Math.max'),
    min: call('Math.min'),
    mul_no_nan: call('times'),
    lt: infix('<', ORDER),
    le: infix('<=', ORDER),
    eq: infix('===', EQUAL),
    and: infix('&&', AND),
    or: infix('||', OR),
    not: prefix('!', SIGN),
    is_finite: call('Number.isFinite'),
    select: conditional(CHOICE),
  },
  indent: INDENT,
  reserved: [
    ...JAVASCRIPT_WORDS,
    'Float64Array',
    'pick',
    'times',
    'totalOf',
    'roundToEven',
    ...FRAME_WORDS,
    ...[...HELPER_WORDS, ...FUNCTION_WORDS].map(camelWords),
  ],
  number: javascriptNumber,
  truth: String,
  whole: String,
  indexOfLoop: same,
  realOfSize: same,
  realOfIndex: same,
  indexOfReal: same,
  constant: (_, name, { text }) => `const ${name} = ${text}`,
  variable: (_, name, { text }) => `let ${name} = ${text}`,
  assign: (place, { text }) => `${place} = ${text}`,
  add: (place, { text }) => `${place} += ${text}`,
  loop: (index, size) => `for (let ${index} = 0; ${index} < ${size}; ${index}++) {`,
  at: (array, offset) => `${array}[${offset.text}]!`,
  plus: infix('+', SUM),
  times: infix('*', PRODUCT),
  pick: call('pick'),
  helpers: braces(STYLE),
}

/** Elements that are only assigned take no exclamation mark. */
const plainTargets = (line: string) => line.replace(/^(\s*[\w$]+\[.*?\])!( = )/, '$1$2')

const HELPERS: Readonly<Record<string, readonly string[]>> = {
  roundToEven: [
    '/** Rounds half to even. */',
    'function roundToEven(x: number): number {',
    '  const up = Math.round(x)',
    '  return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up',
    '}',
  ],
  times: [
    '/** 0 if the gradient g is 0, whatever d is: a branch that was not taken stays silent. */',
    'function times(g: number, d: number): number {',
    '  return g === 0 ? 0 : g * d',
    '}',
  ],
  pick: [
    '/** The element at a place of an axis, and 0 outside of it. */',
    'function pick(x: ArrayLike<number>, start: number, stride: number, place: number, size: number): number {',
    '  return place >= 0 && place < size ? x[start + place * stride]! : 0',
    '}',
  ],
  totalOf: [
    '/** With what rounding takes from it (Neumaier). */',
    'function totalOf(x: Float64Array, count: number): number {',
    '  let total = 0',
    '  let lost = 0',
    '  for (let i = 0; i < count; i++) {',
    '    const next = total + x[i]!',
    '    lost += Math.abs(total) >= Math.abs(x[i]!) ? total - next + x[i]! : x[i]! - next + total',
    '    total = next',
    '  }',
    '  return Number.isFinite(total) ? total + lost : total',
    '}',
  ],
}

const PHRASES: FramePhrases = {
  is: (reduction) => `reduction === '${reduction}'`,
  constant: (name, value) => `const ${name} = ${value}`,
  choose: (test, yes, no) => `${test} ? ${yes} : ${no}`,
  realOf: (count) => within(count, SIGN),
  number: String,
  total: (array, count) => `totalOf(${array}, ${count.text})`,
  returnIf: (test, value) => [`if (${test}) return ${value}`],
  return: (value) => `return ${value}`,
  helpers: braces(STYLE),
  scale: (array, count, factor) => [`for (let i = 0; i < ${count.text}; i++) ${array}[i]! *= ${factor}`],
}

function write(source: SourceProgram, { name }: WriteOptions): string {
  const loops = writeLoops(source, SYNTAX)
  const body = functionLines(loops, camelCase(name)).map(plainTargets)
  const lines = [
    '/**',
    ...[...headerLines(source), '', ...usageLines(source, loops, "'none'")].map((line) =>
      ` * ${commentSafe(line)}`.trimEnd(),
    ),
    ' */',
    ...body,
    '',
    ...helpersIn(body, {
      ...HELPERS,
      ...loopFunctions(braces(STYLE)),
      ...loopHelpers(braces(STYLE)),
    }),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function functionLines(loops: LoopSource, name: string): string[] {
  const { sizes, inputs, params, outputs, scratch } = loops
  const args = [
    ...sizes.map((size) => `${size.name}: number`),
    ...inputs.map((input) => `${input.name}: ArrayLike<number>`),
    ...params.map((param) => `${param.name} = ${SYNTAX.number(param.value)}`),
    `reduction: 'none' | 'sum' | 'mean' = 'mean'`,
    ...outputs.map((output) => `${output.name}: Float64Array`),
  ]
  const places = scratch.map((array) => `const ${array.name} = new Float64Array(${array.length.text})`)
  // Arguments with defaults come last, so that they can be left out.
  const isDefault = (arg: string) => /^\w+(: .*)? = /.test(arg)
  const ordered = [...args.filter((arg) => !isDefault(arg)), ...args.filter(isDefault)]
  return [
    ...signatureLines(`export function ${name}`, ordered, ': number {', { indent: INDENT, last: ',' }),
    ...indented([...places, ...framed(loops, PHRASES)], INDENT),
    '}',
  ]
}
