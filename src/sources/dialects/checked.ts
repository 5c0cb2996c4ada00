/**
 * Arithmetic that never overflows or underflows, for databases that raise an error where IEEE 754 has an infinity or 0.
 * Each op asks first, in an order that no planner changes: by nested CASE. It asks only for what the ranges allow.
 */
import { atom, type Code, infix, within } from '../code.ts'
import { contains, type Range } from '../ranges.ts'
import { caseOf, type Dialect, PRODUCT, type SqlRule, SUM } from '../sql.ts'

const MOST = Number.MAX_VALUE
const LEAST = Number.MIN_VALUE
/** Adding less than this to the largest number rounds back to it. */
const ABSORBED = 9e291

/** NaN is greater than any bound here, and stays what it is. */
const strange = (args: readonly Code[], ranges: readonly Range[], dialect: Dialect) =>
  args.flatMap((arg, place) => (ranges[place].nan ? [`WHEN ${dialect.isNaN(arg)} THEN ${arg.text}`] : []))

/** e^x is finite and normal between these. */
const EXP = { over: 709.782712893384, under: -745, denormal: -708 } as const

const add: SqlRule = ([a, b], ranges, dialect) => sum([a, b], ranges, dialect, '+')

const sub: SqlRule = ([a, b], [x, y], dialect) => {
  return sum([a, b], [x, { low: -y.high, high: -y.low, nan: y.nan }], dialect, '-')
}

/** The second range is that of what is added. */
function sum([a, b]: readonly Code[], [x, y]: readonly Range[], dialect: Dialect, sign: '+' | '-'): Code {
  const plain = infix(sign, SUM)([a, b])
  const isSmall = [x, y].some(({ low, high }) => low > -ABSORBED && high < ABSORBED)
  if (isSmall || (x.low + y.low >= -MOST && x.high + y.high <= MOST)) return plain
  const [left, right] = [within(a, SUM), within(b, SUM)]
  const [plus, minus, most] = [Infinity, -Infinity, MOST].map((value) => dialect.double(value))
  const above = sign === '+' ? `${right} > ${most} - ${left}` : `${right} < ${left} - ${most}`
  const below = sign === '+' ? `${right} < -${most} - ${left}` : `${right} > ${left} + ${most}`
  return caseOf(
    // Compared with NaN, which is greater than any number, the sum would look like an overflow.
    ...strange([a, b], [x, y], dialect),
    `WHEN ${left} > 0 THEN CASE WHEN ${above} THEN ${plus} ELSE ${plain.text} END`,
    `WHEN ${left} < 0 THEN CASE WHEN ${below} THEN ${minus} ELSE ${plain.text} END`,
    `ELSE ${plain.text}`,
  )
}

const sizes = ({ low, high }: Range) => {
  const ends = [Math.abs(low), Math.abs(high)]
  const least = low <= 0 && high >= 0 ? LEAST : Math.min(...ends)
  return { least, most: Math.max(...ends) }
}

const mul: SqlRule = ([a, b], [x, y], dialect) => {
  const plain = infix('*', PRODUCT)([a, b])
  const [p, q] = [sizes(x), sizes(y)]
  const [over, under] = [p.most * q.most > MOST, p.least * q.least === 0]
  if (!over && !under) return plain
  const [left, right] = [`abs(${a.text})`, `abs(${b.text})`]
  const [plus, one, zero, most, least] = [Infinity, 1, 0, MOST, LEAST].map((value) => dialect.double(value))
  const infinite = `sign(${a.text}) * sign(${b.text}) * ${plus}`
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    `WHEN ${within(b, SUM)} = 0 THEN ${plain.text}`,
    `WHEN ${right} > ${one} THEN CASE WHEN ${left} > ${most} / ${right} THEN ${infinite} ELSE ${plain.text} END`,
    `WHEN ${left} < ${least} / ${right} THEN ${zero}`,
    `ELSE ${plain.text}`,
  )
}

const div: SqlRule = ([a, b], [x, y], dialect) => {
  const plain = infix('/', PRODUCT)([a, b])
  const [p, q] = [sizes(x), sizes(y)]
  const [over, under] = [p.most / q.least > MOST, p.least / q.most === 0]
  if (!over && !under && !contains(y, 0)) return plain
  const [left, right] = [`abs(${a.text})`, `abs(${b.text})`]
  const [plus, minus, nan, one, zero, most, least] = [Infinity, -Infinity, Number.NaN, 1, 0, MOST, LEAST].map(
    (value) => dialect.double(value),
  )
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    `WHEN ${within(b, SUM)} = 0 THEN CASE WHEN ${within(a, SUM)} > 0 THEN ${plus} WHEN ${within(a, SUM)} < 0 THEN ${minus} ELSE ${nan} END`,
    `WHEN ${right} < ${one} THEN CASE WHEN ${left} > ${most} * ${right} THEN sign(${a.text}) * sign(${b.text}) * ${plus} ELSE ${plain.text} END`,
    `WHEN ${left} < ${least} * ${right} THEN ${zero}`,
    `ELSE ${plain.text}`,
  )
}

/** A denormal result counts as an error, too: it is the product of two normal numbers. */
const exp: SqlRule = ([x], [range], dialect) => {
  const own = within(x, SUM)
  const plain = `exp(${x.text})`
  const branches = [
    ...(range.nan ? [`WHEN ${dialect.isNaN(x)} THEN ${x.text}`] : []),
    ...(range.high > EXP.over
      ? [`WHEN ${own} > ${dialect.double(EXP.over)} THEN ${dialect.double(Infinity)}`]
      : []),
    ...(range.low < EXP.denormal
      ? [
          `WHEN ${own} < ${dialect.double(EXP.under)} THEN ${dialect.double(0)}`,
          `WHEN ${own} < ${dialect.double(EXP.denormal)} THEN exp(${own} + ${dialect.double(600)}) * ${dialect.double(Math.exp(-600))}`,
        ]
      : []),
  ]
  return branches.length === 0 ? atom(plain) : caseOf(...branches, `ELSE ${plain}`)
}

/** Of a base that is not negative, or of a whole exponent. */
const pow: SqlRule = ([a, b], ranges, dialect) => {
  const [base, exponent] = [within(a, SUM), within(b, SUM)]
  const [zero, one, plus, nan] = [0, 1, Infinity, Number.NaN].map((value) => dialect.double(value))
  const size = (of: string) => `${within(b, PRODUCT)} * ln(${of})`
  const of = (text: string) =>
    `CASE WHEN ${size(text)} > ${dialect.double(EXP.over)} THEN ${plus} WHEN ${size(text)} < ${dialect.double(EXP.denormal)} THEN ${zero} ELSE power(${text}, ${b.text}) END`
  const parity = `CASE WHEN ${exponent} / 2 = floor(${exponent} / 2) THEN ${one} ELSE ${dialect.double(-1)} END`
  return caseOf(
    `WHEN ${exponent} = 0 THEN ${one}`,
    ...strange([a, b], ranges, dialect),
    `WHEN ${base} > 0 THEN ${of(a.text)}`,
    `WHEN ${base} = 0 THEN CASE WHEN ${exponent} > 0 THEN ${zero} ELSE ${plus} END`,
    `WHEN ${exponent} = floor(${exponent}) THEN ${parity} * ${of(`abs(${a.text})`)}`,
    `ELSE ${nan}`,
  )
}

/** Arithmetic that asks before a database raises an error. */
export const CHECKED_ARITHMETIC = { add, sub, mul, div, exp, pow } as const

/** Half to even, where `round` goes away from 0. */
export const roundHalfEven: SqlRule = ([x]) => {
  const half = `abs(${x.text} - trunc(${x.text})) = 0.5`
  return atom(`CASE WHEN ${half} THEN 2 * round(${x.text} / 2) ELSE round(${x.text}) END`)
}
