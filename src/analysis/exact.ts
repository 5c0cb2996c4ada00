/**
 * Evaluates a function and its first derivative exactly, where that is possible: at a rational point, through
 * rational operations and through functions at 0 and 1. So it is known whether two branches meet, and how.
 */
import {
  compare,
  floorOf,
  negated,
  ONE,
  plus,
  type Rational,
  rational,
  reciprocal,
  signOf,
  times,
  withinSizeLimit,
  ZERO,
} from './rational.ts'
import type { BranchSides, Tape, TapeNode } from './tape.ts'

/** A number and its derivative, as far as they are rational. */
export interface Dual {
  readonly value: Rational | undefined
  readonly slope: Rational | undefined
}

type Part = Rational | undefined

const TWO = plus(ONE, ONE)
const MINUS_ONE = negated(ONE)
const HALF: Rational = { top: 1n, bottom: 2n }
const QUARTER: Rational = { top: 1n, bottom: 4n }

/** Values and slopes at 0. */
const AT_ZERO: Readonly<Partial<Record<TapeNode['op'], readonly [Rational, Rational]>>> = {
  exp: [ONE, ONE],
  expm1: [ZERO, ONE],
  log1p: [ZERO, ONE],
  tanh: [ZERO, ONE],
  sin: [ZERO, ONE],
  cos: [ONE, ZERO],
  atan: [ZERO, ONE],
  asin: [ZERO, ONE],
  sigmoid: [{ top: 1n, bottom: 2n }, QUARTER],
}

/**
 * The root of a tape at an exact place; undefined where that is no rational number.
 *
 * @param choices which side of each kink counts
 */
export function exactly(
  tape: Tape,
  at: Rational,
  variable: string,
  others: ReadonlyMap<string, Rational>,
  choices: BranchSides,
): (Dual | undefined)[] {
  const duals: (Dual | undefined)[] = []
  tape.nodes.forEach((node, id) => {
    const isVariable = node.op === 'variable' && node.name === variable
    const given = node.op === 'variable' && !isVariable ? others.get(node.name!) : undefined
    if (isVariable) duals.push({ value: at, slope: ONE })
    else if (given !== undefined) duals.push({ value: given, slope: ZERO })
    else duals.push(dualOf(node, duals, choices.get(id)))
  })
  return duals
}

function dualOf(
  node: TapeNode,
  duals: readonly (Dual | undefined)[],
  choice: number | undefined,
): Dual | undefined {
  if (node.op === 'constant') return node.exact === undefined ? undefined : { value: node.exact, slope: ZERO }
  const args = node.args.map((arg) => duals[arg])
  if (choice !== undefined) return chosen(node, args, choice)
  if (node.op === 'select') return selected(args)
  if (args.some((arg) => arg === undefined)) return undefined
  const found = combined(node, args as Dual[])
  return found === undefined ? undefined : limited(found)
}

/** Only the side that counts has to be known. */
function chosen({ op }: TapeNode, args: readonly (Dual | undefined)[], choice: number): Dual | undefined {
  if (op === 'abs') return args[0] === undefined ? undefined : choice > 0 ? args[0] : opposite(args[0])
  if (op === 'max' || op === 'min' || op === 'select') return args[choice]
  const value = rational(choice)
  return value === undefined ? undefined : { value, slope: ZERO }
}

function selected([test, yes, no]: readonly (Dual | undefined)[]): Dual | undefined {
  if (test?.value === undefined) return undefined
  return signOf(test.value) !== 0 ? yes : no
}

const opposite = ({ value, slope }: Dual): Dual => ({
  value: product(MINUS_ONE, value),
  slope: product(MINUS_ONE, slope),
})

function limited({ value, slope }: Dual): Dual {
  return { value: withinSizeLimit(value), slope: withinSizeLimit(slope) }
}

/** 0 times a number is 0, even if the number is not rational. */
function product(a: Part, b: Part): Part {
  if ((a !== undefined && signOf(a) === 0) || (b !== undefined && signOf(b) === 0)) return ZERO
  return a === undefined || b === undefined ? undefined : times(a, b)
}

const sum = (a: Part, b: Part): Part => (a === undefined || b === undefined ? undefined : plus(a, b))

function combined(node: TapeNode, args: readonly Dual[]): Dual | undefined {
  const [a, b] = args
  switch (node.op) {
    case 'linear':
      return args.reduce<Dual>(
        (so, { value, slope }, place) => {
          const factor = node.factors![place]
          return {
            value: sum(so.value, product(factor, value)),
            slope: sum(so.slope, product(factor, slope)),
          }
        },
        { value: node.exact!, slope: ZERO },
      )
    case 'square':
      return { value: product(a.value, a.value), slope: product(TWO, product(a.value, a.slope)) }
    case 'mul':
    case 'mul_no_nan':
      return {
        value: product(a.value, b.value),
        slope: sum(product(a.slope, b.value), product(a.value, b.slope)),
      }
    case 'div':
      return quotient(a, b)
    case 'pow':
      return power(a, b)
    case 'not':
      return a.value === undefined ? undefined : truth(signOf(a.value) === 0)
    case 'sign':
      return a.value === undefined ? undefined : { value: rational(signOf(a.value))!, slope: ZERO }
    case 'floor':
      return a.value === undefined ? undefined : { value: floorOf(a.value), slope: ZERO }
    case 'abs':
      return a.value === undefined ? undefined : signOf(a.value) < 0 ? opposite(a) : a
    case 'max':
    case 'min':
    case 'lt':
    case 'le':
    case 'eq':
    case 'and':
    case 'or':
      return a.value === undefined || b.value === undefined ? undefined : compared(node.op, a, b)
    default:
      return a === undefined ? undefined : functionOf(node.op, a)
  }
}

function compared(op: TapeNode['op'], a: Dual, b: Dual): Dual {
  const [x, y] = [a.value!, b.value!]
  switch (op) {
    case 'max':
      return compare(x, y) >= 0 ? a : b
    case 'min':
      return compare(x, y) <= 0 ? a : b
    case 'lt':
      return truth(compare(x, y) < 0)
    case 'le':
      return truth(compare(x, y) <= 0)
    case 'eq':
      return truth(compare(x, y) === 0)
    case 'and':
      return truth(signOf(x) !== 0 && signOf(y) !== 0)
    default:
      return truth(signOf(x) !== 0 || signOf(y) !== 0)
  }
}

const truth = (yes: boolean): Dual => ({ value: yes ? ONE : ZERO, slope: ZERO })

/** Functions whose slope may be rational where their value is not. */
function functionOf(op: TapeNode['op'], { value, slope }: Dual): Dual | undefined {
  if (value === undefined) return undefined
  if (op === 'log' || op === 'log1p') {
    const inside = op === 'log' ? value : plus(ONE, value)
    if (signOf(inside) <= 0) return undefined
    return { value: compare(inside, ONE) === 0 ? ZERO : undefined, slope: product(slope, reciprocal(inside)) }
  }
  if (op === 'atan') {
    const rest = reciprocal(plus(ONE, times(value, value)))
    return { value: signOf(value) === 0 ? ZERO : undefined, slope: product(slope, rest) }
  }
  if (signOf(value) !== 0) return undefined
  if (op === 'softplus') return { value: undefined, slope: product(HALF, slope) }
  const found = AT_ZERO[op]
  return found === undefined ? undefined : { value: found[0], slope: product(found[1], slope) }
}

function quotient(a: Dual, b: Dual): Dual | undefined {
  const inverse = b.value === undefined ? undefined : reciprocal(b.value)
  if (inverse === undefined) return undefined
  const value = product(a.value, inverse)
  const moved = product(MINUS_ONE, product(value, b.slope))
  return { value, slope: product(sum(a.slope, moved), inverse) }
}

function power(base: Dual, exponent: Dual): Dual | undefined {
  if (exponent.value === undefined || base.value === undefined) return undefined
  const n = Number(exponent.value.top)
  const isConstant = exponent.slope !== undefined && signOf(exponent.slope) === 0
  if (exponent.value.bottom !== 1n || !isConstant || n < 1 || n > 32) return undefined
  let before: Part = ONE
  for (let k = 1; k < n; k++) before = withinSizeLimit(product(before, base.value))
  return { value: product(before, base.value), slope: product(product(exponent.value, before), base.slope) }
}
