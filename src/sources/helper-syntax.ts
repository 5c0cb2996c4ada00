/** How languages with braces spell the functions of loop-axis-ops.ts. */
import { indented } from './code.ts'
import type { HelperParams, HelperSyntax, HelperType } from './loop-axis-ops.ts'

/** What differs between them. */
export interface BraceStyle {
  /** `;`, or nothing. */
  readonly end: string
  readonly indent: string
  /** The name of a function from its words: `argsortAlong`. */
  name(words: string): string
  /** The comment above a function. */
  comment(name: string, about: string): string
  /** The head of a function, without its brace. */
  head(name: string, params: HelperParams, result: 'real' | 'size' | undefined): string
  constant(type: 'size' | 'real', name: string, value: string): string
  variable(type: 'size' | 'real', name: string, value: string): string
  /** A test as it stands behind `if` and `while`. */
  test(text: string): string
  readonly whileWord: string
  each(index: string, first: string, end: string): string
  number(value: number): string
  real(size: string): string
  size(real: string): string
  at(array: string, place: string): string
  readonly equal: string
  readonly differs: string
  exp(x: string): string
  log(x: string): string
  math(name: 'abs' | 'floor' | 'sin' | 'cos' | 'log1p', x: string): string
  pass(array: string, type: 'reals' | 'out'): string
}

export function braces(style: BraceStyle): HelperSyntax {
  const { end, indent, test, whileWord } = style
  const block = (head: string, body: readonly string[]) => [`${head} {`, ...indented(body, indent), '}']
  const when = (condition: string, yes: readonly string[], no: readonly string[] = []): string[] => {
    const lines = block(`if ${test(condition)}`, yes)
    return no.length === 0 ? lines : [...lines.slice(0, -1), '} else {', ...indented(no, indent), '}']
  }
  return {
    name: style.name,
    define: (name, params, result, about, body) => {
      const own = style.name(name)
      return [style.comment(own, about), ...block(style.head(own, params, result), body)]
    },
    constant: (type, name, value) => `${style.constant(type, name, value)}${end}`,
    variable: (type, name, value) => `${style.variable(type, name, value)}${end}`,
    set: (target, value) => `${target} = ${value}${end}`,
    run: (called) => `${called}${end}`,
    return: (value) => `return ${value}${end}`,
    when,
    each: (index, first, last, body) => block(style.each(index, first, last), body),
    repeat: (condition, body) => block(`${whileWord} ${test(condition)}`, body),
    half: (size) => `(${size} >> 1)`,
    number: style.number,
    real: style.real,
    size: style.size,
    at: style.at,
    equal: (a, b) => `${a} ${style.equal} ${b}`,
    differs: (a, b) => `${a} ${style.differs} ${b}`,
    exp: style.exp,
    log: style.log,
    math: style.math,
    pass: style.pass,
  }
}

/** Parameters with their types before or behind their names. */
export function parameterList(params: HelperParams, one: (name: string, type: HelperType) => string): string {
  return params.map(([name, type]) => one(name, type)).join(', ')
}

/** `argsort along` -> `argsort_along`. */
export const snakeWords = (words: string) => words.replaceAll(' ', '_')

/** `argsort along` -> `argsortAlong`. */
export const camelWords = (words: string) =>
  words.replaceAll(/ (\w)/g, (_, letter: string) => letter.toUpperCase())
