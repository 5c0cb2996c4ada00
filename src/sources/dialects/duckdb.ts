/** DuckDB computes as IEEE 754 does, but for logarithms and roots. */
import { atom } from '../code.ts'
import { COMMON, type Dialect, logarithm, SPELLED_OUT } from '../sql.ts'
import { quoted } from './quoting.ts'

export const duckdb: Dialect = {
  name: 'duckdb',
  ops: {
    ...COMMON,
    ...SPELLED_OUT,
    log2: logarithm('log2'),
    log10: logarithm('log10'),
    round: ([x]) => atom(`round_even(${x.text}, 0)`),
    asin: undefined,
    acos: undefined,
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
  raises: { overflow: false, underflow: false },
  steps: 'EXCLUDE',
}
