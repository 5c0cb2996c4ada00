/**
 * Losses written as functions: traced once into a formula, which runs wherever any other loss does. JavaScript has no
 * operators of its own for tensors, so they are methods.
 */
import catalogJson from './catalog.json' with { type: 'json' }
import { LossdError } from './errors.ts'
import { Loss, type LossOptions } from './loss.ts'

/** A function cannot be written as a formula. */
export class TraceError extends LossdError {
  override readonly name = 'TraceError'
}

export type Operand = Expression | number | boolean

/** How tightly operators bind, as in the formula language. */
const LEVELS = {
  choice: 0,
  or: 1,
  and: 2,
  not: 3,
  compare: 4,
  sum: 5,
  product: 6,
  sign: 7,
  power: 8,
  atom: 9,
} as const
type Level = (typeof LEVELS)[keyof typeof LEVELS]

/** A tensor while a function is traced. It has no numbers. */
export class Expression {
  readonly text: string
  readonly level: Level

  constructor(text: string, level: Level = LEVELS.atom) {
    this.text = text
    this.level = level
  }

  add(other: Operand): Expression {
    return binary('+', LEVELS.sum, this, other)
  }

  sub(other: Operand): Expression {
    return binary('-', LEVELS.sum, this, other)
  }

  mul(other: Operand): Expression {
    return binary('*', LEVELS.product, this, other)
  }

  div(other: Operand): Expression {
    return binary('/', LEVELS.product, this, other)
  }

  pow(other: Operand): Expression {
    return new Expression(`${within(this, LEVELS.atom)}^${within(other, LEVELS.atom)}`, LEVELS.power)
  }

  neg(): Expression {
    return new Expression(`-${within(this, LEVELS.power)}`, LEVELS.sign)
  }

  less(other: Operand): Expression {
    return binary('<', LEVELS.compare, this, other)
  }

  lessEqual(other: Operand): Expression {
    return binary('<=', LEVELS.compare, this, other)
  }

  greater(other: Operand): Expression {
    return binary('>', LEVELS.compare, this, other)
  }

  equal(other: Operand): Expression {
    return binary('==', LEVELS.compare, this, other)
  }

  and(other: Operand): Expression {
    return binary('and', LEVELS.and, this, other)
  }

  or(other: Operand): Expression {
    return binary('or', LEVELS.or, this, other)
  }

  not(): Expression {
    return new Expression(`not ${within(this, LEVELS.atom)}`, LEVELS.not)
  }

  /** Arithmetic with JavaScript's operators has no tensor as its result. */
  [Symbol.toPrimitive](): never {
    throw new TraceError(
      'an operator of JavaScript: use the methods add, sub, mul, div and pow, or the functions of ops',
    )
  }
}

function spelled(value: Operand): { text: string; level: Level } {
  if (value instanceof Expression) return value
  if (typeof value === 'boolean') return { text: String(value), level: LEVELS.atom }
  if (typeof value === 'number' && Number.isFinite(value))
    return { text: String(value), level: value < 0 ? LEVELS.sign : LEVELS.atom }
  throw new TraceError(`${String(value)} is neither a tensor nor a finite number`)
}

/** In parentheses if it binds less tightly. */
function within(value: Operand, level: Level): string {
  const { text, level: own } = spelled(value)
  return own < level ? `(${text})` : text
}

function binary(sign: string, level: Level, a: Operand, b: Operand): Expression {
  const isComparison = level === LEVELS.compare
  const left = within(a, (isComparison ? level + 1 : level) as Level)
  return new Expression(`${left} ${sign} ${within(b, (level + 1) as Level)}`, level)
}

/** `yes` where the condition is true, and `no` elsewhere. */
export function where(condition: Operand, yes: Operand, no: Operand): Expression {
  const [test, a, b] = [condition, yes, no].map((part) => within(part, LEVELS.or))
  return new Expression(`${test} ? ${a} : ${b}`, LEVELS.choice)
}

/** The functions of the formula language: tensors and numbers, then the names of axes. */
export type Op = (...args: readonly (Operand | string)[]) => Expression

/**
 * All of them, by name.
 *
 * @example
 * const { log1p, sum } = ops
 */
export const ops: Readonly<Record<string, Op>> = Object.fromEntries(
  Object.keys(catalogJson.functions).map((name) => [name, called(name)]),
)

function called(name: string): Op {
  return (...args) => {
    const texts = args.map((arg) => (typeof arg === 'string' ? arg : spelled(arg).text))
    return new Expression(`${name}(${texts.join(', ')})`)
  }
}

export interface TracedOptions<P extends Readonly<Record<string, number | boolean>>>
  extends Omit<LossOptions, 'params'> {
  /** Names of the inputs. */
  readonly inputs: readonly string[]
  /** Parameters with their defaults. */
  readonly params?: P
  /** Input -> its axes (`rows,classes`); by default any, the same for all. */
  readonly axes?: Readonly<Record<string, string>>
}

/**
 * Makes a loss of a function of tensors.
 *
 * @example
 * const cauchy = traced({ inputs: ['predictions', 'targets'], params: { scale: 1 } }, ({ predictions, targets }, { scale }) =>
 *   ops.log1p(predictions.sub(targets).div(scale).pow(2)))
 * @throws TraceError
 */
export function traced<P extends Readonly<Record<string, number | boolean>>>(
  { inputs, params, axes = {}, ...options }: TracedOptions<P>,
  body: (
    inputs: Readonly<Record<string, Expression>>,
    params: Readonly<Record<keyof P, Expression>>,
  ) => Expression,
): Loss & { readonly formula: string } {
  const named = (names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, new Expression(name)]))
  const defaults: Readonly<Record<string, number | boolean>> = params ?? {}
  const result = body(named(inputs), named(Object.keys(defaults)) as Record<keyof P, Expression>)
  if (!(result instanceof Expression)) throw new TraceError('the function returns no tensor')
  const definition = {
    inputs: Object.fromEntries(
      inputs.map((name) => [
        name,
        { differentiable: true, ...(axes[name] === undefined ? {} : { axes: axes[name] }) },
      ]),
    ),
    params: Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [name, { type: typeof value, default: value }]),
    ),
    formula: result.text,
  }
  return Object.assign(new Loss({ definition }, options), { formula: result.text })
}
