/**
 * `npm run load:sources [-- --rows 50000000]`: the marks of sources. C against the service's own kernel on one thread, a query
 * in DuckDB against what one would write by hand, and how long it takes to write a source. Ratios are measured in one run.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { assemble } from '../src/batching/assemble.ts'
import { openEngine } from '../src/engines/index.ts'
import { customLoss } from '../src/losses/custom.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { TARGETS } from '../src/sources/targets.ts'
import { writeSource } from '../src/sources/write.ts'
import { check } from '../test/support/evaluate.ts'
import { defaultsOf, randomFrom } from '../test/support/sample.ts'
import { median } from './quantile.ts'

const { values: flags } = parseArgs({ options: { rows: { type: 'string', default: '50000000' } } })
const ELEMENTS = 1_000_000
/** Rounds of each side, and calls in each of them. */
const [ROUNDS, CALLS] = [15, 5] as const
/** Queries are run in pairs. */
const PAIRS = 7

/** Ten lines, as an author would write them. */
const TEN_LINES = `e = (predictions - targets) / scale
a = abs(e)
q = min(a, 1)
near = q^2 / 2
far = a - q
h = near + far
w = sigmoid(-a)
soft = softplus(e) + softplus(-e)
mix = w * h + (1 - w) * log1p(soft)
mix + 0.1 * tanh(e)^2`

const { find } = await loadCatalog()
const [c, sql] = ['c', 'sql'].map((name) => TARGETS.find((target) => target.name === name)!)
const folder = mkdtempSync(join(tmpdir(), 'lossd-sources-'))
try {
  for (const name of ['huber', 'sigmoid_focal']) await compareWithKernel(name)
  await compareQueries(Number(flags.rows))
  await timeWriting()
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The fastest of several rounds of each side, in turn: what else the machine does only makes a round slower. */
async function fastest<const Side extends string>(
  rounds: number,
  sides: Readonly<Record<Side, () => Promise<number> | number>>,
): Promise<Readonly<Record<Side, number>>> {
  const best = Object.fromEntries(Object.keys(sides).map((side) => [side, Infinity])) as Record<Side, number>
  for (let round = 0; round < rounds; round++)
    for (const side of Object.keys(sides) as Side[]) best[side] = Math.min(best[side], await sides[side]())
  return best
}

async function compareWithKernel(name: string) {
  const loss = find(name)!
  const random = randomFrom(1)
  const draw = (isTarget: boolean) =>
    Float32Array.from({ length: ELEMENTS }, () =>
      isTarget && name !== 'huber' ? Number(random() < 0.3) : 6 * random() - 3,
    )
  const tensors = new Map(
    ['predictions', 'targets'].map((input) => {
      const data = draw(input === 'targets')
      return [input, { dtype: 'float32', shape: [ELEMENTS], data, encoding: 'binary', typed: true } as const]
    }),
  )
  const engine = await openEngine({ engine: 'auto', threads: 1, memoryBytes: 2 ** 30, log: () => {} })
  const program = compileC(name)
  const times = await fastest(ROUNDS, {
    C: () => Math.min(...execFileSync(program, { encoding: 'utf8' }).trim().split('\n').map(Number)),
    kernel: async () => {
      const results = []
      for (let i = 0; i < CALLS; i++) {
        const result = await engine.run(assemble([check(loss, tensors, {}).job]))
        checkAligned([result.values, ...Object.values(result.gradients)])
        results.push(result.computeMs)
        result.release?.()
      }
      return Math.min(...results)
    },
  })
  await engine.close()
  console.log(
    `${name}, 1e6 float32, value and gradients: C ${times.C.toFixed(2)} ms, kernel ${times.kernel.toFixed(2)} ms, ratio ${(times.C / times.kernel).toFixed(2)}`,
  )
}

/** The vectors of the kernel have 16 bytes, so that this keeps them within cache lines; with 64 bytes it is no faster. */
function checkAligned(results: readonly ArrayBufferView[]) {
  if (results.some(({ byteOffset }) => byteOffset % 16 !== 0))
    throw new Error('the arrays of the kernel are not aligned, and those of C are')
}

/** A program that prints how many milliseconds each of several calls takes. */
function compileC(name: string): string {
  const loss = find(name)!
  const { text } = writeSource(c!, { loss, params: defaultsOf(loss), options: { precision: 'float32' } })
  const isHuber = name === 'huber'
  const params = isHuber ? 'HUBER_DELTA' : 'SIGMOID_FOCAL_ALPHA, SIGMOID_FOCAL_GAMMA'
  const main = `#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
/* So that no vector straddles a cache line, as none of the kernel does: otherwise C takes half as long again. */
#define ROOM aligned_alloc(64, 4 * n)
${text}
int main(void) {
  const size_t n = ${ELEMENTS};
  float *x = ROOM, *y = ROOM, *l = ROOM, *gx = ROOM, *gy = ROOM;
  for (size_t i = 0; i < n; i++) { x[i] = 6.0f * rand() / (float)RAND_MAX - 3; y[i] = ${isHuber ? '6.0f * rand() / (float)RAND_MAX - 3' : 'rand() % 10 < 3'}; }
  for (int call = 0; call < ${CALLS}; call++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    ${name}(n, x, y, ${params}, ${name.toUpperCase()}_NONE, l, gx, gy);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%f\\n", (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
  }
  return 0;
}
`
  const program = join(folder, name)
  writeFileSync(`${program}.c`, main)
  execFileSync('gcc', ['-std=c11', '-O3', '-march=native', '-o', program, `${program}.c`, '-lm'])
  return program
}

async function compareQueries(rows: number) {
  const connection = await (await DuckDBInstance.create()).connect()
  const file = join(folder, 't.parquet')
  await connection.run(
    `COPY (SELECT random() * 6 - 3 AS predictions, random() * 6 - 3 AS targets FROM range(${rows})) TO '${file}' (FORMAT parquet)`,
  )
  await connection.run(`CREATE VIEW t AS SELECT * FROM '${file}'`)
  const huber = find('huber')!
  const own = writeSource(sql!, { loss: huber, params: defaultsOf(huber), gradients: ['predictions'] }).text
  const byHand = `SELECT *,
    CASE WHEN abs(predictions - targets) <= 1 THEN 0.5e0 * (predictions - targets) * (predictions - targets) ELSE abs(predictions - targets) - 0.5e0 END AS loss,
    CASE WHEN abs(predictions - targets) <= 1 THEN predictions - targets ELSE sign(predictions - targets) END AS gradient_predictions
    FROM t`
  const run = (query: string) =>
    timed(() => connection.run(`SELECT avg(loss), max(gradient_predictions) FROM (${query})`))
  const pairs: { readonly written: Cost; readonly hand: Cost }[] = []
  while (pairs.length < PAIRS) pairs.push({ written: await run(own), hand: await run(byHand) })
  const of = (side: 'written' | 'hand') => median(pairs.map((pair) => pair[side].ms)).toFixed(0)
  const ratio = (cost: keyof Cost) =>
    median(pairs.map((pair) => pair.written[cost] / pair.hand[cost])).toFixed(2)
  console.log(
    `huber, ${rows} rows of Parquet in DuckDB: written ${of('written')} ms, by hand ${of('hand')} ms, ratio ${ratio('ms')}, of CPU time ${ratio('cpuMs')}; medians of ${PAIRS} pairs`,
  )
}

/** What else the machine does makes a query slower, and hardly adds to its CPU time. */
interface Cost {
  readonly ms: number
  readonly cpuMs: number
}

async function timed(run: () => Promise<unknown>): Promise<Cost> {
  const [begin, used] = [performance.now(), process.cpuUsage()]
  await run()
  const { user, system } = process.cpuUsage(used)
  return { ms: performance.now() - begin, cpuMs: (user + system) / 1e3 }
}

/** From the text, as a request with a formula of its own. */
async function timeWriting() {
  const inputs = { predictions: { differentiable: true }, targets: {} }
  const params = { scale: { type: 'number', default: 1 } } as const
  for (const target of TARGETS) {
    const { whole, writing } = await fastest(30, {
      whole: () => {
        const begin = performance.now()
        writeSource(target, {
          loss: customLoss({ inputs, params, formula: TEN_LINES }),
          params: { scale: 1 },
        })
        return performance.now() - begin
      },
      writing: () => {
        const loss = customLoss({ inputs, params, formula: TEN_LINES })
        const begin = performance.now()
        writeSource(target, { loss, params: { scale: 1 } })
        return performance.now() - begin
      },
    })
    console.log(
      `a formula of 10 lines as ${target.name}: ${writing.toFixed(2)} ms, ${whole.toFixed(2)} ms with its definition`,
    )
  }
}
