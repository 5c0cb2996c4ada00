/**
 * `npm run test:sources [-- --all] [-- target ...]`: writes all losses as everything that this machine can compile or run, and holds
 * them to the service's answers. Where something is missing, one line says so.
 */
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { checkBoosting } from './boosting.ts'
import { checkTarget, type Report } from './every-source.ts'
import { callLosses, checkFunctions, functionBounds, recipeLosses } from './functions.ts'
import { unparsed } from './parsed.ts'
import { RUNNERS } from './runners/all.ts'
import { NotHere } from './runners/runner.ts'
import { treeDifferences } from './trees.ts'

/** Those of them run with every test already. */
const IN_PROCESS = ['typescript', 'tfjs', 'sql duckdb']

const given = process.argv.slice(2)
const isAll = given.includes('--all')
const wanted = given.filter((word) => word !== '--all')
const { losses } = await loadCatalog()
const formulas = [...callLosses(), ...recipeLosses()]
for (const [name, { runner, bounds, isSlow, excused = {} }] of Object.entries(RUNNERS)) {
  const [base, variant] = name.split(' ')
  const isWanted = wanted.includes(name) || wanted.includes(base!)
  if (wanted.length > 0 ? !isWanted : IN_PROCESS.includes(name)) continue
  const target = TARGETS.find((one) => one.name === base)!
  const dialect = target.dialects.find((one) => one === variant)
  const scope = isSlow && !isAll ? 'defaults' : 'all'
  for (const precision of target.precisions) {
    try {
      const since = performance.now()
      const report = await checkTarget(target, losses, runner, precision, bounds(precision), dialect, scope)
      const isExcused = (failure: string) =>
        Object.keys(excused).some((label) => failure.startsWith(`${label}:`))
      const failures = report.failures.filter((failure) => !isExcused(failure))
      tell(`${name} ${precision}`, { ...report, failures }, since)
      if (target.family === 'sql' || precision !== target.precisions[0] || (isSlow && !isAll)) continue
      const sinceThen = performance.now()
      const own = functionBounds(name, bounds(precision))
      tell(`${name} functions`, await checkFunctions(target, formulas, runner, precision, own), sinceThen)
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
    tell(target.name, checkBoosting(target, losses), since)
    for (const [name, found] of await treeDifferences(target.name)) {
      if (found.length > 0) process.exitCode = 1
      console.log(`${name}: ${found.length === 0 ? 'the same trees' : `FAIL ${found.join('; ')}`}`)
    }
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`${target.name} is not run here: ${error.message}`)
  }
}

for (const dialect of ['bigquery', 'snowflake']) {
  if (wanted.length > 0 && !wanted.includes(`sql ${dialect}`)) continue
  try {
    const faults = unparsed(TARGETS.find(({ name }) => name === 'sql')!, losses, dialect)
    for (const fault of faults) console.error(`FAIL sql ${dialect}: ${fault}`)
    if (faults.length > 0) process.exitCode = 1
    console.log(`sql ${dialect}: parsed, ${faults.length} wrong`)
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`sql ${dialect} is not parsed here: ${error.message}`)
  }
}

function tell(name: string, { sources, cases, failures, refused }: Report, since: number) {
  for (const failure of failures) console.error(`FAIL ${name}: ${failure}`)
  if (failures.length > 0) process.exitCode = 1
  const without = refused.size === 0 ? '' : `, without ${[...refused.keys()].join(', ')}`
  const seconds = Math.round((performance.now() - since) / 1000)
  console.log(
    `${name}: ${sources} sources, ${cases} cases, ${failures.length} wrong in ${seconds} s${without}`,
  )
}
