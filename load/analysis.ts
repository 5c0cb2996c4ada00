/**
 * `npm run load:analysis [-- huber,barron_robust]`: how long the analysis of each loss takes on one core, in milliseconds that the
 * process computed: all questions, with the default parameters and the default budget. Fails if a loss takes longer than it may.
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

const only = process.argv[2]?.split(',')
const { losses } = await loadCatalog()
const rows: Cell[][] = []
for (const loss of losses) {
  const most = MOST_MS[loss.couples]
  if (most === undefined || only?.includes(loss.name) === false) continue
  const times = Array.from({ length: RUNS }, () => computedMs(() => analyzeAll(loss)))
  const sorted = times.slice(1).sort((a, b) => a - b)
  rows.push([loss.name, loss.couples, sorted[0], sorted[sorted.length >> 1], times[0], most])
}
rows.sort((a, b) => Number(b[3]) / Number(b[5]) - Number(a[3]) / Number(a[5]))
console.log(
  markdown({
    title: 'Analysis',
    about: `Milliseconds of processor time, ${RUNS - 1} runs after a first one. The default budget is ${BUDGET_MS} ms.`,
    head: ['loss', 'depends on', 'least', 'median', 'first run', 'at most'],
    rows,
  }),
)
const slow = rows.filter(([, , , median, , most]) => Number(median) > Number(most))
for (const [name, , , median] of slow) console.error(`${name} takes ${Number(median).toFixed(0)} ms`)
process.exit(slow.length > 0 ? 1 : 0)

function analyzeAll(loss: Loss) {
  const of = Object.keys(loss.inputs).find((name) => loss.inputs[name].differentiable)!
  return analyze({ loss, params: defaultsOf(loss), of, domain: {}, sizes: {}, catalog: losses }, BUDGET_MS)
}

/** Of all threads of this process, so that what else the machine does counts little. */
function computedMs(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
