/** The lexer: splits a formula's text into tokens with positions. It knows characters, not grammar. */
import { FormulaError, type Position } from './ast.ts'
import {
  endsValue,
  foreignCharacter,
  foreignOperator,
  isModule,
  type Misspelt,
  memberHint,
} from './foreign-notation.ts'

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
  '**',
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

/** @throws FormulaError at the first text that is not a token */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let offset = 0
  let line = 1
  let lineStart = 0
  const position = (): Position => ({ line, column: offset - lineStart + 1, source })
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
      const found = lexeme(source, offset)
      if (found === undefined) throw noToken(source, offset, position(), tokens.at(-1))
      take(...found)
    }
  }
  take('end', '')
  return tokens
}

function lexeme(source: string, offset: number): [Token['kind'], string] | undefined {
  const name = match(NAME, source, offset)
  if (name !== undefined) return ['name', name]
  const symbol = SYMBOLS.find((candidate) => source.startsWith(candidate, offset))
  if (symbol === '...') return ['symbol', symbol]
  const number = match(NUMBER, source, offset)
  if (number !== undefined) return ['number', number]
  if (symbol === undefined || foreignOperator(source, offset) !== undefined) return undefined
  return ['symbol', symbol]
}

function noToken(source: string, offset: number, at: Position, before: Token | undefined): FormulaError {
  const hint = endsValue(before) ? memberHint(source, offset, ownerOf(before!)) : undefined
  if (hint !== undefined) return noMember(before!, at, hint)
  const letter = String.fromCodePoint(source.codePointAt(offset)!)
  const found = foreignOperator(source, offset) ?? foreignCharacter(letter, !endsValue(before))
  return new FormulaError(unsupportedTokenMessage(found), at)
}

const ownerOf = ({ kind, text }: Token) => (kind === 'name' ? text : undefined)

/** In `np.abs` the whole is wrong, in `x.abs` only what comes after the dot. */
function noMember(owner: Token, at: Position, hint: string): FormulaError {
  if (owner.kind === 'name' && isModule(owner.text))
    return new FormulaError(`there are no modules${hint}`, owner.at)
  return new FormulaError(`values have no members${hint}`, at)
}

/** `"&&" is not part of the language; write "and"`. */
export function unsupportedTokenMessage({ text, hint }: Misspelt): string {
  return `${JSON.stringify(text)} is not part of the language${hint}`
}

function match(pattern: RegExp, source: string, offset: number): string | undefined {
  pattern.lastIndex = offset
  return pattern.exec(source)?.[0]
}
