/** PostgreSQL raises an error where a result overflows, underflows or divides by zero; NaN equals itself and sorts last. */
import { atom } from '../code.ts'
import { COMMON, type Dialect, EMULATED, logarithm, logarithmTo } from '../sql.ts'
import { CHECKED_ARITHMETIC } from './checked.ts'
import { quoted } from './quoting.ts'

export const postgres: Dialect = {
  name: 'postgres',
  ops: {
    ...COMMON,
    ...EMULATED,
    ...CHECKED_ARITHMETIC,
    log2: logarithmTo(2),
    log10: logarithm('log'),
    round: ([x]) => atom(`round(${x.text})`),
    erf: undefined,
    lgamma: undefined,
    digamma: undefined,
    polygamma: undefined,
    is_finite: ([x]) => atom(`abs(${x.text}) < 'Infinity'::float8`),
  },
  // Longer names would be cut silently.
  quote: (name, of) => quoted(name, of, '"', 63),
  double: (value) => {
    if (Number.isNaN(value)) return "'NaN'::float8"
    if (!Number.isFinite(value)) return value < 0 ? "'-Infinity'::float8" : "'Infinity'::float8"
    return value < 0 ? `(-${-value}::float8)` : `${value}::float8`
  },
  cast: (column) => `CAST(${column} AS double precision)`,
  isNaN: ({ text }) => `(${text}) = 'NaN'::float8`,
  // The angle is -pi or pi.
  hasMinus: (zero) => `(atan2(${zero.text}, -1) < 0)`,
  raises: { overflow: true, underflow: true },
  steps: 'lateral',
}
