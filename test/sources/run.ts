/**
 * `npm run test:sources [-- target ...]`: writes all losses as everything that this machine can compile or run, and holds
 * them to the service's answers. Where something is missing, one line says so.
 */
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { checkTarget } from './every-source.ts'
import { unparsed } from './parsed.ts'
import { RUNNERS } from './runners/all.ts'
import { NotHere } from './runners/runner.ts'

/** Those of them run with every test already. */
const IN_PROCESS = ['typescript', 'sql duckdb']

const wanted = process.argv.slice(2)
const { losses } = await loadCatalog()
for (const [name, { runner, bounds, excused = {} }] of Object.entries(RUNNERS)) {
  const [base, variant] = name.split(' ')
  const isWanted = wanted.includes(name) || wanted.includes(base!)
  if (wanted.length > 0 ? !isWanted : IN_PROCESS.includes(name)) continue
  const target = TARGETS.find((one) => one.name === base)!
  const dialect = target.dialects.find((one) => one === variant)
  for (const precision of target.precisions) {
    try {
      const report = await checkTarget(target, losses, runner, precision, bounds(precision), dialect)
      const isExcused = (failure: string) =>
        Object.keys(excused).some((label) => failure.startsWith(`${label}:`))
      const failures = report.failures.filter((failure) => !isExcused(failure))
      tell(`${name} ${precision}`, { ...report, failures })
    } catch (error) {
      if (!(error instanceof NotHere)) throw error
      console.log(`${name} is not run here: ${error.message}`)
      break
    }
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

function tell(name: string, { sources, cases, failures, refused }: Awaited<ReturnType<typeof checkTarget>>) {
  for (const failure of failures) console.error(`FAIL ${name}: ${failure}`)
  if (failures.length > 0) process.exitCode = 1
  const without = refused.size === 0 ? '' : `, without ${[...refused.keys()].join(', ')}`
  console.log(`${name}: ${sources} sources, ${cases} cases, ${failures.length} wrong${without}`)
}
