/** Snowflake raises errors as PostgreSQL does; NaN equals itself and sorts last. */
import { atom } from '../code.ts'
import { COMMON, type Dialect, EMULATED, logarithmTo } from '../sql.ts'
import { CHECKED_ARITHMETIC, roundHalfEven } from './checked.ts'
import { quoted } from './quoting.ts'

export const snowflake: Dialect = {
  name: 'snowflake',
  ops: {
    ...COMMON,
    ...EMULATED,
    ...CHECKED_ARITHMETIC,
    log2: logarithmTo(2),
    log10: logarithmTo(10),
    round: roundHalfEven,
    erf: undefined,
    lgamma: undefined,
    digamma: undefined,
    polygamma: undefined,
    is_finite: ([x], _, dialect) => atom(`abs(${x.text}) < ${dialect.double(Infinity)}`),
  },
  quote: (name, of) => quoted(name, of, '"', 255),
  double: (value) => {
    if (Number.isNaN(value)) return "'NaN'::FLOAT"
    if (!Number.isFinite(value)) return value < 0 ? "'-inf'::FLOAT" : "'inf'::FLOAT"
    return value < 0 ? `(-${-value}::FLOAT)` : `${value}::FLOAT`
  },
  cast: (column) => `CAST(${column} AS FLOAT)`,
  isNaN: ({ text }) => `(${text}) = 'NaN'::FLOAT`,
  raises: { overflow: true, underflow: true },
  steps: 'EXCLUDE',
}
