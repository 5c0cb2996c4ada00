/**
 * Macro expansion: replaces the calls of functions that a formula defines itself by their bodies, before names are
 * resolved. A function can only call those above it, so expansion ends, and what it produces is limited. Errors in a
 * body are reported where it was written, those in an argument where the call is.
 */
import {
  type Expression,
  FormulaError,
  type FunctionDefinition,
  type Position,
  type Statement,
  subexpressionsOf,
} from './ast.ts'

type Line = Statement | FunctionDefinition

/** Whether a line defines a function. */
export function isFunction(line: Line): line is FunctionDefinition {
  return 'parameters' in line
}

/**
 * The lines without functions and calls of them.
 *
 * @param maxNodes the most nodes that they may have together
 * @throws FormulaError for recursion, a wrong number of arguments, and too many nodes
 * @example
 * expandFunctions(lines) // [f(x) = x^2, f(a) + 1] -> [a^2 + 1]
 */
export function expandFunctions(lines: readonly Line[], maxNodes: number): Statement[] {
  const expansion = new Expansion(lines, maxNodes)
  return lines.flatMap((line) => expansion.line(line))
}

type Bindings = ReadonlyMap<string, Expression>

const NOTHING: Bindings = new Map()

class Expansion {
  /** Those above the line that is expanded, with everything in their bodies expanded. */
  readonly #functions = new Map<string, FunctionDefinition>()
  readonly #all: ReadonlySet<string>
  readonly #maxNodes: number
  #line: Line | undefined
  #nodes = 0

  constructor(lines: readonly Line[], maxNodes: number) {
    this.#all = new Set(lines.filter(isFunction).map(({ name }) => name))
    this.#maxNodes = maxNodes
  }

  line(line: Line): Statement[] {
    this.#line = line
    const expanded = { ...line, value: this.#expand(line.value, NOTHING) }
    if (!isFunction(expanded)) return [expanded]
    this.#functions.set(expanded.name, expanded)
    return []
  }

  /** With names replaced by what they are bound to. */
  #expand(expression: Expression, bound: Bindings): Expression {
    const inside = (part: Expression) => this.#expand(part, bound)
    switch (expression.kind) {
      case 'name': {
        const value = bound.get(expression.name)
        return value === undefined ? this.#counted(expression) : this.#counted(value, sizeOf(value))
      }
      case 'unary':
        return this.#counted({ ...expression, argument: inside(expression.argument) })
      case 'binary':
        return this.#counted({
          ...expression,
          left: inside(expression.left),
          right: inside(expression.right),
        })
      case 'choice': {
        const [test, yes, no] = [expression.test, expression.yes, expression.no].map(inside)
        return this.#counted({ ...expression, test, yes, no })
      }
      case 'rename': {
        const [from, to] = [expression.from, expression.to].map((axis) => axisIn(bound, axis))
        return this.#counted({ ...expression, argument: inside(expression.argument), from, to })
      }
      case 'call':
        return this.#call({ ...expression, arguments: expression.arguments.map(inside) })
      default:
        return this.#counted(expression)
    }
  }

  #call(call: Expression & { kind: 'call' }): Expression {
    const called = this.#functions.get(call.name)
    if (called === undefined) {
      this.#checkIsNotLater(call.name, call.at)
      return this.#counted(call)
    }
    const { parameters, value } = called
    if (parameters.length !== call.arguments.length) {
      const detail = `${call.name} takes ${parameters.length} ${parameters.length === 1 ? 'argument' : 'arguments'} (${parameters.join(', ')}), found ${call.arguments.length}`
      throw new FormulaError(detail, call.at)
    }
    return this.#expand(value, new Map(parameters.map((name, place) => [name, call.arguments[place]])))
  }

  #checkIsNotLater(name: string, at: Position) {
    if (!this.#all.has(name)) return
    const isSelf = this.#line !== undefined && isFunction(this.#line) && this.#line.name === name
    const detail = isSelf
      ? `"${name}" calls itself; there is no recursion`
      : `"${name}" is used before its line`
    throw new FormulaError(detail, at)
  }

  #counted(expression: Expression, size = 1): Expression {
    this.#nodes += size
    if (this.#nodes <= this.#maxNodes) return expression
    const detail = `with the bodies of its functions in place of their calls, the formula has more than ${this.#maxNodes} nodes`
    throw new FormulaError(detail, this.#line!.at)
  }
}

/** An axis may be an argument, too: it must be a name then. */
function axisIn(bound: Bindings, axis: string): string {
  const value = bound.get(axis)
  if (value === undefined) return axis
  if (value.kind === 'name') return value.name
  throw new FormulaError('expected the name of an axis', value.at)
}

function sizeOf(expression: Expression): number {
  return subexpressionsOf(expression).reduce((size, part) => size + sizeOf(part), 1)
}
