/**
 * `npm run load:kernels [-- huber,lovasz]`: how long it takes to lower, differentiate and compile each loss, and the bytes of its
 * module, in both precisions. Fails if the median is above its limit, or if a module other than the largest ones is.
 */
import { assemble } from '../src/batching/assemble.ts'
import { detectTarget, KernelCache } from '../src/engines/compiled/kernel-cache.ts'
import { type Loss, withoutPreset } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource } from '../src/losses/program.ts'
import { checkRequest } from '../src/schemas/check.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import type { Precision } from '../src/tensor.ts'
import { sampleTensors } from '../test/support/sample.ts'
import { median } from './quantile.ts'
import { type Cell, markdown } from './table.ts'

const MEDIAN_MS = 20
const MODULE_BYTES = 40_000
/** Losses whose modules may be larger: two softmaxes and their logarithms, and ranks, discounts and weights of all pairs. */
const LARGE: ReadonlySet<string> = new Set(['distillation_kl', 'lambda_rank'])
const ROUNDS = 3

const only = process.argv[2]?.split(',')
const { losses } = await loadCatalog()
const chosen = losses.filter(({ name }) => only?.includes(name) ?? true)
const target = detectTarget()
const rows: Cell[][] = chosen.map((loss) => {
  const [single, double] = (['float32', 'float64'] as const).map((precision) => fastest(loss, precision))
  return [loss.name, single.nodes, single.ms, single.bytes / 1000, double.ms, double.bytes / 1000]
})
rows.sort((a, b) => Number(b[5]) - Number(a[5]))
const medians = [2, 4].map((column) => median(rows.map((row) => Number(row[column]))))
console.log(
  markdown({
    title: 'Kernels: compile time and size',
    about: `From the formula to the module, the least of ${ROUNDS} rounds in ms; the medians are ${medians.map((ms) => ms.toFixed(1)).join(' and ')} ms. A module in kB of 1000 bytes.`,
    head: ['loss', 'operations', 'ms float32', 'kB float32', 'ms float64', 'kB float64'],
    rows,
  }),
)
const large = rows.filter(([name, , , single, , double]) => {
  return Math.max(Number(single), Number(double)) > MODULE_BYTES / 1000 && !LARGE.has(String(name))
})
for (const [name] of large) console.error(`the module of ${name} is larger than ${MODULE_BYTES} bytes`)
const isSlow = medians.some((ms) => ms > MEDIAN_MS)
if (isSlow) console.error(`the median is above ${MEDIAN_MS} ms`)
process.exit(isSlow || large.length > 0 ? 1 : 0)

interface Measured {
  readonly nodes: number
  readonly ms: number
  readonly bytes: number
}

/** With nothing cached in any round. */
function fastest(loss: Loss, precision: Precision): Measured {
  const all = Array.from({ length: ROUNDS }, () => compileOnce(loss, precision))
  return all.reduce((best, one) => (one.ms < best.ms ? one : best))
}

function compileOnce(loss: Loss, precision: Precision): Measured {
  const tensors = sampleTensors(loss, { seed: 1, precision, rows: 8 })
  const limits = { maxIntermediate: 2 ** 26, maxCost: 2e10 }
  const started = process.cpuUsage()
  const plans = createRequestPlanSource(createProgramSource(), limits)
  const request = { tensors, options: new Map() }
  const { job } = checkRequest(withoutPreset(loss), request, { plans })
  const { bytes, module } = new KernelCache(target).kernelFor(assemble([job]))
  if (!(module instanceof WebAssembly.Module)) throw new TypeError(`${loss.name} has no module`)
  const { user, system } = process.cpuUsage(started)
  return { nodes: job.program.nodes.length, ms: (user + system) / 1000, bytes: bytes.length }
}
