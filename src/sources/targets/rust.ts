/** Rust, with nothing but its standard library. */
import type { Precision } from '../../tensor.ts'
import { ATOM, atom, call, indented, infix, method, prefix, type Rule, within } from '../code.ts'
import type { SourceProgram, Target, WriteOptions } from '../contract.ts'
import { commentSafe, headerLines } from '../header.ts'
import { type BraceStyle, braces, parameterList, snakeWords } from '../helper-syntax.ts'
import { helpersIn } from '../helpers.ts'
import { HELPER_WORDS, loopHelpers } from '../loop-axis-ops.ts'
import { FRAME_WORDS, type FramePhrases, framed, signatureLines, usageLines } from '../loop-frame.ts'
import { type LoopSource, type LoopSyntax, writeLoops } from '../loops.ts'
import { Names, wordsOf } from '../names.ts'
import { shortest } from '../numbers.ts'
import { FUNCTION_WORDS, functionRules, loopFunctions } from '../special-functions.ts'

const target: Target = {
  name: 'rust',
  family: 'loop',
  about: 'A Rust function over flat slices: value and gradient in one pass, with the standard library alone.',
  mediaType: 'text/x-rust',
  extension: '.rs',
  precisions: ['float64', 'float32'],
  dialects: [],
  get taken() {
    return [...RESERVED, ...HELPER_NAMES]
  },
  write,
}

export default target

const INDENT = '    '

/** Of the operators. */
const [CHOICE, OR, AND, ORDER, SUM, PRODUCT, CAST, SIGN] = [0, 1, 2, 3, 6, 7, 8, 9] as const

const choice: Rule = ([test, yes, no]) => ({
  text: `if ${test.text} { ${yes.text} } else { ${no.text} }`,
  binds: CHOICE,
})

const cast =
  (type: string): Rule =>
  ([x]) => ({ text: `${within(x, CAST)} as ${type}`, binds: CAST })

/** `a as i32 < b` would be read as the beginning of a generic type. */
const ordered =
  (operator: string): Rule =>
  ([a, b]) => {
    const left = within(a, SUM)
    return {
      text: `${/ as \w+$/.test(left) ? `(${left})` : left} ${operator} ${within(b, SUM)}`,
      binds: ORDER,
    }
  }

function syntaxOf(real: string, precision: Precision): LoopSyntax {
  const helpers = braces(styleOf(real, precision))
  return {
    ops: {
      neg: prefix('-', SIGN),
      abs: method('abs'),
      exp: method('exp'),
      expm1: method('exp_m1'),
      log: method('ln'),
      log1p: method('ln_1p'),
      log2: method('log2'),
      log10: method('log10'),
      sqrt: method('sqrt'),
      safe_sqrt: method('sqrt'),
      tanh: method('tanh'),
      sign: call('sign_of'),
      floor: method('floor'),
      round: method('round_ties_even'),
      sin: method('sin'),
      cos: method('cos'),
      atan: method('atan'),
      asin: method('asin'),
      acos: method('acos'),
      ...functionRules(helpers),
      stop_gradient: ([x]) => x,
      add: infix('+', SUM),
      sub: infix('-', SUM),
      mul: infix('*', PRODUCT),
      div: infix('/', PRODUCT),
      pow: method('powf'),
      max: call('larger'),
      min: call('smaller'),
      mul_no_nan: call('times'),
      lt: ordered('<'),
      le: ordered('<='),
      eq: ordered('=='),
      and: infix('&&', AND),
      or: infix('||', OR),
      not: prefix('!', SIGN),
      is_finite: method('is_finite'),
      select: choice,
    },
    indent: INDENT,
    reserved: [...RESERVED, ...FRAME_WORDS, ...HELPER_NAMES],
    number: (value) => numberIn(value, precision),
    truth: String,
    whole: String,
    indexOfLoop: cast('i32'),
    realOfSize: cast(real),
    realOfIndex: cast(real),
    indexOfReal: cast('i32'),
    constant: (type, name, { text }) => `let ${name}: ${TYPES[type] ?? real} = ${text};`,
    variable: (type, name, { text }) => `let mut ${name}: ${TYPES[type] ?? real} = ${text};`,
    assign: (place, { text }) => `${place} = ${text};`,
    add: (place, { text }) => `${place} += ${text};`,
    loop: (index, size) => `for ${index} in 0..${size} {`,
    at: (array, offset) => `${array}[${offset.text}]`,
    plus: infix('+', SUM),
    times: infix('*', PRODUCT),
    pick: ([x, ...places]) => call('pick')([atom(`&${x.text}`), ...places]),
    helpers,
  }
}

const TYPES: Readonly<Record<string, string>> = { index: 'i32', bool: 'bool' }

/** Typed, because a method of a number without a type cannot be called. */
function numberIn(value: number, precision: Precision): string {
  const real = precision === 'float64' ? 'f64' : 'f32'
  const own = precision === 'float64' ? value : Math.fround(value)
  if (Number.isNaN(own)) return `${real}::NAN`
  if (!Number.isFinite(own)) return `${real}::${own < 0 ? 'NEG_INFINITY' : 'INFINITY'}`
  const text = precision === 'float64' ? String(own) : shortest(own)
  return `${/[.e]/.test(text) ? text : `${text}.0`}_${real}`
}

/** Functions for ops on a whole axis, and special ones. */
const HELPER_NAMES = [...HELPER_WORDS, ...FUNCTION_WORDS].map(snakeWords)

const RESERVED =
  'as break const continue crate else enum extern false fn for if impl in let loop match mod move mut pub ref return self Self static struct super trait true type unsafe use where while async await dyn abstract become box do final macro override priv typeof unsized virtual yield try union f32 f64 i32 usize bool str vec pick larger smaller times sign_of total_of Reduction Some None Ok Err gen _'.split(
    ' ',
  )

/** How the functions for ops on a whole axis are spelled. */
function styleOf(real: string, precision: Precision): BraceStyle {
  const types = { reals: `&[${real}]`, whole: '&[i32]', out: `&mut [${real}]`, size: 'usize', real }
  const method = (name: string) => (x: string) => `${/^\w+$/.test(x) ? x : `(${x})`}.${name}()`
  return {
    end: ';',
    indent: INDENT,
    name: snakeWords,
    comment: (_, about) => `/// ${about}`,
    head: (name, params, result) => {
      const list = parameterList(params, (own, type) => `${own}: ${types[type]}`)
      return `fn ${name}(${list})${result === undefined ? '' : ` -> ${types[result]}`}`
    },
    constant: (type, name, value) => `let ${name}: ${types[type]} = ${value}`,
    variable: (type, name, value) => `let mut ${name}: ${types[type]} = ${value}`,
    test: (text) => text,
    whileWord: 'while',
    each: (index, first, end) => `for ${index} in ${first}..${end}`,
    number: (value) => numberIn(value, precision),
    real: (size) => `${size} as ${real}`,
    size: (value) => `${value} as usize`,
    at: (array, place) => `${array}[${place}]`,
    equal: '==',
    differs: '!=',
    exp: method('exp'),
    log: method('ln'),
    math: (name, x) => method(name === 'log1p' ? 'ln_1p' : name)(x),
    pass: (array, type) => (type === 'out' ? `&mut ${array}` : `&${array}`),
  }
}

const HELPERS = (real: string): Readonly<Record<string, readonly string[]>> => ({
  sign_of: [
    `fn sign_of(x: ${real}) -> ${real} {`,
    '    if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x - x }',
    '}',
  ],
  larger: [
    '/// NaN if one of them is.',
    `fn larger(a: ${real}, b: ${real}) -> ${real} {`,
    '    if a > b || a.is_nan() { a } else { b }',
    '}',
  ],
  smaller: [
    '/// NaN if one of them is.',
    `fn smaller(a: ${real}, b: ${real}) -> ${real} {`,
    '    if a < b || a.is_nan() { a } else { b }',
    '}',
  ],
  times: [
    '/// 0 if the gradient g is 0, whatever d is: a branch that was not taken stays silent.',
    `fn times(g: ${real}, d: ${real}) -> ${real} {`,
    '    if g == 0.0 { 0.0 } else { g * d }',
    '}',
  ],
  pick: [
    '/// The element at a place of an axis, and 0 outside of it.',
    `fn pick(x: &[${real}], start: usize, stride: usize, place: i32, size: usize) -> ${real} {`,
    '    if place >= 0 && (place as usize) < size { x[start + place as usize * stride] } else { 0.0 }',
    '}',
  ],
  total_of: [
    '/// With what rounding takes from it (Neumaier).',
    `fn total_of(x: &[${real}]) -> ${real} {`,
    '    let (mut total, mut lost) = (0.0_f64, 0.0_f64);',
    '    for &value in x {',
    `        let own = ${real === 'f64' ? 'value' : 'f64::from(value)'};`,
    '        let next = total + own;',
    '        lost += if total.abs() >= own.abs() { total - next + own } else { own - next + total };',
    '        total = next;',
    '    }',
    '    let found = if total.is_finite() { total + lost } else { total };',
    `    found${real === 'f64' ? '' : ` as ${real}`}`,
    '}',
  ],
})

function phrasesOf(real: string): FramePhrases {
  return {
    is: (reduction) => `reduction == Reduction::${reduction.slice(0, 1).toUpperCase()}${reduction.slice(1)}`,
    constant: (name, value) => `let ${name}: ${real} = ${value};`,
    choose: (test, yes, no) => `if ${test} { ${yes} } else { ${no} }`,
    realOf: (count) => `${within(count, ATOM)} as ${real}`,
    number: (value) => `${value}.0`,
    total: (array, count) => `total_of(&${array}[..${count.text}])`,
    returnIf: (test, value) => [`if ${test} {`, `    return ${value};`, '}'],
    return: (value) => value,
    helpers: braces(styleOf(real, real === 'f64' ? 'float64' : 'float32')),
    scale: (array, count, factor) => [
      `for value in &mut ${array}[..${count.text}] {`,
      `    *value *= ${factor};`,
      '}',
    ],
  }
}

function write(source: SourceProgram, { name, precision }: WriteOptions): string {
  const real = precision === 'float64' ? 'f64' : 'f32'
  const loops = writeLoops(source, syntaxOf(real, precision))
  const body = functionLines(loops, name, real)
  const notes = [...headerLines(source), '', ...usageLines(source, loops, 'Reduction::None')]
  // A pattern that is the name of a constant would be compared with it: so none has the name of anything in the function.
  const names = new Names(['_', ...wordsOf(body)])
  const defaults = loops.params.map(
    (param) =>
      `pub const ${names.take(param.of.toUpperCase())}: ${real} = ${numberIn(param.value, precision)};`,
  )
  const lines = [
    ...notes.map((line) => `// ${commentSafe(line)}`.trimEnd()),
    '',
    ...(defaults.length === 0 ? [] : ['// Default parameters.', ...defaults, '']),
    '#[derive(Clone, Copy, PartialEq, Eq)]',
    'pub enum Reduction {',
    '    None,',
    '    Sum,',
    '    Mean,',
    '}',
    '',
    ...body,
    '',
    ...helpersIn(body, {
      ...HELPERS(real),
      ...loopFunctions(braces(styleOf(real, precision))),
      ...loopHelpers(braces(styleOf(real, precision))),
    }),
  ]
  return `${lines.join('\n').trimEnd()}\n`
}

function functionLines(loops: LoopSource, name: string, real: string): string[] {
  const { sizes, inputs, params, outputs, scratch } = loops
  const args = [
    ...sizes.map((size) => `${size.name}: usize`),
    ...inputs.map((input) => `${input.name}: &[${input.type === 'index' ? 'i32' : real}]`),
    ...params.map((param) => `${param.name}: ${real}`),
    'reduction: Reduction',
    ...outputs.map((output) => `${output.name}: &mut [${real}]`),
  ]
  // The compiler leaves out the checks of each element where it knows the length.
  const lengths = [
    ...inputs.map((array) => `let ${array.name} = &${array.name}[..${array.length.text}];`),
    ...outputs.map((array) => `let ${array.name} = &mut ${array.name}[..${array.length.text}];`),
  ]
  const places = scratch.map(
    (array) =>
      `let mut ${array.name} = vec![${numberIn(0, real === 'f64' ? 'float64' : 'float32')}; ${array.length.text}];`,
  )
  return [
    '#[allow(non_snake_case, clippy::all, clippy::pedantic)]',
    ...signatureLines(`pub fn ${name}`, args, ` -> ${real} {`, { indent: INDENT, last: ',' }),
    ...indented([...lengths, ...places, ...framed(loops, phrasesOf(real))], INDENT),
    '}',
  ]
}
