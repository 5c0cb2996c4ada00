/** Spark SQL computes as Java does; divisions and logarithms by 0 are NULL or errors, depending on its settings. */
import { atom } from '../code.ts'
import { COMMON, type Dialect, logarithm } from '../sql.ts'
import { quoted } from './quoting.ts'

export const spark: Dialect = {
  name: 'spark',
  ops: {
    ...COMMON,
    expm1: ([x]) => atom(`expm1(${x.text})`),
    // -Infinity at -1, where Spark answers NULL.
    log1p: (args, [range], dialect) => {
      const [x] = args
      if (range.low > -1) return atom(`log1p(${x.text})`)
      const shifted = { ...range, low: range.low + 1, high: range.high + 1 }
      const tail = logarithm('ln')(
        [{ text: `(${dialect.double(1)} + ${x.text})`, binds: 100 }],
        [shifted],
        dialect,
      )
      return atom(`CASE WHEN ${x.text} > ${dialect.double(-1)} THEN log1p(${x.text}) ELSE ${tail.text} END`)
    },
    log2: logarithm('log2'),
    log10: logarithm('log10'),
    round: ([x]) => atom(`rint(${x.text})`),
    erf: undefined,
    lgamma: undefined,
    digamma: undefined,
    polygamma: undefined,
    // floor of a double is a BIGINT here.
    floor: ([x]) => {
      return atom(
        `CASE WHEN abs(${x.text}) < 9007199254740992D THEN CAST(floor(${x.text}) AS DOUBLE) ELSE ${x.text} END`,
      )
    },
    pow: ([a, b]) => atom(`power(${a.text}, ${b.text})`),
    is_finite: ([x], _, dialect) => atom(`abs(${x.text}) < ${dialect.double(Infinity)}`),
  },
  quote: (name, of) => quoted(name, of, '`', 255),
  double: (value) => {
    if (Number.isNaN(value)) return "DOUBLE('NaN')"
    if (!Number.isFinite(value)) return value < 0 ? "DOUBLE('-Infinity')" : "DOUBLE('Infinity')"
    return value < 0 ? `(-${-value}D)` : `${value}D`
  },
  cast: (column) => `CAST(${column} AS DOUBLE)`,
  isNaN: (x) => `isnan(${x.text})`,
  raises: { overflow: false, underflow: false },
  steps: 'EXCEPT',
}
