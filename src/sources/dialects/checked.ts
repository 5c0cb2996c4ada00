/**
 * Arithmetic that never overflows or underflows, for databases that raise an error where IEEE 754 has an infinity or 0.
 * Each op asks first, in an order that no planner changes: by nested CASE. It asks only for what the ranges allow.
 */
import { atom, type Code, infix, prefix, within } from '../code.ts'
import { contains, isInfinite, type Range } from '../ranges.ts'
import { byZero, caseOf, type Dialect, PRODUCT, SIGN, type SqlRule, SUM, strange } from '../sql.ts'

const MOST = Number.MAX_VALUE
const LEAST = Number.MIN_VALUE
/** Half a step of the largest number: adding less than this rounds back to it, and adding this is infinite. */
const HALF_STEP = 2 ** 970

/** e^x is finite up to `over`, 0 below `under`, and normal from `denormal`. */
const EXP = { over: 709.782712893384, under: -745.1332, denormal: -708 } as const

const add: SqlRule = ([a, b], ranges, dialect) => sum([a, b], ranges, dialect, '+')

const sub: SqlRule = ([a, b], [x, y], dialect) => {
  return sum([a, b], [x, { low: -y.high, high: -y.low, nan: y.nan }], dialect, '-')
}

/** The second range is that of what is added. */
function sum([a, b]: readonly Code[], [x, y]: readonly Range[], dialect: Dialect, sign: '+' | '-'): Code {
  const plain = infix(sign, SUM)([a, b])
  const isSmall = [x, y].some(({ low, high }) => low > -HALF_STEP && high < HALF_STEP)
  const [over, under] = [x.high + y.high > MOST, x.low + y.low < -MOST]
  if (isSmall || (!over && !under)) return plain
  const [left, right] = [within(a, SUM), within(b, SUM)]
  const side = (isAbove: boolean) => {
    const isSameSign = isAbove ? y.low >= 0 : y.high <= 0
    const branch = beyond(
      left,
      sign === '+' ? right : `(${prefix('-', SIGN)([b]).text})`,
      isAbove,
      isSameSign,
      dialect,
    )
    return caseOf(branch, `ELSE ${plain.text}`).text
  }
  const isAlways = (isAbove: boolean) => (isAbove ? x.low >= 0 : x.high <= 0)
  const [always] = [...(over ? [true] : []), ...(under ? [false] : [])].filter(isAlways)
  const branches = [
    // Compared with NaN, which is greater than any number, the sum would look like an overflow.
    ...strange([a, b], [x, y], dialect),
    ...(over && always !== true ? [`WHEN ${left} > 0 THEN ${side(true)}`] : []),
    ...(under && always !== false ? [`WHEN ${left} < 0 THEN ${side(false)}`] : []),
  ]
  const last = always === undefined ? plain.text : side(always)
  return branches.length === 0 ? atom(last) : caseOf(...branches, `ELSE ${last}`)
}

/**
 * The branches where the sum of two numbers of one sign is infinite. The larger one less the largest number is exact where that
 * matters, and so is what the smaller one adds.
 */
function beyond(a: string, b: string, isAbove: boolean, isSameSign: boolean, dialect: Dialect): string {
  const [most, rounded, end] = [MOST, HALF_STEP, Infinity].map((value) =>
    dialect.double(isAbove ? value : -value),
  )
  const [far, near] = isAbove ? ['greatest', 'least'] : ['least', 'greatest']
  const test = `(${far}(${a}, ${b}) - ${most}) + ${near}(${a}, ${b}) ${isAbove ? '>=' : '<='} ${rounded}`
  const branch = `WHEN ${test} THEN ${end}`
  return isSameSign ? branch : `WHEN ${b} ${isAbove ? '>' : '<'} 0 THEN CASE ${branch} ELSE ${a} + ${b} END`
}

/** The sizes of the numbers of a range that are not 0. */
const sizes = ({ low, high, whole }: Range) => {
  const ends = [Math.abs(low), Math.abs(high)]
  const least = low <= 0 && high >= 0 ? (whole ? 1 : LEAST) : Math.min(...ends)
  return { least, most: Math.max(...ends) }
}

const sizeOf = ({ text }: Code, { low }: Range) => (low >= 0 ? text : `abs(${text})`)

/** A size with the sign of a product or quotient. */
function signed(size: number, codes: readonly Code[], ranges: readonly Range[], dialect: Dialect): string {
  const signs = codes.filter((_, place) => ranges[place].low < 0).map(({ text }) => `sign(${text})`)
  return [...signs, dialect.double(size)].join(' * ')
}

/** Below the least number: that, if the test says that it is more than half of it, or else 0. The test scales what it compares. */
function faint(test: string, codes: readonly Code[], ranges: readonly Range[], dialect: Dialect): string {
  const [least, zero] = [LEAST, 0].map((size) => signed(size, codes, ranges, dialect))
  return caseOf(`WHEN ${test} THEN ${least} ELSE ${zero}`).text
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
  const [one, most, least, part, half, halfOfMost, up] = [1, MOST, LEAST, 0.75, 0.5, MOST / 2, 2 ** 537].map(
    (value) => dialect.double(value),
  )
  const end = signed(Infinity, [a, b], [x, y], dialect)
  const none = isInfinite(y) && contains(x, 0) ? [`WHEN ${left} = 0 THEN ${plain.text}`] : []
  // The quotient is rounded: near it, half of the product decides.
  const large = over
    ? caseOf(
        ...none,
        `WHEN ${left} * ${part} > ${most} / ${right} THEN ${end}`,
        `WHEN ${right} * ${half} * ${left} > ${halfOfMost} THEN ${end} ELSE ${plain.text}`,
      ).text
    : plain.text
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    ...(under && contains(y, 0) ? [`WHEN ${within(b, SUM)} = 0 THEN ${plain.text}`] : []),
    ...(q.most > 1 ? [`WHEN ${right} > ${one} THEN ${large}`] : []),
    ...(under
      ? [
          `WHEN ${left} < ${least} / ${right} THEN ${faint(`(least(${left}, ${one}) * ${up}) * (${right} * ${up}) > ${half}`, [a, b], [x, y], dialect)}`,
        ]
      : []),
    `ELSE ${plain.text}`,
  )
}

/** A product with a number. */
function multiple(plain: Code, codes: readonly Code[], [x, y]: readonly Range[], dialect: Dialect): Code {
  const factor = Math.abs(y.low)
  const times = (size: number) => size * factor
  return scaled(plain, codes, [x, y], dialect, {
    over: factor > 1 ? lastFinite(MOST / factor, times) : Infinity,
    under: factor < 1 ? firstSeen(LEAST / (2 * factor), times) : 0,
  })
}

/** The largest size whose multiple is finite, from one that is as near as rounding allows. */
function lastFinite(near: number, multiple: (size: number) => number): number {
  let size = near
  while (multiple(size) === Infinity) size = nextBelow(size)
  while (size < MOST && multiple(nextAbove(size)) < Infinity) size = nextAbove(size)
  return size
}

/** A size whose multiple is not 0, from the least or one that is as near as rounding allows. */
function firstSeen(near: number, multiple: (size: number) => number): number {
  let size = near
  while (multiple(size) === 0) size = nextAbove(size)
  return size
}

/** The next double after a positive one. */
function nextAbove(size: number): number {
  return neighbour(size, 1n)
}

function nextBelow(size: number): number {
  return neighbour(size, -1n)
}

/** Positive doubles are in the order of their bits. */
function neighbour(size: number, step: bigint): number {
  const [double] = new Float64Array(
    new BigInt64Array([new BigInt64Array(Float64Array.of(size).buffer)[0] + step]).buffer,
  )
  return double
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
      ? [`WHEN ${size} > ${dialect.double(bounds.over)} THEN ${signed(Infinity, codes, ranges, dialect)}`]
      : []),
    ...(under
      ? [`WHEN ${size} < ${dialect.double(bounds.under)} THEN ${signed(0, codes, ranges, dialect)}`]
      : []),
    `ELSE ${plain.text}`,
  )
}

const div: SqlRule = ([a, b], [x, y], dialect) => {
  const plain = infix('/', PRODUCT)([a, b])
  if (isNumber(y)) {
    const divisor = Math.abs(y.low)
    const part = (size: number) => size / divisor
    return scaled(plain, [a, b], [x, y], dialect, {
      over: divisor < 1 ? lastFinite(MOST * divisor, part) : Infinity,
      under: divisor > 1 ? firstSeen(LEAST * (divisor / 2), part) : 0,
    })
  }
  const [p, q] = [sizes(x), sizes(y)]
  const over = q.least < 1 && p.most / q.least > MOST
  const under = dialect.raises.underflow && q.most > 1 && p.least / q.most === 0
  if (!over && !under && !contains(y, 0)) return plain
  const [left, right] = [sizeOf(a, x), sizeOf(b, y)]
  const [one, most, least, up, down] = [1, MOST, LEAST, 2 ** 1000, 2 ** -75].map((value) =>
    dialect.double(value),
  )
  const [part, two, half] = [0.75, 2, MOST / 2].map((value) => dialect.double(value))
  const end = signed(Infinity, [a, b], [x, y], dialect)
  // Only an infinity, or NaN in a column, leads here from numbers above 1, which would overflow.
  const isFaint = `least(${left}, ${one}) * ${up} > ${right} * ${down}`
  // The product is rounded: near it, half of the quotient decides.
  const small = over
    ? caseOf(
        `WHEN ${left} * ${part} > ${most} * ${right} THEN ${end}`,
        `WHEN ${left} / (${right} * ${two}) > ${half} THEN ${end} ELSE ${plain.text}`,
      ).text
    : plain.text
  return caseOf(
    ...strange([a, b], [x, y], dialect),
    ...(contains(y, 0) ? [`WHEN ${within(b, SUM)} = 0 THEN CASE ${byZero(a, b, dialect)} END`] : []),
    ...(q.least < 1 && (over || under) ? [`WHEN ${right} < ${one} THEN ${small}`] : []),
    ...(under ? [`WHEN ${left} < ${least} * ${right} THEN ${faint(isFaint, [a, b], [x, y], dialect)}`] : []),
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

/**
 * What the product of an exponent and a logarithm tells of a power: it is rounded, so between `nearlyOver` and `over` the power of
 * half the exponent decides. An exponent below `root` leads out of the doubles from no base, one beyond `decisive` from every base but 1.
 */
const POWER = {
  over: 709.782712894,
  nearlyOver: 709.78271289,
  under: -745.1,
  root: 0.5,
  decisive: 1e20,
  rootOfMost: 1.3407807929942596e154,
} as const

/** Of a base that is not negative, or of a whole exponent. */
const pow: SqlRule = ([a, b], ranges, dialect) => {
  const [base, exponent] = [within(a, SUM), within(b, SUM)]
  const [zero, one, plus, nan] = [0, 1, Infinity, Number.NaN].map((value) => dialect.double(value))
  const isTame = (range: Range, size: number) => range.low > -size && range.high < size
  const size = (of: string) => {
    const wide = `least(greatest(${b.text}, ${dialect.double(-POWER.decisive)}), ${dialect.double(POWER.decisive)})`
    return `${isTame(ranges[1], POWER.decisive) ? within(b, PRODUCT) : wide} * ln(${of})`
  }
  const of = (text: string) => {
    const plain = `power(${text}, ${b.text})`
    if (isTame(ranges[1], POWER.root)) return plain
    const root = `power(${text}, ${exponent} / ${dialect.double(2)})`
    const when = (order: string, bound: number, end: string) =>
      `WHEN ${size(text)} ${order} ${dialect.double(bound)} THEN ${end}`
    const nearlyOver = caseOf(
      `WHEN ${root} > ${dialect.double(POWER.rootOfMost)} THEN ${plus} ELSE ${root} * ${root}`,
    )
    return caseOf(
      ...(contains(ranges[1], 0)
        ? [`WHEN abs(${b.text}) < ${dialect.double(POWER.root)} THEN ${plain}`]
        : []),
      when('>', POWER.over, plus),
      when('>', POWER.nearlyOver, nearlyOver.text),
      ...(dialect.raises.underflow
        ? [when('<', POWER.under, zero), when('<', EXP.denormal, `${root} * ${root}`)]
        : []),
      `ELSE ${plain}`,
    ).text
  }
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
