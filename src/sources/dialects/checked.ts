/**
 * Arithmetic that never overflows or underflows, for databases that raise an error where IEEE 754 has an infinity or 0.
 * Each op asks first, in an order that no planner changes: by nested CASE. It asks only for what the ranges allow.
 */
import { atom, type Code, infix, within } from '../code.ts'
import { contains, type Range } from '../ranges.ts'
import { caseOf, type Dialect, PRODUCT, type SqlRule, SUM, strange } from '../sql.ts'

const MOST = Number.MAX_VALUE
const LEAST = Number.MIN_VALUE
/** Adding less than this to the largest number rounds back to it. */
const ABSORBED = 9e291

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
  const [over, under] = [x.high + y.high > MOST, x.low + y.low < -MOST]
  if (isSmall || (!over && !under)) return plain
  const [left, right] = [within(a, SUM), within(b, SUM)]
  const [plus, minus, most] = [Infinity, -Infinity, MOST].map((value) => dialect.double(value))
  const above = sign === '+' ? `${right} > ${most} - ${left}` : `${right} < ${left} - ${most}`
  const below = sign === '+' ? `${right} < -${most} - ${left}` : `${right} > ${left} + ${most}`
  const one = (isOnly: boolean, side: string, test: string, end: string) =>
    isOnly
      ? `WHEN ${test} THEN ${end}`
      : `WHEN ${left} ${side} 0 THEN CASE WHEN ${test} THEN ${end} ELSE ${plain.text} END`
  return caseOf(
    // Compared with NaN, which is greater than any number, the sum would look like an overflow.
    ...strange([a, b], [x, y], dialect),
    ...(over ? [one(x.low >= 0, '>', above, plus)] : []),
    ...(under ? [one(x.high <= 0, '<', below, minus)] : []),
    `ELSE ${plain.text}`,
  )
}

/** The sizes of the numbers of a range that are not 0. */
const sizes = ({ low, high, whole }: Range) => {
  const ends = [Math.abs(low), Math.abs(high)]
  const least = low <= 0 && high >= 0 ? (whole ? 1 : LEAST) : Math.min(...ends)
  return { least, most: Math.max(...ends) }
}

const sizeOf = ({ text }: Code, { low }: Range) => (low >= 0 ? text : `abs(${text})`)

/** An infinity with the sign of a product or quotient. */
function infinite(codes: readonly Code[], ranges: readonly Range[], dialect: Dialect): string {
  const signs = codes.filter((_, place) => ranges[place].low < 0).map(({ text }) => `sign(${text})`)
  return [...signs, dialect.double(Infinity)].join(' * ')
}

const isNumber = ({ low, high }: Range) => low === high && low !== 0 && Number.isFinite(low)

const mul: SqlRule = ([a, b], [x, y], dialect) => {
  const plain = infix('*', PRODUCT)([a, b])
  if (isNumber(x)) return multiple(plain, [b, a], [y, x], dialect)
  if (isNumber(y)) return multiple(plain, [a, b], [x, y], dialect)
  const [p, q] = [sizes(x), sizes(y)]
  const over = p.most > 1 && q.most > 1 && p.most * q.most > MOST
  const under = dialect.raises.underflow && p.least * q.least === 0
  if (!over && !under) return plain
  const [left, right] = [sizeOf(a, x), sizeOf(b, y)]
  const [one, zero, most, least] = [1, 0, MOST, LEAST].map((value) => dialect.double(value))
  const large = over
    ? `CASE WHEN ${left} > ${most} / ${right} THEN ${infinite([a, b], [x, y], dialect)} ELSE ${plain.text} END`
    : plain.text
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    ...(under && contains(y, 0) ? [`WHEN ${within(b, SUM)} = 0 THEN ${plain.text}`] : []),
    ...(q.most > 1 ? [`WHEN ${right} > ${one} THEN ${large}`] : []),
    ...(under ? [`WHEN ${left} < ${least} / ${right} THEN ${zero}`] : []),
    `ELSE ${plain.text}`,
  )
}

/** A product with a number. */
function multiple(plain: Code, codes: readonly Code[], [x, y]: readonly Range[], dialect: Dialect): Code {
  const factor = Math.abs(y.low)
  return scaled(plain, codes, [x, y], dialect, {
    over: factor > 1 ? MOST / factor : Infinity,
    under: factor < 1 ? LEAST / factor : 0,
  })
}

/** What is infinite beyond a size, and 0 below one. */
function scaled(
  plain: Code,
  codes: readonly Code[],
  ranges: readonly Range[],
  dialect: Dialect,
  bounds: { readonly over: number; readonly under: number },
): Code {
  const { least, most } = sizes(ranges[0])
  const over = bounds.over < Infinity && most > bounds.over
  const under = dialect.raises.underflow && least < bounds.under
  if (!over && !under) return plain
  const size = sizeOf(codes[0], ranges[0])
  return caseOf(
    ...strange(codes, ranges, dialect),
    ...(over
      ? [`WHEN ${size} > ${dialect.double(bounds.over)} THEN ${infinite(codes, ranges, dialect)}`]
      : []),
    ...(under ? [`WHEN ${size} < ${dialect.double(bounds.under)} THEN ${dialect.double(0)}`] : []),
    `ELSE ${plain.text}`,
  )
}

const div: SqlRule = ([a, b], [x, y], dialect) => {
  const plain = infix('/', PRODUCT)([a, b])
  if (isNumber(y)) {
    const divisor = Math.abs(y.low)
    const over = divisor < 1 ? MOST * divisor : Infinity
    return scaled(plain, [a, b], [x, y], dialect, { over, under: divisor > 1 ? LEAST * divisor : 0 })
  }
  const [p, q] = [sizes(x), sizes(y)]
  const over = q.least < 1 && p.most / q.least > MOST
  const under = dialect.raises.underflow && q.most > 1 && p.least / q.most === 0
  if (!over && !under && !contains(y, 0)) return plain
  const [left, right] = [sizeOf(a, x), sizeOf(b, y)]
  const [plus, minus, nan, one, zero, most, least] = [Infinity, -Infinity, Number.NaN, 1, 0, MOST, LEAST].map(
    (value) => dialect.double(value),
  )
  const small = over
    ? `CASE WHEN ${left} > ${most} * ${right} THEN ${infinite([a, b], [x, y], dialect)} ELSE ${plain.text} END`
    : plain.text
  const own = within(a, SUM)
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    ...(contains(y, 0)
      ? [
          `WHEN ${within(b, SUM)} = 0 THEN CASE WHEN ${own} > 0 THEN ${plus} WHEN ${own} < 0 THEN ${minus} ELSE ${nan} END`,
        ]
      : []),
    ...(q.least < 1 && (over || under) ? [`WHEN ${right} < ${one} THEN ${small}`] : []),
    ...(under ? [`WHEN ${left} < ${least} * ${right} THEN ${zero}`] : []),
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
    ...(dialect.raises.underflow && range.low < EXP.denormal
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
  const isTiny = (text: string) =>
    dialect.raises.underflow ? [`WHEN ${size(text)} < ${dialect.double(EXP.denormal)} THEN ${zero}`] : []
  const of = (text: string) =>
    caseOf(
      `WHEN ${size(text)} > ${dialect.double(EXP.over)} THEN ${plus}`,
      ...isTiny(text),
      `ELSE power(${text}, ${b.text})`,
    ).text
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
