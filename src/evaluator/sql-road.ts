/**
 * Evaluation in DuckDB: the losses of single numbers are expressions (src/sources), and DuckDB computes, groups and sums
 * them. Parts with rows that need a closer look (null, NaN, infinite losses, values that are not of their kind) are left
 * to the kernels.
 */
import { TOO_LARGE } from '../evaluation/binned-sums.ts'
import { State } from '../evaluation/state.ts'
import type { Kind } from '../losses/define.ts'
import { CannotWrite, type SourceRequest } from '../sources/contract.ts'
import sql from '../sources/targets/sql.ts'
import { writeSource } from '../sources/write.ts'
import { type Database, placeOfColumn, unreadable } from './database.ts'
import type { Part } from './kernel-road.ts'
import { keyExpression, keyOfInteger } from './key-values.ts'
import type { LossPlan, Plan } from './plan.ts'

/** The queries of a plan, ready for any file. */
export interface SqlRoad {
  /** Common table expressions, one for each loss: each adds a column to those before. */
  readonly steps: readonly string[]
}

/** Input kind -> a condition on numbers that are not of that kind. */
const STRANGE: Readonly<Partial<Record<Kind, (column: string) => string>>> = {
  real: () => 'FALSE',
  logprob: () => 'FALSE',
  positive: (column) => `${column} < 0`,
  nonnegative: (column) => `${column} < 0`,
  probability: (column) => `${column} < 0 OR ${column} > 1`,
  binary: (column) => `${column} <> 0 AND ${column} <> 1`,
  sign: (column) => `${column} <> -1 AND ${column} <> 1`,
}

/** @returns undefined if the plan needs something that is not computed in SQL */
export function sqlRoadOf(plan: Plan): SqlRoad | undefined {
  const { request, weight, losses } = plan
  const needsRows = plan.state.hasBuckets || (request.worst ?? 0) > 0 || request.quantiles !== undefined
  if (needsRows || weight !== undefined || !losses.every(isOfNumbers)) return undefined
  try {
    return { steps: losses.map((loss, place) => stepOf(loss, place)) }
  } catch (error) {
    if (error instanceof CannotWrite) return undefined
    throw error
  }
}

function isOfNumbers({ loss, params, inputs, hasDenominator }: LossPlan): boolean {
  if (hasDenominator || loss.meanPer !== undefined || loss.expand !== undefined) return false
  return inputs.every(({ name, width, isIndex }) => {
    return width === undefined && !isIndex && Object.hasOwn(STRANGE, loss.inputs[name].kindFor(params))
  })
}

function sourceOf({ loss, params, inputs }: LossPlan, table: string): SourceRequest {
  return {
    loss,
    params,
    optional: inputs.map(({ name }) => name).filter((name) => loss.inputs[name].optional),
    gradients: [],
    options: {
      dialect: 'duckdb',
      table,
      columns: Object.fromEntries(inputs.map(({ name, columns: [place] }) => [name, [`n${place}`]])),
    },
  }
}

/** Without its comments, which repeat texts of the author. */
function stepOf(loss: LossPlan, place: number): string {
  const { text } = writeSource(sql, sourceOf(loss, place === 0 ? 'rows' : `l${place - 1}`))
  const lines = text.split('\n').filter((line) => !line.startsWith('--'))
  return `l${place} AS (SELECT * EXCLUDE (loss), loss AS v${place} FROM (${lines.join('\n')}))`
}

/**
 * The state of the rows of a part.
 *
 * @returns undefined if some rows need a closer look
 */
export async function evaluateInSql(
  plan: Plan,
  { steps }: SqlRoad,
  part: Part,
  database: Database,
): Promise<State | undefined> {
  const { file } = part
  const columns = await database.columns(file)
  const places = plan.by.map((name) => placeOfColumn(file, columns, name))
  // Rows are put together by the column as it is, which is faster than by what it is cast to.
  const named = places.map((place, i) => `c${place} AS k${i}`)
  const numbers = plan.columns.map(
    ({ name }, i) => `CAST(c${placeOfColumn(file, columns, name)} AS DOUBLE) AS n${i}`,
  )
  const groups = plan.by.map((_, i) => `k${i}`)
  const query = [
    `, rows AS (SELECT ${[...numbers, ...named].join(', ')} FROM file), ${steps.join(', ')}`,
    `SELECT ${[...places.map((place, i) => keyExpression(file, columns[place], `k${i}`)), 'CAST(count(*) AS DOUBLE)', strangersOf(plan), ...sumsOf(plan)].join(', ')}`,
    `FROM l${steps.length - 1}${groups.length === 0 ? '' : ` GROUP BY ${groups.join(', ')}`}`,
  ].join('\n')
  try {
    return stateOf(plan, (await database.rows(file, columns, query, part)) as Row[])
  } catch (error) {
    throw unreadable(file, error)
  }
}

type Row = readonly (string | number | boolean | bigint | null)[]

/** How many rows have a number that is not of its kind. */
function strangersOf({ losses }: Plan): string {
  const conditions = losses.flatMap(({ loss, params, inputs }) =>
    inputs.map(({ name, columns: [place] }) => STRANGE[loss.inputs[name].kindFor(params)]!(`n${place}`)),
  )
  const open = [...new Set(conditions)].filter((condition) => condition !== 'FALSE')
  const test = open.map((condition) => `(${condition})`).join(' OR ')
  return open.length === 0 ? '0::DOUBLE' : `CAST(count(*) FILTER (${test}) AS DOUBLE)`
}

/**
 * For each series: how many rows have a loss, their sum and the sum of their squares. The smallest and the largest would
 * take half as long again.
 */
function sumsOf({ series }: Plan): string[] {
  return series.flatMap((source) => {
    const v = 'loss' in source ? `v${source.loss}` : `(v${source.minuend} - v${source.subtrahend})`
    return [`CAST(count(${v}) AS DOUBLE)`, `sum(${v})`, `sum(${v} * ${v})`]
  })
}

function stateOf(plan: Plan, rows: readonly Row[]): State | undefined {
  const state = new State(plan.state)
  const keys = plan.by.length
  for (const row of rows) {
    const [count, strange, ...sums] = row.slice(keys) as (number | null)[]
    if (count === 0) continue
    if (strange !== 0) return undefined
    const key = row.slice(0, keys).map((part) => (typeof part === 'bigint' ? keyOfInteger(part) : part))
    const slice = state.sliceOf(key)
    state.rows[slice] += count!
    for (let i = 0; i < state.series.length; i++) {
      const [known, sum, squares] = sums.slice(3 * i, 3 * i + 3) as number[]
      if (known !== count || !isSummable(sum) || !isSummable(squares)) return undefined
      state.series[i].addMoments(slice, { sum, squares })
    }
  }
  return state
}

function isSummable(sum: number): boolean {
  return Math.abs(sum) < TOO_LARGE
}
