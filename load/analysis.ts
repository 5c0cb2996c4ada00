/**
 * `npm run load:analysis [-- huber,barron_robust]`: how long the analysis of each loss takes on one core, in milliseconds that the
 * process computed: all questions, with the default parameters and the default budget. Fails if a loss takes longer than it may, or
 * if a small budget is not held.
 */
import { analyze } from '../src/analysis/analyze.ts'
import type { BatchDependence, Loss } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { defaultsOf } from '../test/support/sample.ts'
import { type Cell, markdown } from './table.ts'

/** What a loss may take: of one element, and of a row of 5 classes. */
const MOST_MS: Readonly<Partial<Record<BatchDependence, number>>> = { element: 200, row: 2000 }
const BUDGET_MS = 2000
/** Runs of each loss, of which the first only warms up. */
const RUNS = 6
/** A budget that is too small for many losses, and by how much it may be exceeded. */
const [SMALL_MS, EXCESS] = [200, 1.2]

/** Budgets count in the time that this process has computed, so that a busy machine finds the same answers. */
performance.now = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

const only = process.argv[2]?.split(',')
const { losses } = await loadCatalog()
const rows: Cell[][] = []
for (const loss of losses) {
  const most = MOST_MS[loss.couples]
  if (most === undefined || only?.includes(loss.name) === false) continue
  const times = Array.from({ length: RUNS }, () => msOf(loss, BUDGET_MS))
  const sorted = times.slice(1).sort((a, b) => a - b)
  rows.push([
    loss.name,
    loss.couples,
    sorted[0],
    sorted[sorted.length >> 1],
    times[0],
    most,
    msOf(loss, SMALL_MS),
  ])
}
rows.sort((a, b) => Number(b[3]) / Number(b[5]) - Number(a[3]) / Number(a[5]))
console.log(
  markdown({
    title: 'Analysis',
    about: `Milliseconds of processor time, ${RUNS - 1} runs after a first one. The default budget is ${BUDGET_MS} ms.`,
    head: ['loss', 'depends on', 'least', 'median', 'first run', 'at most', `budget ${SMALL_MS}`],
    rows,
  }),
)
const slow = rows.filter(([, , , median, , most]) => Number(median) > Number(most))
for (const [name, , , median] of slow) console.error(`${name} takes ${Number(median).toFixed(0)} ms`)
const late = rows.filter((row) => Number(row[6]) > SMALL_MS * EXCESS)
for (const [name, , , , , , took] of late)
  console.error(`${name} takes ${Number(took).toFixed(0)} ms of a budget of ${SMALL_MS}`)
process.exit(slow.length + late.length > 0 ? 1 : 0)

/** Of all threads of this process, so that what else the machine does counts little. */
function msOf(loss: Loss, budgetMs: number): number {
  const of = Object.keys(loss.inputs).find((name) => loss.inputs[name].differentiable)!
  const started = performance.now()
  analyze({ loss, params: defaultsOf(loss), of, domain: {}, sizes: {}, catalog: losses }, budgetMs)
  return performance.now() - started
}
