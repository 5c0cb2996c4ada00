/**
 * Which road an evaluation takes: through compiled kernels, or through SQL. Where nothing else decides, both are taken over
 * the first rows of the data, and the cheaper one over all rows.
 */
import type { Engine } from '../engines/contract.ts'
import { Problem } from '../errors.ts'
import { type Database, type DataFile, formatOf } from './database.ts'
import { hasPlaces } from './formats/index.ts'
import { KernelRun, type Part } from './kernel-road.ts'
import { isReadHere } from './parquet/source.ts'
import { type Plan, SKETCHED_ROWS, withoutSketches } from './plan.ts'
import type { Road } from './request.ts'
import type { SqlRoad } from './sql-road.ts'

/** What a row costs, in ns, with its share of what a query costs whatever its rows. */
export interface Costs {
  /** How many rows were measured. */
  readonly rows: number
  readonly kernels: number
  readonly sql: number
}

export interface ChosenRoad {
  /** Undefined: kernels. */
  readonly sql: SqlRoad | undefined
  /** If they have decided. */
  readonly costs: Costs | undefined
}

/** What the rows are read from. */
export interface RoadData {
  readonly file: DataFile
  readonly database: Database
  readonly engine: Engine
  /** Of all files, roughly. */
  readonly rows: number
  /** With fewer rows, nothing is measured. */
  readonly fewRows?: number | undefined
}

/** With fewer rows, SQL saves less than it takes to find out. */
const FEW_ROWS = 1_000_000
/** Kernels also tell extremes and the distribution, and clocks are not exact: SQL must save so much. */
const WORTH = 0.8

/**
 * Kernels are not measured where they read Parquet themselves: SQL saves nothing to speak of then
 * (`npm run load:evaluation-roads`).
 *
 * @throws Problem if SQL is asked for, and cannot compute it
 */
export async function chooseRoad(plan: Plan, asked: Road, data: RoadData): Promise<ChosenRoad> {
  if (asked === 'kernels' || (asked === 'auto' && isForKernels(plan, data))) return KERNELS
  const sql = (await sqlRoad()).sqlRoadOf(plan)
  if (asked === 'sql' && sql === undefined)
    throw new Problem(
      'invalid-value',
      'this cannot be computed in SQL alone: it takes losses of single numbers, without a bootstrap, weights, quantiles and worst rows',
    )
  if (asked === 'sql' || sql === undefined) return { sql, costs: undefined }
  const costs = await measure(plan, sql, data)
  return { sql: costs !== undefined && costs.sql < WORTH * costs.kernels ? sql : undefined, costs }
}

const KERNELS: ChosenRoad = { sql: undefined, costs: undefined }

/** Loaded when it is needed: it takes all that writes losses as source. */
export const sqlRoad = () => import('./sql-road.ts')

/** Of texts, all rows that have quantiles by default keep them. */
function isForKernels(plan: Plan, { file, database, rows, fewRows }: RoadData): boolean {
  const footer = database.footer(file)
  if (footer !== undefined && isReadHere(plan, footer)) return true
  return rows < (fewRows ?? (hasPlaces(formatOf(file)) ? FEW_ROWS : SKETCHED_ROWS))
}

/** The share of the rows that is measured, and how many that are at least and at most. */
const SHARE = 1 / 128
const [LEAST, MOST] = [2 ** 16, 2 ** 18]
/** The first pass finds plans and compiles. */
const WARM_UP = 2 ** 11
/** The machine may have something else to do: the shorter of two times counts. */
const ROUNDS = 2
/** One road is so much cheaper that another round would not change it. */
const CLEAR = 1.5

/** @returns undefined if not both roads lead to an answer; then kernels say what is wrong with the rows */
async function measure(plan: Plan, sql: SqlRoad, data: RoadData): Promise<Costs | undefined> {
  const rows = Math.round(Math.min(MOST, Math.max(LEAST, data.rows * SHARE)))
  const passes = [
    (most: number) => passInSql(plan, sql, data, most),
    (most: number) => passInKernels(plan, data, most),
  ]
  const best = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  try {
    for (const pass of passes) if (!(await pass(WARM_UP))) return undefined
    for (let round = 0; round < ROUNDS && !isClear(best); round++)
      for (const [i, pass] of passes.entries()) {
        const started = performance.now()
        if (!(await pass(rows))) return undefined
        best[i] = Math.min(best[i], performance.now() - started)
      }
  } catch {
    return undefined
  }
  const [inSql, inKernels] = best.map((ms) => (ms * 1e6) / rows)
  return { rows, kernels: inKernels, sql: inSql }
}

function isClear(best: readonly number[]): boolean {
  return Math.max(...best) > CLEAR * Math.min(...best)
}

const firstOf = (file: DataFile, most: number): Part => ({ file, index: 0, range: undefined, most })

async function passInSql(plan: Plan, sql: SqlRoad, { file, database }: RoadData, most: number) {
  const { evaluateInSql } = await sqlRoad()
  return (await evaluateInSql(withoutSketches(plan), sql, firstOf(file, most), database)) !== undefined
}

async function passInKernels(plan: Plan, { file, database, engine }: RoadData, most: number) {
  const run = new KernelRun(plan, database, engine)
  await run.add(firstOf(file, most), () => {})
  run.take()
  return true
}
