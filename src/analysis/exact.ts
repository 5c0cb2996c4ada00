/**
 * Evaluates a function and its first derivative exactly, where that is possible: at a rational point, through
 * rational operations and through functions at 0 and 1. So it is known whether two branches meet, and how.
 */
import {
  compare,
  floorOf,
  kept,
  minus,
  negated,
  ONE,
  plus,
  type Rational,
  rational,
  reciprocal,
  signOf,
  times,
  ZERO,
} from './rational.ts'
import type { Choices, Tape, TapeNode } from './tape.ts'

/** A number and its derivative. */
export interface Dual {
  readonly value: Rational
  readonly slope: Rational
}

const TWO = plus(ONE, ONE)
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
  choices: Choices,
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
  return limited(combined(node, args as Dual[]))
}

/** Only the side that counts has to be known. */
function chosen({ op }: TapeNode, args: readonly (Dual | undefined)[], choice: number): Dual | undefined {
  if (op === 'abs') return args[0] === undefined ? undefined : choice > 0 ? args[0] : opposite(args[0])
  if (op === 'max' || op === 'min' || op === 'select') return args[choice]
  const value = rational(choice)
  return value === undefined ? undefined : { value, slope: ZERO }
}

function selected([test, yes, no]: readonly (Dual | undefined)[]): Dual | undefined {
  if (test === undefined) return undefined
  return signOf(test.value) !== 0 ? yes : no
}

const opposite = ({ value, slope }: Dual): Dual => ({ value: negated(value), slope: negated(slope) })

function limited(dual: Dual | undefined): Dual | undefined {
  if (dual === undefined || kept(dual.value) === undefined || kept(dual.slope) === undefined) return undefined
  return dual
}

function combined(node: TapeNode, args: readonly Dual[]): Dual | undefined {
  const [a, b] = args
  switch (node.op) {
    case 'linear':
      return args.reduce(
        (sum, { value, slope }, place) => {
          const factor = node.factors![place]
          return {
            value: plus(sum.value, times(factor, value)),
            slope: plus(sum.slope, times(factor, slope)),
          }
        },
        { value: node.exact!, slope: ZERO },
      )
    case 'square':
      return { value: times(a.value, a.value), slope: times(TWO, times(a.value, a.slope)) }
    case 'mul':
    case 'mul_no_nan':
      return { value: times(a.value, b.value), slope: plus(times(a.slope, b.value), times(a.value, b.slope)) }
    case 'div':
      return quotient(a, b)
    case 'pow':
      return power(a, b)
    case 'abs':
      return {
        value: signOf(a.value) < 0 ? negated(a.value) : a.value,
        slope: signOf(a.value) < 0 ? negated(a.slope) : a.slope,
      }
    case 'max':
      return compare(a.value, b.value) >= 0 ? a : b
    case 'min':
      return compare(a.value, b.value) <= 0 ? a : b
    case 'lt':
      return truth(compare(a.value, b.value) < 0)
    case 'le':
      return truth(compare(a.value, b.value) <= 0)
    case 'eq':
      return truth(compare(a.value, b.value) === 0)
    case 'and':
      return truth(signOf(a.value) !== 0 && signOf(b.value) !== 0)
    case 'or':
      return truth(signOf(a.value) !== 0 || signOf(b.value) !== 0)
    case 'not':
      return truth(signOf(a.value) === 0)
    case 'sign':
      return { value: rational(signOf(a.value))!, slope: ZERO }
    case 'floor':
      return { value: floorOf(a.value), slope: ZERO }
    case 'log':
      return compare(a.value, ONE) === 0 ? { value: ZERO, slope: a.slope } : undefined
    default:
      return atZero(node.op, a)
  }
}

const truth = (yes: boolean): Dual => ({ value: yes ? ONE : ZERO, slope: ZERO })

function atZero(op: TapeNode['op'], { value, slope }: Dual): Dual | undefined {
  const found = AT_ZERO[op]
  if (found === undefined || signOf(value) !== 0) return undefined
  return { value: found[0], slope: times(found[1], slope) }
}

function quotient(a: Dual, b: Dual): Dual | undefined {
  const inverse = reciprocal(b.value)
  if (inverse === undefined) return undefined
  const value = times(a.value, inverse)
  return { value, slope: times(minus(a.slope, times(value, b.slope)), inverse) }
}

function power(base: Dual, exponent: Dual): Dual | undefined {
  const n = Number(exponent.value.top)
  if (exponent.value.bottom !== 1n || signOf(exponent.slope) !== 0 || n < 1 || n > 32) return undefined
  let before: Rational | undefined = ONE
  for (let k = 1; k < n; k++) before = before === undefined ? undefined : kept(times(before, base.value))
  if (before === undefined) return undefined
  return { value: times(before, base.value), slope: times(times(exponent.value, before), base.slope) }
}
