/**
 * `npm run test:sources [-- --all | --defaults] [-- target ...]`: writes all losses as everything that this machine can compile or run, and holds
 * them to the service's answers. Where something is missing, one line says so.
 */
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import type { Precision } from '../../src/tensor.ts'
import { checkBoosting } from './boosting.ts'
import { checkTarget, type Report } from './every-source.ts'
import { callLosses, checkFunctions, functionBounds, recipeLosses, specialLosses } from './functions.ts'
import { pointFailures } from './points.ts'
import { RUNNERS } from './runners/all.ts'
import { duckdb } from './runners/duckdb.ts'
import { googlesql } from './runners/googlesql.ts'
import { postgres } from './runners/postgres.ts'
import { NotHere } from './runners/runner.ts'
import { spark } from './runners/spark.ts'
import { snowflake } from './runners/translated.ts'
import { specialRows } from './special-rows.ts'
import { strangeLosses } from './strange.ts'
import { treeDifferences } from './trees.ts'
import { vectorisedLoops } from './vectorised.ts'

/** Those of them run with every test already. */
const IN_PROCESS = ['typescript', 'tfjs', 'sql duckdb']

const given = process.argv.slice(2)
const [isAll, areDefaults] = [given.includes('--all'), given.includes('--defaults')]
const wanted = given.filter((word) => !word.startsWith('--'))
const { losses: catalog } = await loadCatalog()
const strange = strangeLosses()
const calls = callLosses()
const losses = [...catalog, ...strange, ...calls]
const formulas = [...calls, ...recipeLosses(), ...Object.values(specialLosses()).flat()]
/** For tools that take long: the catalog, and names that are most in the way. */
const STRANGEST = /\/(?:forward|backward|sigmoid|times|list|double|cases|axes)$/
const few = [...catalog, ...strange.filter(({ name }) => STRANGEST.test(name))]
for (const [name, { runner, bounds, precisions, isSlow, excused = {} }] of Object.entries(RUNNERS)) {
  const [base, variant] = name.split(' ')
  const isWanted = wanted.includes(name) || wanted.includes(base!)
  if (wanted.length > 0 ? !isWanted : IN_PROCESS.includes(name)) continue
  const target = TARGETS.find((one) => one.name === base)!
  const dialect = target.dialects.find((one) => one === variant)
  const scope = areDefaults || (isSlow && !isAll) ? 'defaults' : 'all'
  for (const precision of precisions ?? target.precisions) {
    try {
      const since = performance.now()
      const own = scope === 'defaults' ? few : losses
      const isExcused = (failure: string) =>
        Object.keys(excused).some((label) => failure.startsWith(`${label}:`))
      const withoutExcused = (report: Report): Report => {
        return { ...report, failures: report.failures.filter((failure) => !isExcused(failure)) }
      }
      const report = await checkTarget(target, own, runner, precision, bounds, dialect, scope)
      tell(`${name} ${precision}`, withoutExcused(report), since)
      if (target.family === 'sql' || precision !== target.precisions[0] || (isSlow && !isAll)) continue
      const sinceThen = performance.now()
      const ownBounds = functionBounds(name, bounds)
      tell(
        `${name} functions`,
        withoutExcused(await checkFunctions(target, formulas, runner, precision, ownBounds)),
        sinceThen,
      )
    } catch (error) {
      if (!(error instanceof NotHere)) throw error
      console.log(`${name} is not run here: ${error.message}`)
      break
    }
  }
}

for (const target of TARGETS.filter(({ family }) => family === 'boosting')) {
  if (wanted.length > 0 && !wanted.includes(target.name)) continue
  try {
    const since = performance.now()
    tell(target.name, checkBoosting(target, catalog), since)
    for (const [name, found] of await treeDifferences(target.name)) {
      if (found.length > 0) process.exitCode = 1
      console.log(`${name}: ${found.length === 0 ? 'the same trees' : `FAIL ${found.join('; ')}`}`)
    }
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`${target.name} is not run here: ${error.message}`)
  }
}

if (wanted.length === 0 || wanted.includes('c')) {
  try {
    for (const precision of ['float64', 'float32'] as const) tellLoops(precision)
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`loops are not vectorised here: ${error.message}`)
  }
}

const databases = { duckdb, postgres, spark, bigquery: googlesql, snowflake }
for (const [dialect, database] of Object.entries(databases)) {
  if (wanted.length > 0 && !wanted.includes(`sql ${dialect}`) && !wanted.includes('sql')) continue
  try {
    const since = performance.now()
    const sql = TARGETS.find(({ name }) => name === 'sql')!
    const rows = await specialRows(sql, losses, dialect, database)
    const faults = [...rows, ...(await pointFailures(sql, dialect, database))]
    for (const fault of faults) console.error(`FAIL sql ${dialect}: ${fault}`)
    if (faults.length > 0) process.exitCode = 1
    console.log(`sql ${dialect}: special rows and points, ${faults.length} wrong in ${secondsSince(since)} s`)
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`sql ${dialect} is not run here: ${error.message}`)
  }
}

function tellLoops(precision: Precision) {
  const c = TARGETS.find(({ name }) => name === 'c')!
  const { loops, calling, branching, scalar } = vectorisedLoops(c, catalog, precision)
  const vectors = loops - calling.length - branching.length - scalar.length
  for (const loop of scalar) console.error(`FAIL c: ${loop} is not vectorised`)
  if (scalar.length > 0) process.exitCode = 1
  console.log(
    `c ${precision}: ${loops} loops over elements, ${vectors} are vectors, ${calling.length} call libm, ${branching.length} branch, ${scalar.length} wrong`,
  )
}

function tell(name: string, report: Report, since: number) {
  const { sources, cases, failures, refused, numbers, unbounded } = report
  for (const failure of failures) console.error(`FAIL ${name}: ${failure}`)
  if (failures.length > 0) process.exitCode = 1
  const share = (100 * unbounded) / numbers
  const overflows = unbounded === 0 ? '' : `, ${share.toFixed(1)} % of the numbers overflow on the way`
  const missing = [...refused.keys()].filter((loss) => !loss.includes('/'))
  const formulas = refused.size - missing.length
  const without = refused.size === 0 ? '' : `, without ${[...missing, `${formulas} formulas`].join(', ')}`
  console.log(
    `${name}: ${sources} sources, ${cases} cases, ${failures.length} wrong in ${secondsSince(since)} s${overflows}${without}`,
  )
}

function secondsSince(since: number): number {
  return Math.round((performance.now() - since) / 1000)
}
