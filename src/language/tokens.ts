/** Splits a formula's text into tokens with positions. It knows characters, not grammar. */
import { FormulaError, type Position } from './ast.ts'

export interface Token {
  readonly kind: 'number' | 'name' | 'symbol' | 'newline' | 'end'
  readonly text: string
  readonly at: Position
}

/** Longest first, so that `<=` is not read as `<`. */
const SYMBOLS = [
  '...',
  '->',
  '<=',
  '>=',
  '==',
  '!=',
  '+',
  '-',
  '*',
  '/',
  '^',
  '<',
  '>',
  '=',
  '(',
  ')',
  '[',
  ']',
  ',',
  '?',
  ':',
]
const NUMBER = /(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?/y
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y
const BLANK = /(?:[ \t\r]|#[^\n]*)+/y

/** @throws FormulaError at the first character that belongs to no token */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let offset = 0
  let line = 1
  let lineStart = 0
  const position = (): Position => ({ line, column: offset - lineStart + 1 })
  const take = (kind: Token['kind'], text: string) => {
    tokens.push({ kind, text, at: position() })
    offset += text.length
  }
  while (offset < source.length) {
    const blank = match(BLANK, source, offset)
    if (blank !== undefined) {
      offset += blank.length
    } else if (source[offset] === '\n') {
      take('newline', '\n')
      line++
      lineStart = offset
    } else {
      const [kind, text] = lexeme(source, offset, position())
      take(kind, text)
    }
  }
  take('end', '')
  return tokens
}

function lexeme(source: string, offset: number, at: Position): [Token['kind'], string] {
  const name = match(NAME, source, offset)
  if (name !== undefined) return ['name', name]
  const symbol = SYMBOLS.find((candidate) => source.startsWith(candidate, offset))
  if (symbol === '...') return ['symbol', symbol]
  const number = match(NUMBER, source, offset)
  if (number !== undefined) return ['number', number]
  if (symbol !== undefined) return ['symbol', symbol]
  const found = JSON.stringify(String.fromCodePoint(source.codePointAt(offset)!))
  throw new FormulaError(`${found} is not part of the language (names are ASCII letters, digits and _)`, at)
}

function match(pattern: RegExp, source: string, offset: number): string | undefined {
  pattern.lastIndex = offset
  return pattern.exec(source)?.[0]
}
