/**
 * `npm run bench:tensorflow`: one batch computed by XLA, by the same TensorFlow op by op, and by the compiled
 * kernels, in turn in one process, and the compile time. Prints a table. Requires `npm run setup:tensorflow`.
 */
import { availableParallelism } from 'node:os'
import { openCompiled } from '../src/engines/compiled/engine.ts'
import type { Batch, BatchResult, Engine } from '../src/engines/contract.ts'
import { isUnavailable } from '../src/engines/define.ts'
import tensorflow from '../src/engines/tensorflow.ts'
import { execute } from '../src/engines/tfjs/execute.ts'
import { batchesOf, requestOf } from './bench/batches.ts'
import { inTurn } from './rounds.ts'

const LOSSES = ['softmax_focal', 'cross_entropy', 'nt_xent']
const SIZES = [
  [32, 10],
  [1024, 10],
  [1024, 1000],
] as const
const ROUNDS = 9
/** Minimum time per side and round, in ms. */
const LEAST_MS = 60

type Run = (batch: Batch) => Promise<BatchResult>

const opened = await tensorflow.open('the bench')
if (isUnavailable(opened)) {
  console.log(`nothing was measured: ${opened.unavailable}`)
  process.exit(0)
}
const xla: Engine = opened
const threads = availableParallelism()
const compiled = openCompiled({ reason: 'the bench', threads, memoryBytes: 2 ** 30, log: () => {} })
const SIDES: readonly Run[] = [
  (batch) => xla.run(batch),
  (batch) => execute(batch, 'op by op'),
  (batch) => compiled.run(batch),
]

console.log(
  `${xla.info.device}; ${compiled.info.device}; Node ${process.version}; median of ${ROUNDS} rounds\n`,
)
console.log(
  '| loss | size | compiling ms | XLA us | op by op us | compiled us | op by op / XLA | XLA / compiled |',
)
console.log('| --- | --- | --: | --: | --: | --: | --: | --: |')
for (const loss of LOSSES) for (const size of SIZES) console.log(await row(loss, size))
await compiled.close()

async function row(loss: string, [rows, columns]: readonly [number, number]): Promise<string> {
  const [batch] = batchesOf(await requestOf({ loss, rows, columns, seconds: 0 }))
  const compileMs = await compileTime(batch)
  for (const run of SIDES) await timed(run, batch)
  const measure = (run: Run) => timed(run, batch)
  const [fused, ops, kernels] = await inTurn(SIDES, ROUNDS, measure, (microseconds) => microseconds)
  const ratios = [ops / fused, fused / kernels].map((ratio) => ratio.toPrecision(3))
  const cells = [compileMs, fused, ops, kernels].map((number) => number.toFixed(0))
  return `| ${[loss, `${rows}x${columns}`, ...cells, ...ratios].join(' | ')} |`
}

/** The second shape of a program is compiled when it is seen for the second time. */
async function compileTime(batch: Batch): Promise<number> {
  const runs = [await xla.run(batch), await xla.run(batch)]
  return Math.max(...runs.map(({ compileMs = 0 }) => compileMs))
}

/** Microseconds per call. */
async function timed(run: Run, batch: Batch): Promise<number> {
  const started = performance.now()
  let calls = 0
  do {
    const result = await run(batch)
    result.release?.()
    calls++
  } while (performance.now() - started < LEAST_MS)
  return ((performance.now() - started) / calls) * 1e3
}
