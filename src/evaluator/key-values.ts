/**
 * The values of columns that rows are put together by. Numbers are doubles where those hold them; integers that they do
 * not hold are texts, so that neighbours stay apart. The type decides, not the value: where one file has integers and
 * another one doubles, 2^53 and more are a text in the one and a number in the other, and so two slices. Refusing such
 * files would refuse small keys, too, which pandas writes as doubles wherever one of them is missing.
 */
import { type Column, type DataFile, formatOf } from './database.ts'

/** Types with integers that a double may not hold. */
const LONG = /^(U?BIGINT|U?HUGEINT|DECIMAL\((1[6-9]|[23]\d),0\))$/
/** From here on, not every integer is a double. */
export const FIRST_INEXACT = 2 ** 53

export function isLong(type: string): boolean {
  return LONG.test(type)
}

/**
 * The expression of a key in DuckDB.
 *
 * @param own the column, or the column of a query
 */
export function keyExpression(file: DataFile, { kind, type }: Column, own: string): string {
  if (kind === 'boolean') return own
  if (kind !== 'number') return `CAST(${own} AS VARCHAR)`
  if (!isLong(type)) return `CAST(${own} AS DOUBLE)`
  // What we read ourselves has become doubles already.
  if ('open' in formatOf(file).reader) return refusingInexact(own)
  return type.startsWith('DECIMAL') ? `CAST(${own} AS HUGEINT)` : own
}

function refusingInexact(own: string): string {
  const why = 'integers of 2^53 and more are no keys in this kind of file; write them as texts'
  return `CASE WHEN abs(${own}) >= ${FIRST_INEXACT} THEN error('${why}') ELSE ${own} END`
}

/** @example keyOfInteger(9007199254740993n) // '9007199254740993' */
export function keyOfInteger(integer: bigint): number | string {
  const number = Number(integer)
  return Number.isSafeInteger(number) ? number : String(integer)
}
