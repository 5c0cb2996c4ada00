/**
 * `npx tsx load/lanes.ts [LOSS ...]`: times a launch that vectorizes the fastest axis and the same launch with rows
 * in the SIMD lanes, in turn. The threshold in src/engines/compiled/lanes.ts comes from this table.
 */
import { Arena } from '../src/engines/compiled/arena.ts'
import { compile, layoutOf, packKernelParams } from '../src/engines/compiled/kernel.ts'
import { detectTarget, KernelCache } from '../src/engines/compiled/kernel-cache.ts'
import { argumentsOf, bytesFor, copyInputs, instantiate } from '../src/engines/compiled/launch.ts'
import type { Batch } from '../src/engines/contract.ts'
import { sizesWithRenamedAxes } from '../src/language/ir.ts'
import { batchesOf, requestOf } from './bench/batches.ts'
import { inTurn } from './rounds.ts'
import { type Cell, markdown } from './table.ts'

const LOSSES = ['cross_entropy', 'softmax_focal', 'multi_margin', 'triplet_margin']
const ROWS = 1024
const COLUMNS = [2, 3, 4, 7, 8, 10, 12, 15, 16, 20, 24, 31, 32, 40, 48, 64, 100]
const [ROUNDS, MILLISECONDS] = [7, 12]

const target = detectTarget()
const kernels = new KernelCache(target)

const losses = process.argv.length > 2 ? process.argv.slice(2) : LOSSES
const rows: Cell[][] = []
for (const loss of losses) for (const columns of COLUMNS) rows.push(await rowOf(loss, columns))
console.log(
  markdown({
    title: 'Lanes',
    about: `Nanoseconds per element of one launch, ${ROWS} rows, value and gradient of the first input. Median of ${ROUNDS} rounds; the two take turns.`,
    head: ['loss', 'columns', 'fastest axis in the lanes', 'rows in the lanes', 'ratio', 'taken'],
    rows,
  }),
)

async function rowOf(loss: string, columns: number): Promise<Cell[]> {
  const request = await requestOf({ loss, rows: ROWS, columns, seconds: 0 })
  const [batch] = batchesOf(request)
  const launches = [undefined, batch.program.axes[0]].map((lanes) => launchOf(batch, lanes))
  for (const launch of launches) nanosecondsOf(launch)
  const found = await inTurn(
    launches,
    ROUNDS,
    async (launch) => nanosecondsOf(launch),
    (nanoseconds) => nanoseconds,
  )
  const [fastest, across] = found.map((nanoseconds) => nanoseconds / ROWS / columns)
  const takesRows = kernels.kernelFor(batch).plan.body.some((part) => part.kind === 'loop' && part.lanes)
  return [loss, columns, fastest, across, fastest / across, takesRows ? 'rows' : 'fastest axis']
}

/** Everything except the kernel is done beforehand. */
function launchOf(batch: Batch, lanes: string | undefined): () => void {
  const kernel = compile(batch.program, { uniform: true, staticPredicates: new Map(), lanes }, target)
  const sizes = sizesWithRenamedAxes(batch.program, batch.sizes)
  const layout = layoutOf(kernel, sizes)
  const arena = new Arena()
  arena.reserve(bytesFor(layout, 1))
  copyInputs(kernel, layout, batch, arena)
  const slice = { index: 0, first: 0, last: ROWS }
  const [at] = packKernelParams(kernel, layout, argumentsOf(batch, sizes), arena, [slice])
  const run = instantiate(new WebAssembly.Module(kernel.bytes), arena.memory)
  return () => run(at)
}

function nanosecondsOf(launch: () => void): number {
  const started = performance.now()
  let [count, passed] = [0, 0]
  while (passed < MILLISECONDS) {
    launch()
    count++
    passed = performance.now() - started
  }
  return (passed * 1e6) / count
}
