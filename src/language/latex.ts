/** Formats a formula as LaTeX, for the docs. It is only for reading: nothing is computed from it. */
import { type Expression, type Formula, subexpressionsOf } from './ast.ts'
import { AXIS_OVERLOADS } from './functions.ts'
import { isFunction } from './inline-functions.ts'

/** Operator precedence. An operator of lower precedence inside one of higher precedence needs parentheses. */
const LEVEL = {
  choice: 0,
  or: 1,
  and: 2,
  not: 3,
  compare: 4,
  sum: 5,
  product: 6,
  unary: 7,
  power: 8,
  atom: 9,
} as const

const COMPARISONS: Readonly<Record<string, string>> = {
  '<': '<',
  '<=': '\\le',
  '>': '>',
  '>=': '\\ge',
  '==': '=',
  '!=': '\\ne',
}

const GREEK: ReadonlySet<string> = new Set(
  'alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega'.split(
    ' ',
  ),
)

/**
 * The formula as an aligned block: one line per name, the value last.
 *
 * @example
 * toLatex(parse('e = x - y\ne ^ 2')) // \begin{aligned} e &= x - y \\ \ell &= e^{2} \end{aligned}
 * @param axes the axes that `max(x, axis)` may reduce over, in addition to those that the formula itself names
 */
export function toLatex(formula: Formula, axes: readonly string[] = []): string {
  const written = formula.written ?? formula.statements
  const known = new Set([...axes, ...written.flatMap(({ value }) => namedAxes(value))])
  const names = { axes: known, own: new Set(written.filter(isFunction).map(({ name }) => name)) }
  const lines = written.map((line) => `${subject(line)} &= ${write(marked(line.value, names), LEVEL.choice)}`)
  return `\\begin{aligned} ${lines.join(' \\\\ ')} \\end{aligned}`
}

/** What a line defines: `e`, `f(x)`, or the value. */
function subject(line: NonNullable<Formula['written']>[number]): string {
  if (line.name === undefined) return '\\ell'
  return isFunction(line)
    ? `${identifier(line.name)}\\left(${line.parameters.map(identifier).join(', ')}\\right)`
    : identifier(line.name)
}

/** The second names that an expression gives to axes. */
function namedAxes(expression: Expression): string[] {
  const own = expression.kind === 'rename' ? [expression.to] : []
  return [...own, ...subexpressionsOf(expression).flatMap(namedAxes)]
}

/** What a name stands for depends on the formula. */
interface Names {
  readonly axes: ReadonlySet<string>
  /** Functions that it defines itself. */
  readonly own: ReadonlySet<string>
}

/** Marks calls: `max` and `min` over an axis have a notation of their own, and own functions have none. */
function marked(expression: Expression, names: Names): Expression {
  const inside = (part: Expression) => marked(part, names)
  switch (expression.kind) {
    case 'unary':
    case 'rename':
      return { ...expression, argument: inside(expression.argument) }
    case 'binary':
      return { ...expression, left: inside(expression.left), right: inside(expression.right) }
    case 'choice':
      return {
        ...expression,
        test: inside(expression.test),
        yes: inside(expression.yes),
        no: inside(expression.no),
      }
    case 'list':
      return { ...expression, items: expression.items.map(inside) }
    case 'call': {
      const [, last] = expression.arguments
      const { name } = expression
      const isOver = AXIS_OVERLOADS.has(name) && last?.kind === 'name' && names.axes.has(last.name)
      const marking = names.own.has(name) ? `${OWN}${name}` : isOver ? `${name} over` : name
      return { ...expression, name: marking, arguments: expression.arguments.map(inside) }
    }
    default:
      return expression
  }
}

function write(expression: Expression, outer: number): string {
  const [text, level] = spell(expression)
  return level < outer ? `\\left(${text}\\right)` : text
}

function spell(expression: Expression): [text: string, level: number] {
  switch (expression.kind) {
    case 'number':
      return [number(expression.value), LEVEL.atom]
    case 'boolean':
      return [`\\mathrm{${expression.value}}`, LEVEL.atom]
    case 'name':
      return [identifier(expression.name), LEVEL.atom]
    case 'unary':
      return expression.operator === '-'
        ? [`-${write(expression.argument, LEVEL.unary)}`, LEVEL.unary]
        : [`\\lnot ${write(expression.argument, LEVEL.not)}`, LEVEL.not]
    case 'binary':
      return binary(expression)
    case 'choice':
      return [cases(expression), LEVEL.atom]
    case 'list': {
      const items = expression.items.map((item) => write(item, LEVEL.choice))
      return [`\\left[${items.join(', ')}\\right]`, LEVEL.atom]
    }
    case 'call': {
      const power = asPower(expression)
      return power === undefined ? [call(expression.name, expression.arguments), LEVEL.atom] : binary(power)
    }
    case 'rename': {
      const renaming = `${identifier(expression.from)} \\to ${identifier(expression.to)}`
      return [`{${write(expression.argument, LEVEL.atom)}}_{${renaming}}`, LEVEL.atom]
    }
  }
}

function binary({ operator, left, right }: Expression & { kind: 'binary' }): [string, number] {
  const infix = (sign: string, level: number): [string, number] => {
    return [`${write(left, level)} ${sign} ${write(right, level + 1)}`, level]
  }
  switch (operator) {
    case '+':
    case '-':
      return sum(operator, left, right)
    case '*':
      return [`${write(left, LEVEL.product)} \\cdot ${write(right, LEVEL.power)}`, LEVEL.product]
    case '/':
      return [`\\frac{${write(left, LEVEL.choice)}}{${write(right, LEVEL.choice)}}`, LEVEL.atom]
    case '^':
      return [`{${write(left, LEVEL.atom)}}^{${write(right, LEVEL.choice)}}`, LEVEL.power]
    case 'and':
      return infix('\\land', LEVEL.and)
    case 'or':
      return infix('\\lor', LEVEL.or)
    default:
      return infix(COMPARISONS[operator], LEVEL.compare)
  }
}

/** `1 + -q` is written as `1 - q`. */
function sum(operator: '+' | '-', left: Expression, right: Expression): [string, number] {
  const positive = withoutMinus(right)
  const sign = positive === undefined ? operator : operator === '+' ? '-' : '+'
  return [`${write(left, LEVEL.sum)} ${sign} ${write(positive ?? right, LEVEL.product)}`, LEVEL.sum]
}

/** The rest of a term that begins with a minus. */
function withoutMinus(term: Expression): Expression | undefined {
  if (term.kind === 'unary' && term.operator === '-') return term.argument
  const left = term.kind === 'binary' && term.operator === '*' ? withoutMinus(term.left) : undefined
  return left === undefined ? undefined : ({ ...term, left } as Expression)
}

/** `square(x)` and `power(a, b)` are written as powers. */
function asPower({ name, arguments: args, at }: Expression & { kind: 'call' }) {
  const [left, right] = name === 'square' ? [...args, { kind: 'number', value: 2, at } as const] : args
  const isPower = (name === 'square' && args.length === 1) || (name === 'power' && args.length === 2)
  return isPower ? ({ kind: 'binary', operator: '^', left, right, at } as const) : undefined
}

function cases({ test, yes, no }: Expression & { kind: 'choice' }): string {
  const [a, c, b] = [yes, test, no].map((part) => write(part, LEVEL.choice))
  return `\\begin{cases} ${a} & \\text{if } ${c} \\\\ ${b} & \\text{otherwise} \\end{cases}`
}

/** Functions with a notation of their own. The others are written as upright names. */
const NOTATION: Readonly<Record<string, (...args: string[]) => string>> = {
  abs: (x) => `\\left|${x}\\right|`,
  exp: (x) => `e^{${x}}`,
  log: (x) => `\\ln\\left(${x}\\right)`,
  log1p: (x) => `\\ln\\left(1 ${x.startsWith('-') ? `- ${x.slice(1)}` : `+ ${x}`}\\right)`,
  expm1: (x) => `\\left(e^{${x}} - 1\\right)`,
  log2: (x) => `\\log_{2}\\left(${x}\\right)`,
  log10: (x) => `\\log_{10}\\left(${x}\\right)`,
  sqrt: (x) => `\\sqrt{${x}}`,
  safe_sqrt: (x) => `\\sqrt{${x}}`,
  sigmoid: (x) => `\\sigma\\left(${x}\\right)`,
  expit: (x) => `\\sigma\\left(${x}\\right)`,
  logsigmoid: (x) => `\\ln\\sigma\\left(${x}\\right)`,
  log_sigmoid: (x) => `\\ln\\sigma\\left(${x}\\right)`,
  logaddexp: (a, b) => `\\ln\\left(e^{${a}} + e^{${b}}\\right)`,
  floor: (x) => `\\left\\lfloor ${x} \\right\\rfloor`,
  ceil: (x) => `\\left\\lceil ${x} \\right\\rceil`,
  sin: (x) => `\\sin\\left(${x}\\right)`,
  cos: (x) => `\\cos\\left(${x}\\right)`,
  asin: (x) => `\\arcsin\\left(${x}\\right)`,
  acos: (x) => `\\arccos\\left(${x}\\right)`,
  atan: (x) => `\\arctan\\left(${x}\\right)`,
  lgamma: (x) => `\\ln\\Gamma\\left(${x}\\right)`,
  lbeta: (a, b) => `\\ln\\mathrm{B}\\left(${a}, ${b}\\right)`,
  digamma: (x) => `\\psi\\left(${x}\\right)`,
  trigamma: (x) => `\\psi'\\left(${x}\\right)`,
  polygamma: (n, x) => `\\psi^{\\left(${n}\\right)}\\left(${x}\\right)`,
  sum: (x, ...axes) => `\\sum_{${axes.join(', ')}} ${x}`,
  mean: (x, ...axes) => `\\operatorname{mean}_{${axes.join(', ')}} ${x}`,
  any: (c, ...axes) => `\\exists_{${axes.join(', ')}} \\left(${c}\\right)`,
  all: (c, ...axes) => `\\forall_{${axes.join(', ')}} \\left(${c}\\right)`,
  norm: (x, ...axes) => `\\left\\lVert ${x} \\right\\rVert_{${axes.join(', ')}}`,
  pick: (x, place, axis) => `\\left[${x}\\right]_{${axis} = ${place}}`,
  diag: (x, rows, columns) => `\\left[${x}\\right]_{${rows} = ${columns}}`,
  shift: (x, steps, axis) => `\\left[${x}\\right]_{${axis} - ${steps}}`,
  conv: (x, weights, axis) => `\\left(${weights} \\star_{${axis}} ${x}\\right)`,
  window_sum: (x, length, axis) => `\\sum_{${length} \\text{ of } ${axis}} \\left(${x}\\right)`,
  window_mean: (x, length, axis) =>
    `\\operatorname{mean}_{${length} \\text{ of } ${axis}} \\left(${x}\\right)`,
  solve_lower: (a, b, rows, columns) =>
    `{\\operatorname{tril}_{${rows}, ${columns}}\\left(${a}\\right)}^{-1} \\left(${b}\\right)`,
  solve_triangular: (a, b, rows, columns) =>
    `{\\operatorname{tril}_{${rows}, ${columns}}\\left(${a}\\right)}^{-1} \\left(${b}\\right)`,
  solve_upper: (a, b, rows, columns) =>
    `{\\operatorname{triu}_{${rows}, ${columns}}\\left(${a}\\right)}^{-1} \\left(${b}\\right)`,
  soft_dtw: (x, gamma, first, second) =>
    `\\operatorname{dtw}^{${gamma}}_{${first}, ${second}}\\left(${x}\\right)`,
  softmax: (x, axis) => `\\operatorname{softmax}_{${axis}}\\left(${x}\\right)`,
  log_softmax: (x, axis) => `\\ln\\operatorname{softmax}_{${axis}}\\left(${x}\\right)`,
  logsumexp: (x, axis) => `\\ln\\sum_{${axis}} e^{${x}}`,
  'max over': (x, axis) => `\\max_{${axis}} ${x}`,
  'min over': (x, axis) => `\\min_{${axis}} ${x}`,
  size: (axis) => `\\left|${axis}\\right|`,
}

const OWN = 'own '

function call(name: string, args: readonly Expression[]): string {
  if (name.startsWith(OWN)) {
    const list = args.map((arg) => write(arg, LEVEL.choice)).join(', ')
    return `${identifier(name.slice(OWN.length))}\\left(${list}\\right)`
  }
  const isSum = name === 'sum' || name === 'mean' || name.endsWith(' over')
  const written = args.map((arg, place) => write(arg, isSum && place === 0 ? LEVEL.product : LEVEL.choice))
  const notation = NOTATION[name]
  if (notation !== undefined) return isSum ? `{${notation(...written)}}` : notation(...written)
  return `\\operatorname{${name.replaceAll('_', '\\_')}}\\left(${written.join(', ')}\\right)`
}

function identifier(name: string): string {
  if (name === '...') return '\\ast'
  if (GREEK.has(name)) return `\\${name}`
  return name.length === 1 ? name : `\\mathrm{${name.replaceAll('_', '\\_')}}`
}

function number(value: number): string {
  const [mantissa, exponent] = String(value).split('e')
  return exponent === undefined ? mantissa! : `${mantissa} \\cdot 10^{${Number(exponent)}}`
}
