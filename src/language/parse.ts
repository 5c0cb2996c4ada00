/**
 * The parser: text -> Formula (an AST), by precedence climbing. The grammar, lowest precedence first:
 *
 *   formula   = { ( name | signature ) "=" choice newline } choice
 *   signature = name "(" name { "," name } ")"
 *   choice    = or [ "?" choice ":" choice ]
 *   or        = and { "or" and }              and = not { "and" not }         not = "not" not | compare
 *   compare   = sum [ ("<"|"<="|">"|">="|"=="|"!=") sum ]
 *   sum       = product { ("+"|"-") product } product = unary { ("*"|"/") unary }
 *   unary     = "-" unary | power             power = postfix [ ("^"|"**") unary ]
 *   postfix   = primary { "[" axis "->" axis "]" }
 *   primary   = number | "true" | "false" | name | name "(" choice { "," choice } ")" | "(" choice ")" | list
 *   list      = "[" choice { "," choice } "]"
 *
 * `where(c, a, b)` is parsed as `c ? a : b`.
 * A statement continues on the next line after an operator, before and after `?` and `:`, and inside brackets.
 * Calls of functions that the formula defines are expanded here (inline-functions.ts), so that nothing after the parser knows them.
 * There are no members, strings, loops or recursion, and a name is assigned only once, so a formula cannot be used to
 * run code.
 */
import {
  type BinaryOperator,
  type Expression,
  type Formula,
  FormulaError,
  type FunctionDefinition,
  type Position,
  type Statement,
} from './ast.ts'
import {
  foreignWord,
  INDEXING_HINT,
  KEYWORD_ARGUMENT_HINT,
  operatorHint,
  valueHint,
  wordHint,
} from './foreign-notation.ts'
import { expandFunctions, isFunction } from './inline-functions.ts'
import { type Token, tokenize, unsupportedTokenMessage } from './tokens.ts'

/** Limits on the size of a formula. */
export const LIMITS = { bytes: 4096, nodes: 512, depth: 64 } as const

/** Words of the grammar, which cannot be used as names. */
export const RESERVED: ReadonlySet<string> = new Set(['and', 'or', 'not', 'true', 'false'])

/**
 * Parses a formula.
 *
 * @throws FormulaError with line and column, also if it is longer, larger or deeper than LIMITS
 * @example
 * parse('e = predictions - targets\ne * e').statements.length // 2
 */
export function parse(source: string): Formula {
  const bytes = new TextEncoder().encode(source).length
  if (bytes > LIMITS.bytes) {
    throw new FormulaError(`the formula has ${bytes} bytes, the limit is ${LIMITS.bytes}`, {
      line: 1,
      column: 1,
      source,
    })
  }
  return Object.freeze({ source, ...new Parser(tokenize(source)).formula() })
}

type Line = Statement | FunctionDefinition

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0
  #depth = 0
  #nodes = 0
  /** Inside brackets a line break is only a space. */
  #brackets = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  formula(): Omit<Formula, 'source'> {
    const lines: Line[] = []
    const names = new Map<string, Position>()
    this.#skipNewlines()
    while (this.#peek().kind !== 'end') {
      const previous = lines.at(-1)
      if (previous !== undefined && previous.name === undefined) {
        throw new FormulaError('only the last line may be without a name', previous.at)
      }
      lines.push(this.#line(names))
      this.#endOfLine()
    }
    this.#checkLast(lines)
    if (!lines.some(isFunction)) return { statements: lines as Statement[] }
    return { statements: expandFunctions(lines, LIMITS.nodes), written: lines }
  }

  #checkLast(lines: readonly Line[]) {
    const last = lines.at(-1)
    if (last === undefined) throw new FormulaError('the formula is empty', this.#peek().at)
    if (last.name !== undefined) {
      throw new FormulaError(
        `the last line is the value and has no name; here it is named "${last.name}"`,
        last.at,
      )
    }
  }

  #line(names: Map<string, Position>): Line {
    const first = this.#peek()
    if (first.kind !== 'name') return { name: undefined, value: this.#choice(), at: first.at }
    if (this.#tokens[this.#next + 1].text === '=') {
      this.#checkName(first, names)
      this.#next += 2
      return { name: first.text, value: this.#choice(), at: first.at }
    }
    if (this.#beginsDefinition()) return this.#definition(names)
    return { name: undefined, value: this.#choice(), at: first.at }
  }

  /** Whether "=" follows the brackets after the name: no value can be assigned to a call. */
  #beginsDefinition(): boolean {
    let place = this.#next + 1
    if (this.#tokens[place].text !== '(') return false
    for (let open = 0; this.#tokens[place].kind !== 'end'; place++) {
      const { text } = this.#tokens[place]
      if (text === '(') open++
      if (text === ')' && --open === 0) return this.#tokens[place + 1].text === '='
    }
    return false
  }

  #definition(names: Map<string, Position>): FunctionDefinition {
    const first = this.#peek()
    if (first.text === 'where') throw new FormulaError('"where" cannot be a name', first.at)
    this.#checkName(first, names)
    this.#next += 2
    const parameters = this.#inBrackets(() => this.#parameters())
    this.#expect(')', 'after the parameters of a function')
    this.#expect('=', 'after the parameters of a function')
    return { name: first.text, parameters, value: this.#choice(), at: first.at }
  }

  #parameters(): string[] {
    const names = new Map<string, Position>()
    do {
      const token = this.#peek()
      if (token.kind !== 'name') throw this.#unexpected('the name of a parameter', '')
      if (names.has(token.text))
        throw new FormulaError(`the parameter "${token.text}" is named twice`, token.at)
      this.#checkName(token, names)
      this.#next++
    } while (this.#accept(','))
    return [...names.keys()]
  }

  #checkName(token: Token, names: Map<string, Position>) {
    const earlier = names.get(token.text)
    if (RESERVED.has(token.text)) throw new FormulaError(`"${token.text}" cannot be a name`, token.at)
    if (earlier)
      throw new FormulaError(`"${token.text}" is already defined on line ${earlier.line}`, token.at)
    names.set(token.text, token.at)
  }

  #choice(): Expression {
    return this.#deeper(() => {
      const test = this.#or()
      if (!this.#acceptAcrossLines('?')) return test
      this.#skipNewlines()
      const yes = this.#choice()
      if (!this.#acceptAcrossLines(':')) this.#expect(':', 'between the two sides of "?"')
      this.#skipNewlines()
      return this.#node({ kind: 'choice', test, yes, no: this.#choice(), at: test.at })
    })
  }

  #or(): Expression {
    return this.#leftAssociative(['or'], () => this.#and())
  }

  #and(): Expression {
    return this.#leftAssociative(['and'], () => this.#not())
  }

  #not(): Expression {
    const at = this.#peek().at
    if (!this.#accept('not')) return this.#compare()
    return this.#deeper(() => this.#node({ kind: 'unary', operator: 'not', argument: this.#not(), at }))
  }

  #compare(): Expression {
    const left = this.#sum()
    const operator = this.#acceptAny(['<', '<=', '>', '>=', '==', '!='])
    if (operator === undefined) return left
    const compared = this.#node({ kind: 'binary', operator, left, right: this.#sum(), at: left.at })
    const again = this.#acceptAny(['<', '<=', '>', '>=', '==', '!='])
    if (again === undefined) return compared
    throw new FormulaError(`comparisons cannot be chained; write "a ${operator} b and b ${again} c"`, left.at)
  }

  #sum(): Expression {
    return this.#leftAssociative(['+', '-'], () => this.#product())
  }

  #product(): Expression {
    return this.#leftAssociative(['*', '/'], () => this.#unary())
  }

  #unary(): Expression {
    const at = this.#peek().at
    if (!this.#accept('-')) return this.#power()
    return this.#deeper(() => this.#node({ kind: 'unary', operator: '-', argument: this.#unary(), at }))
  }

  #power(): Expression {
    const base = this.#postfix()
    if (!this.#accept('^') && !this.#accept('**')) return base
    const exponent = this.#deeper(() => this.#unary())
    return this.#node({ kind: 'binary', operator: '^', left: base, right: exponent, at: base.at })
  }

  #postfix(): Expression {
    let argument = this.#primary()
    while (this.#accept('[')) {
      const from = this.#axis()
      this.#expect('->', 'between the old and the new name of an axis', INDEXING_HINT)
      argument = this.#node({ kind: 'rename', argument, from, to: this.#axis(), at: argument.at })
      this.#expect(']', 'after the new name of an axis')
    }
    return argument
  }

  #primary(): Expression {
    const token = this.#peek()
    if (token.kind === 'number') return this.#number(token)
    if (token.text === '...') return this.#named(token)
    if (token.kind === 'name' && !RESERVED.has(token.text)) return this.#named(token)
    if (token.text === 'true' || token.text === 'false') {
      this.#next++
      return this.#node({ kind: 'boolean', value: token.text === 'true', at: token.at })
    }
    if (this.#accept('(')) return this.#parenthesised()
    if (this.#accept('[')) return this.#list(token)
    throw this.#unexpected('a value', valueHint(token))
  }

  #number(token: Token): Expression {
    this.#next++
    return this.#node({ kind: 'number', value: Number(token.text), at: token.at })
  }

  #named(token: Token): Expression {
    this.#next++
    if (!this.#accept('(')) return this.#node({ kind: 'name', name: token.text, at: token.at })
    const list = this.#inBrackets(() => this.#choices())
    this.#expect(')', `to close "${token.text}("`)
    if (token.text === 'where') return this.#where(token, list)
    return this.#node({ kind: 'call', name: token.text, arguments: list, at: token.at })
  }

  /** The conditional as NumPy, PyTorch and JAX write it. */
  #where({ at }: Token, list: readonly Expression[]): Expression {
    const [test, yes, no] = list
    if (list.length === 3) return this.#node({ kind: 'choice', test, yes, no, at })
    throw new FormulaError(`where takes 3 arguments (condition, value, value), found ${list.length}`, at)
  }

  #choices(): Expression[] {
    const found = [this.#choice()]
    while (this.#accept(',')) found.push(this.#choice())
    return found
  }

  #list({ at }: Token): Expression {
    const items = this.#inBrackets(() => this.#choices())
    this.#expect(']', 'to close "["')
    return this.#node({ kind: 'list', items, at })
  }

  #parenthesised(): Expression {
    const inner = this.#inBrackets(() => this.#choice())
    this.#expect(')', 'to close "("')
    return inner
  }

  #axis(): string {
    const token = this.#peek()
    if (token.kind !== 'name' && token.text !== '...')
      throw this.#unexpected('the name of an axis', INDEXING_HINT)
    this.#next++
    return token.text
  }

  #leftAssociative(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand()
    for (let operator = this.#acceptAny(operators); operator; operator = this.#acceptAny(operators)) {
      this.#skipNewlines()
      left = this.#node({ kind: 'binary', operator, left, right: operand(), at: left.at })
    }
    return left
  }

  #node(expression: Expression): Expression {
    if (++this.#nodes > LIMITS.nodes) {
      throw new FormulaError(`the formula has more than ${LIMITS.nodes} nodes`, expression.at)
    }
    return Object.freeze(expression)
  }

  #deeper<T>(inner: () => T): T {
    if (++this.#depth > LIMITS.depth) {
      throw new FormulaError(`the formula is nested more than ${LIMITS.depth} levels deep`, this.#peek().at)
    }
    const result = inner()
    this.#depth--
    return result
  }

  #inBrackets<T>(inner: () => T): T {
    this.#brackets++
    const result = inner()
    this.#skipNewlines()
    this.#brackets--
    return result
  }

  #peek(): Token {
    if (this.#brackets > 0) this.#skipNewlines()
    return this.#tokens[this.#next]
  }

  #skipNewlines() {
    while (this.#tokens[this.#next].kind === 'newline') this.#next++
  }

  #endOfLine() {
    const token = this.#peek()
    if (token.kind !== 'newline' && token.kind !== 'end')
      throw this.#unexpected('an operator or the end of the line', operatorHint(this.#before(), token))
    this.#skipNewlines()
  }

  #accept(text: string): boolean {
    if (this.#peek().text !== text || this.#peek().kind === 'end') return false
    this.#next++
    return true
  }

  /** No line can begin with such a token, so it belongs to the previous line. */
  #acceptAcrossLines(text: '?' | ':'): boolean {
    let next = this.#next
    while (this.#tokens[next].kind === 'newline') next++
    if (this.#tokens[next].text !== text) return false
    this.#next = next + 1
    return true
  }

  #acceptAny<T extends string>(texts: readonly T[]): T | undefined {
    return texts.find((text) => this.#accept(text))
  }

  #expect(text: string, why: string, hint = '') {
    if (this.#accept(text)) return
    throw this.#unexpected(`"${text}" ${why}`, hint === '' ? this.#hintInside() : hint)
  }

  #hintInside(): string {
    const token = this.#peek()
    return token.text === '=' ? KEYWORD_ARGUMENT_HINT : operatorHint(this.#before(), token)
  }

  #before(): Token | undefined {
    return this.#tokens[this.#next - 1]
  }

  /** If the line contains a word of another grammar, that word is the problem. */
  #unexpected(expected: string, hint: string): FormulaError {
    const token = this.#peek()
    const place = foreignWord(this.#tokens, this.#startOfLine(), this.#next)
    if (place === undefined)
      return new FormulaError(`expected ${expected}, found ${spell(token)}${hint}`, token.at)
    const { text, at } = this.#tokens[place]
    return new FormulaError(unsupportedTokenMessage({ text, hint: wordHint(text) }), at)
  }

  #startOfLine(): number {
    return this.#tokens.findLastIndex(({ kind }, place) => kind === 'newline' && place < this.#next) + 1
  }
}

function spell(token: Token): string {
  if (token.kind === 'end') return 'the end'
  return token.kind === 'newline' ? 'the end of the line' : `"${token.text}"`
}
