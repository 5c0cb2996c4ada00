/** GoogleSQL raises an error where a result overflows or divides by zero; an underflow is 0. NaN equals nothing. */
import { atom } from '../code.ts'
import { InvalidName } from '../contract.ts'
import { COMMON, type Dialect, EMULATED, logarithm, logarithmTo } from '../sql.ts'
import { CHECKED_ARITHMETIC, roundHalfEven } from './checked.ts'
import { quoted } from './quoting.ts'

export const bigquery: Dialect = {
  name: 'bigquery',
  ops: {
    ...COMMON,
    ...EMULATED,
    ...CHECKED_ARITHMETIC,
    log2: logarithmTo(2),
    log10: logarithm('log10'),
    round: roundHalfEven,
    erf: undefined,
    lgamma: undefined,
    digamma: undefined,
    polygamma: undefined,
    is_finite: ([x]) => atom(`NOT (is_inf(${x.text}) OR is_nan(${x.text}))`),
  },
  // A backtick within backticks would need an escape, and no name of BigQuery has one.
  quote: (name, of) => {
    if (name.includes('`')) throw new InvalidName(of, 'a name must not contain a backtick here')
    return quoted(name, of, '`', 300)
  },
  double: (value) => {
    if (Number.isNaN(value)) return "CAST('nan' AS FLOAT64)"
    if (!Number.isFinite(value)) return value < 0 ? "CAST('-inf' AS FLOAT64)" : "CAST('inf' AS FLOAT64)"
    const text = String(Math.abs(value))
    const real = /[.e]/.test(text) ? text : `${text}.0`
    return value < 0 ? `(-${real})` : real
  },
  cast: (column) => `CAST(${column} AS FLOAT64)`,
  isNaN: (x) => `is_nan(${x.text})`,
  raises: { overflow: true, underflow: false },
  steps: 'EXCEPT',
}
