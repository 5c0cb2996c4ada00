/** DuckDB computes as IEEE 754 does, but for logarithms and roots. */
import { atom, type Code, within } from '../code.ts'
import type { Range } from '../ranges.ts'
import { COMMON, caseOf, type Dialect, EMULATED, logarithm, SUM } from '../sql.ts'
import { roundHalfEven } from './checked.ts'
import { quoted } from './quoting.ts'

export const duckdb: Dialect = {
  name: 'duckdb',
  ops: {
    ...COMMON,
    ...EMULATED,
    log2: logarithm('log2'),
    log10: logarithm('log10'),
    // Two to four times as fast as GREATEST, LEAST and a CASE for the sign.
    max: (args, ranges) => chosen('>', args, ranges) ?? COMMON.max(args),
    min: (args, ranges, dialect) => chosen('<', args, ranges) ?? COMMON.min(args, ranges, dialect),
    sign: (args, ranges, dialect) => {
      return ranges[0].nan ? COMMON.sign(args, ranges, dialect) : atom(`sign(${args[0].text})::DOUBLE`)
    },
    // round_even takes large ties away from 0.
    round: roundHalfEven,
    erf: undefined,
    lgamma: undefined,
    digamma: undefined,
    polygamma: undefined,
    pow: ([a, b]) => atom(`power(${a.text}, ${b.text})`),
    is_finite: ([x]) => atom(`isfinite(${x.text})`),
  },
  quote: (name, of) => quoted(name, of, '"', 1024),
  double: (value) => {
    if (Number.isNaN(value)) return "'nan'::DOUBLE"
    if (!Number.isFinite(value)) return value < 0 ? "'-infinity'::DOUBLE" : "'infinity'::DOUBLE"
    const text = String(value)
    return text.includes('e') ? text : `${text}e0`
  },
  cast: (column) => `CAST(${column} AS DOUBLE)`,
  isNaN: (x) => `isnan(${x.text})`,
  hasMinus: (zero) => `signbit(${zero.text})`,
  raises: { overflow: false, underflow: false },
  isSignStrict: true,
  choosesByCase: true,
  steps: 'EXCLUDE',
}

/** One of two numbers that are not NaN; undefined if one of them may be. */
function chosen(order: '<' | '>', [a, b]: readonly Code[], ranges: readonly Range[]): Code | undefined {
  if (ranges.some(({ nan }) => nan)) return undefined
  return caseOf(`WHEN ${within(a, SUM)} ${order} ${within(b, SUM)} THEN ${a.text} ELSE ${b.text}`)
}
