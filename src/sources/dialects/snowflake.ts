/** Snowflake raises errors as PostgreSQL does; NaN equals itself and sorts last. */
import { atom } from '../code.ts'
import { COMMON, type Dialect, logarithmTo, SPELLED_OUT } from '../sql.ts'
import { CHECKED, roundHalfEven } from './checked.ts'
import { quoted } from './quoting.ts'

export const snowflake: Dialect = {
  name: 'snowflake',
  ops: {
    ...COMMON,
    ...SPELLED_OUT,
    ...CHECKED,
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
