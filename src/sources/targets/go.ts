/** Go, with nothing but package math. */
import type { Precision } from '../../tensor.ts'
import { atom, type Code, call, indented, infix, prefix, type Rule } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { commentSafe, headerLines } from '../header.ts'
import { type BraceStyle, braces, camelWords, parameterList } from '../helper-syntax.ts'
import { helpersIn } from '../helpers.ts'
import { HELPER_WORDS, loopHelpers } from '../loop-axis-ops.ts'
import { FRAME_WORDS, type FramePhrases, framed, signatureLines, usageLines } from '../loop-frame.ts'
import { type LoopSource, type LoopSyntax, writeLoops } from '../loops.ts'
import { Names, pascalCase } from '../names.ts'
import { FUNCTION_WORDS, functionRules, loopFunctions } from '../special-functions.ts'

const target: Target = {
  name: 'go',
  family: 'loop',
  about: 'A Go function over flat slices: value and gradient in one pass, with package math alone.',
  mediaType: 'text/x-go',
  extension: '.go',
  precisions: ['float64', 'float32'],
  dialects: [],
  get taken() {
    return [...RESERVED, ...HELPER_NAMES]
  },
  write,
}

export default target

const INDENT = '\t'

/** Of the operators. */
const [OR, AND, ORDER, SUM, PRODUCT, SIGN] = [1, 2, 3, 4, 5, 6] as const

/** Go has one set of functions, in float64. */
function syntaxOf(precision: Precision): LoopSyntax {
  const real = precision
  const math =
    (name: string): Rule =>
    (args) => {
      if (precision === 'float64') return call(`math.${name}`)(args)
      return atom(`float32(math.${name}(${args.map(({ text }) => `float64(${text})`).join(', ')}))`)
    }
  const helpers = braces(styleOf(precision))
  const functions = functionRules(helpers)
  return {
    ops: {
      neg: prefix('-', SIGN),
      abs: math('Abs'),
      // In float32 the result is infinite long before.
      exp: precision === 'float64' ? call('expOf') : math('Exp'),
      expm1: math('Expm1'),
      // No float32 is subnormal as a float64.
      log: precision === 'float64' ? call('logOf') : math('Log'),
      log1p: math('Log1p'),
      log2: math('Log2'),
      log10:
        precision === 'float64'
          ? ([x]) => ({ text: `logOf(${x.text}) / math.Ln10`, binds: PRODUCT })
          : math('Log10'),
      sqrt: math('Sqrt'),
      safe_sqrt: math('Sqrt'),
      tanh: math('Tanh'),
      sign: call('signOf'),
      floor: math('Floor'),
      round: math('RoundToEven'),
      sin: math('Sin'),
      cos: math('Cos'),
      atan: math('Atan'),
      asin: math('Asin'),
      acos: math('Acos'),
      erf: math('Erf'),
      lgamma: functions.lgamma,
      digamma: functions.digamma,
      polygamma: functions.polygamma,
      stop_gradient: ([x]) => x,
      add: infix('+', SUM),
      sub: infix('-', SUM),
      mul: infix('*', PRODUCT),
      div: infix('/', PRODUCT),
      pow: math('Pow'),
      max: call('larger'),
      min: call('smaller'),
      mul_no_nan: call('times'),
      lt: infix('<', ORDER),
      le: infix('<=', ORDER),
      eq: infix('==', ORDER),
      and: infix('&&', AND),
      or: infix('||', OR),
      not: prefix('!', SIGN),
      is_finite: call('isFinite'),
      select: (args) => call(chooser(args, precision))(args),
    },
    indent: INDENT,
    reserved: [...RESERVED, ...FRAME_WORDS, ...HELPER_NAMES],
    number: (value) => numberIn(value, precision),
    truth: String,
    whole: String,
    indexOfLoop: call('int32'),
    realOfSize: call(real),
    realOfIndex: call(real),
    indexOfReal: call('int32'),
    // A constant of Go has no type yet, and no infinity.
    constant: (type, name, { text }) =>
      type === 'real' && /^-?[\d.e+-]+$/.test(text) ? `${name} := ${real}(${text})` : `${name} := ${text}`,
    variable: (type, name, { text }) => `${name} := ${type === 'real' ? `${real}(${text})` : text}`,
    assign: (place, { text }) => `${place} = ${text}`,
    add: (place, { text }) => `${place} += ${text}`,
    loop: (index, size) => `for ${index} := 0; ${index} < ${size}; ${index}++ {`,
    at: (array, offset) => `${array}[${offset.text}]`,
    plus: infix('+', SUM),
    times: infix('*', PRODUCT),
    pick: call('pick'),
    helpers,
  }
}

/** Between two literals a type is inferred that they have by default: float64. */
function chooser([, yes, no]: readonly Code[], precision: Precision): string {
  const areLiterals = [yes, no].every(({ text }) => /^-?\d[\d.]*([.e][+-]?\d+)$/.test(text))
  return areLiterals && precision === 'float32' ? 'choose[float32]' : 'choose'
}

function numberIn(value: number, precision: Precision): string {
  const own = precision === 'float64' ? value : Math.fround(value)
  if (Number.isNaN(own)) return `${precision}(math.NaN())`
  if (!Number.isFinite(own)) return `${precision}(math.Inf(${own < 0 ? -1 : 1}))`
  return /[.e]/.test(String(own)) ? String(own) : `${own}.0`
}

/** Functions for ops on a whole axis, and special ones. */
const HELPER_NAMES = [...HELPER_WORDS, ...FUNCTION_WORDS].map(camelWords)

const RESERVED =
  'break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var append bool byte cap close complex complex64 complex128 copy error false float32 float64 imag int int8 int16 int32 int64 iota len make new nil panic print println real recover rune string true uint uintptr math any min max clear pick larger smaller times signOf choose isFinite totalOf expOf logOf _'.split(
    ' ',
  )

const GO_MATH = { abs: 'Abs', floor: 'Floor', sin: 'Sin', cos: 'Cos', log1p: 'Log1p' } as const

/** How the functions for ops on a whole axis are spelled. */
function styleOf(precision: Precision): BraceStyle {
  const types = {
    reals: `[]${precision}`,
    whole: '[]int32',
    out: `[]${precision}`,
    size: 'int',
    real: precision,
  }
  const math = (name: string) => (x: string) =>
    precision === 'float64' ? `math.${name}(${x})` : `float32(math.${name}(float64(${x})))`
  return {
    end: '',
    indent: INDENT,
    name: camelWords,
    comment: (name, about) => `// ${name}: ${about}`,
    head: (name, params, result) => {
      const list = parameterList(params, (own, type) => `${own} ${types[type]}`)
      return `func ${name}(${list})${result === undefined ? '' : ` ${types[result]}`}`
    },
    constant: (type, name, value) => `${name} := ${types[type]}(${value})`,
    variable: (type, name, value) => `${name} := ${types[type]}(${value})`,
    test: (text) => text,
    whileWord: 'for',
    each: (index, first, end) => `for ${index} := ${first}; ${index} < ${end}; ${index}++`,
    number: (value) => numberIn(value, precision),
    real: (size) => `${precision}(${size})`,
    size: (value) => `int(${value})`,
    at: (array, place) => `${array}[${place}]`,
    equal: '==',
    differs: '!=',
    exp: math('Exp'),
    log: math('Log'),
    math: (name, x) => math(GO_MATH[name])(x),
    pass: (array) => array,
  }
}

const HELPERS = (real: string): Readonly<Record<string, readonly string[]>> => ({
  signOf: [
    `func signOf(x ${real}) ${real} {`,
    '\tif x > 0 {',
    '\t\treturn 1',
    '\t}',
    '\tif x < 0 {',
    '\t\treturn -1',
    '\t}',
    '\treturn x - x',
    '}',
  ],
  larger: [
    '// larger is NaN if one of them is.',
    `func larger(a, b ${real}) ${real} {`,
    '\tif a > b || a != a {',
    '\t\treturn a',
    '\t}',
    '\treturn b',
    '}',
  ],
  smaller: [
    '// smaller is NaN if one of them is.',
    `func smaller(a, b ${real}) ${real} {`,
    '\tif a < b || a != a {',
    '\t\treturn a',
    '\t}',
    '\treturn b',
    '}',
  ],
  times: [
    '// times is 0 if the gradient g is 0, whatever d is: a branch that was not taken stays silent.',
    `func times(g, d ${real}) ${real} {`,
    '\tif g == 0 {',
    '\t\treturn 0',
    '\t}',
    '\treturn g * d',
    '}',
  ],
  expOf: [
    '// expOf is finite up to 709.78: on amd64, math.Exp is infinite from 709.44 on.',
    'func expOf(x float64) float64 {',
    '\tif x > 709 {',
    '\t\treturn math.Exp(x-1) * math.E',
    '\t}',
    '\treturn math.Exp(x)',
    '}',
  ],
  logOf: [
    '// logOf is right for subnormal numbers, too; on amd64, math.Log is not.',
    'func logOf(x float64) float64 {',
    '\tif 0 < x && x < 0x1p-1022 {',
    '\t\treturn math.Log(x*0x1p54) - 54*math.Ln2',
    '\t}',
    '\treturn math.Log(x)',
    '}',
  ],
  choose: [
    'func choose[T any](test bool, yes, no T) T {',
    '\tif test {',
    '\t\treturn yes',
    '\t}',
    '\treturn no',
    '}',
  ],
  isFinite: [`func isFinite(x ${real}) bool {`, '\treturn x-x == 0', '}'],
  pick: [
    '// pick returns the element at a place of an axis, and 0 outside of it.',
    `func pick(x []${real}, start, stride int, place int32, size int) ${real} {`,
    '\tif place < 0 || int(place) >= size {',
    '\t\treturn 0',
    '\t}',
    '\treturn x[start+int(place)*stride]',
    '}',
  ],
  totalOf: [
    '// totalOf adds what rounding takes from the sum (Neumaier).',
    `func totalOf(x []${real}) ${real} {`,
    '\ttotal, lost := 0.0, 0.0',
    '\tfor _, value := range x {',
    '\t\town := float64(value)',
    '\t\tnext := total + own',
    '\t\tif math.Abs(total) >= math.Abs(own) {',
    '\t\t\tlost += total - next + own',
    '\t\t} else {',
    '\t\t\tlost += own - next + total',
    '\t\t}',
    '\t\ttotal = next',
    '\t}',
    '\tif total-total != 0 {',
    `\t\treturn ${real}(total)`,
    '\t}',
    `\treturn ${real}(total + lost)`,
    '}',
  ],
})

function phrasesOf(real: Precision): FramePhrases {
  return {
    is: (reduction) => `reduction == "${reduction}"`,
    constant: (name, value) => `${name} := ${value}`,
    choose: (test, yes, no) => `choose(${test}, ${yes}, ${no})`,
    realOf: (count) => `${real}(${count.text})`,
    number: (value) => `${real}(${value})`,
    total: (array, count) => `totalOf(${array}[:${count.text}])`,
    returnIf: (test, value) => [`if ${test} {`, `\treturn ${value}`, '}'],
    return: (value) => `return ${value}`,
    helpers: braces(styleOf(real)),
    scale: (array, count, factor) => [
      `for i := range ${array}[:${count.text}] {`,
      `\t${array}[i] *= ${factor}`,
      '}',
    ],
  }
}

function write(source: SourceProgram, { name, precision }: WriteOptions): string {
  const loops = writeLoops(source, syntaxOf(precision))
  const title = pascalCase(name)
  const body = functionLines(loops, title, precision)
  const notes = [...headerLines(source), '', ...usageLines(source, loops, '"none"')]
  const helpers = helpersIn(body, {
    ...HELPERS(precision),
    ...loopFunctions(braces(styleOf(precision))),
    ...loopHelpers(braces(styleOf(precision))),
  })
  const names = new Names([title])
  const defaults = loops.params.map(
    (param) => `\t${names.take(`Default${pascalCase(param.of)}`)} = ${numberIn(param.value, 'float64')}`,
  )
  const lines = [
    `// Package ${packageName(name)} was written by lossd.`,
    `package ${packageName(name)}`,
    '',
    ...([...body, ...helpers].some((line) => line.includes('math.')) ? ['import "math"', ''] : []),
    ...(defaults.length === 0 ? [] : ['// Default parameters.', 'const (', ...defaults, ')', '']),
    `// ${title}:`,
    '//',
    ...notes.map((line) => `// ${commentSafe(line)}`.trimEnd()),
    ...body,
    '',
    ...helpers,
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

/** Lower case without underscores. `main` would have to be a program. */
function packageName(name: string): string {
  const own = name.toLowerCase().replaceAll('_', '')
  return RESERVED.includes(own) || own === 'main' ? `${own}loss` : own
}

function functionLines(loops: LoopSource, name: string, real: Precision): string[] {
  const { sizes, inputs, params, outputs, scratch } = loops
  const args = [
    ...sizes.map((size) => `${size.name} int`),
    ...inputs.map((input) => `${input.name} []${input.type === 'index' ? 'int32' : real}`),
    ...params.map((param) => `${param.name} ${real}`),
    'reduction string',
    ...outputs.map((output) => `${output.name} []${real}`),
  ]
  const places = scratch.map((array) => `${array.name} := make([]${real}, ${array.length.text})`)
  // The compiler leaves out the checks of each element where it knows the length.
  const lengths = [...inputs, ...outputs].map(
    (array) => `${array.name} = ${array.name}[:${array.length.text}]`,
  )
  return [
    ...signatureLines(`func ${name}`, args, ` ${real} {`, { indent: INDENT, last: ',' }),
    ...indented([...lengths, ...places, ...framed(loops, phrasesOf(real))], INDENT),
    '}',
  ]
}
