/** Both roads agree to 1e-12, and with a plain sum; threads, parts and checkpoints do not change a bit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { reportPage } from '../../src/evaluation/report.ts'
import type { Evaluation } from '../../src/evaluation/result.ts'
import { type Checkpoint, evaluate } from '../../src/evaluator/evaluate.ts'
import { findFiles } from '../../src/evaluator/files.ts'
import { planOf } from '../../src/evaluator/plan.ts'
import type { EvaluationRequest } from '../../src/evaluator/request.ts'
import type { Costs } from '../../src/evaluator/road.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'

const ROWS = 30_000
let folder: string
let parquet: string
const catalog = await loadCatalog()

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-evaluate-'))
  parquet = join(folder, 'data.parquet')
  const database = await DuckDBInstance.create(':memory:', { threads: '1' })
  const connection = await database.connect()
  // sin is a hash that needs no seed: the same numbers everywhere.
  const random = (salt: number) =>
    `(sin(i * 12.9898 + ${salt}) * 43758.5453 - floor(sin(i * 12.9898 + ${salt}) * 43758.5453))`
  await connection.run(`CREATE TABLE t AS SELECT
    (${random(1)} * 6 - 3)::DOUBLE AS y,
    (${random(1)} * 6 - 3 + ${random(2)} * ${random(2)} * 4 - 1)::DOUBLE AS y_hat,
    (${random(1)} * 6 - 3 + ${random(3)} * 2 - 1)::DOUBLE AS y_hat_b,
    (${random(4)} < 0.3)::INTEGER AS clicked,
    (${random(5)} * 8 - 4)::FLOAT AS logit,
    (i % 7)::INTEGER AS key,
    ['north', 'east', 'south', NULL][1 + (i % 4)::INTEGER] AS region,
    DATE '2026-01-01' + (i % 3)::INTEGER AS day,
    (${random(6)})::DOUBLE AS w,
    (i // 10)::INTEGER AS person,
    [${random(7)} * 4, ${random(8)} * 4, ${random(9)} * 4]::DOUBLE[] AS logits,
    (i % 3)::INTEGER AS label
    FROM range(${ROWS}) r(i)`)
  await connection.run(`COPY t TO '${parquet}' (FORMAT parquet, ROW_GROUP_SIZE 4096)`)
  await connection.run(
    `COPY (SELECT * FROM t LIMIT 5000) TO '${join(folder, 'part-1.parquet')}' (FORMAT parquet)`,
  )
  await connection.run(
    `COPY (SELECT * FROM t OFFSET 5000) TO '${join(folder, 'part-2.parquet')}' (FORMAT parquet)`,
  )
  await connection.run(`COPY (SELECT * EXCLUDE (logits) FROM t) TO '${join(folder, 'data.csv')}'`)
  await connection.run(`COPY t TO '${join(folder, 'data.jsonl')}' (FORMAT json)`)
  connection.closeSync()
  database.closeSync()
})
afterAll(() => rmSync(folder, { recursive: true }))

const regression = { predictions: ['y_hat'], targets: ['y'] }
const run = (request: EvaluationRequest, path = parquet, threads = 1, more = {}) =>
  evaluate(request, findFiles(path), { catalog, threads, ...more })

/** The numbers of an answer, with their places. */
function numbersOf(value: unknown, path = ''): [string, number][] {
  if (typeof value === 'number') return [[path, value]]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, part]) => numbersOf(part, `${path}/${name}`))
}

/** SQL does not look for them. */
function withoutExtremes({ losses, comparisons, ...rest }: Evaluation): Evaluation {
  const strip = <E extends { min: unknown; max: unknown }>(one: E) => ({ ...one, min: null, max: null })
  return {
    ...rest,
    losses: losses.map(({ distribution: _, ...one }) => ({
      ...one,
      overall: strip(one.overall),
      slices: one.slices.map(strip),
    })),
    comparisons: comparisons.map((one) => ({
      ...one,
      overall: strip(one.overall),
      slices: one.slices.map(strip),
    })),
  }
}

function expectClose(a: Evaluation, b: Evaluation, tolerance = 1e-12) {
  const [first, second] = [a, b].map(({ losses, comparisons }) => numbersOf({ losses, comparisons }))
  expect(first!.length).toBeGreaterThan(3)
  expect(second!.map(([path]) => path)).toEqual(first!.map(([path]) => path))
  first!.forEach(([path, x], i) => {
    const y = second![i]![1]
    if (Math.abs(x - y) > tolerance * Math.max(1e-3, Math.abs(x))) throw new Error(`${path}: ${x} and ${y}`)
  })
}

describe('both roads', () => {
  const cases: Record<string, EvaluationRequest> = {
    'huber by a number': {
      losses: [{ loss: 'huber', params: { delta: 0.7 } }],
      columns: regression,
      by: ['key'],
    },
    'three losses by text and date': {
      losses: [{ loss: 'huber' }, { loss: 'l1' }, { loss: 'mse' }],
      columns: regression,
      by: ['region', 'day'],
    },
    'a logistic loss': {
      losses: [{ loss: 'binary_cross_entropy_with_logits' }],
      columns: { predictions: ['logit'], targets: ['clicked'] },
      by: ['key'],
    },
    'a formula': {
      losses: [{ formula: 'log1p(((predictions - targets) / s)^2)', params: { s: 2 } }],
      columns: regression,
    },
    'two models': {
      losses: [{ loss: 'log_cosh' }],
      columns: { targets: ['y'] },
      compare: [['y_hat'], ['y_hat_b']],
      by: ['key'],
    },
  }
  it.each(Object.entries(cases))('agree to 1e-12: %s', async (_, request) => {
    const sql = await run({ ...request, road: 'sql' })
    const kernels = await run({ ...request, road: 'kernels', quantiles: [] })
    expect(sql.computed_by).toMatch(/^DuckDB v\d/)
    expect(kernels.computed_by).toMatch(/^compiled kernels/)
    expectClose(sql, withoutExtremes(kernels))
  })

  it('say so if SQL cannot do it', async () => {
    const request = { losses: [{ loss: 'huber' }], columns: regression, bootstrap: 10, road: 'sql' } as const
    await expect(run(request)).rejects.toThrow(/cannot be computed in SQL alone/)
  })
})

describe('the road', () => {
  const byTime: EvaluationRequest = { losses: [{ loss: 'huber' }], columns: regression, by: ['hour'] }
  /** DuckDB must read it: a timestamp is no key that we read. */
  let hourly: string
  beforeAll(async () => {
    hourly = join(folder, 'hourly.parquet')
    const database = await DuckDBInstance.create(':memory:', { threads: '1' })
    const connection = await database.connect()
    await connection.run(`COPY (SELECT *, TIMESTAMP '2026-01-01' + key * INTERVAL 1 HOUR AS hour FROM '${parquet}')
      TO '${hourly}' (FORMAT parquet, ROW_GROUP_SIZE 4096)`)
    connection.closeSync()
    database.closeSync()
  })

  async function measured(request: EvaluationRequest, path: string, more = {}) {
    const told: { costs: Costs; checkpoint: Checkpoint }[] = []
    const onMeasured = (costs: Costs, checkpoint: Checkpoint) => told.push({ costs, checkpoint })
    const answer = await run(request, path, 1, { fewRows: 0, onMeasured, ...more })
    return { answer, told }
  }

  it.each(['hourly.parquet', 'data.csv'])(
    'is the cheaper one for the first rows of %s, and the answer says so',
    async (file) => {
      const path = join(folder, file)
      const request = file === 'data.csv' ? { ...byTime, by: ['key'] } : byTime
      const { answer, told } = await measured(request, path)
      expect(told).toHaveLength(1)
      const [{ costs, checkpoint }] = told as [(typeof told)[number]]
      expect(Math.min(costs.sql, costs.kernels, costs.rows)).toBeGreaterThan(0)
      const road = costs.sql < 0.8 * costs.kernels ? 'sql' : 'kernels'
      expect(checkpoint).toMatchObject({ road, costs, done: [] })
      expect(answer.computed_by).toMatch(
        road === 'sql'
          ? /^DuckDB v.*, in SQL \(cheaper than compiled kernels for the first rows\)$/
          : /^compiled kernels, float64 \(cheaper than SQL for the first rows\)$/,
      )
      expect(answer.losses).toEqual((await run({ ...request, road }, path)).losses)
    },
  )

  it.each(['sql', 'kernels'] as const)('is kept by whoever goes on with a job: %s', async (road) => {
    const files = join(folder, 'part-*.parquet')
    const request: EvaluationRequest = { ...byTime, by: ['key'] }
    const whole = await run({ ...request, road }, files)
    let kept: Checkpoint | undefined
    await run({ ...request, road }, files, 1, {
      onCheckpoint: (checkpoint: () => Checkpoint) => {
        kept ??= structuredClone(checkpoint())
      },
    })
    expect(kept!.done).toEqual([0])
    const costs = { rows: 65_536, sql: 1, kernels: 2 }
    const again = await measured(request, files, { resume: { ...kept!, costs } })
    expect(again.told).toEqual([])
    expect(again.answer.computed_by).toMatch(/^(DuckDB|compiled).* \(cheaper than .* for the first rows\)$/)
    expect({ ...again.answer, computed_by: '' }).toEqual({ ...whole, computed_by: '' })
  })

  it('is not measured where it is asked for, with few rows, in Parquet that we read, and for what SQL cannot compute', async () => {
    for (const [request, path, more] of [
      [{ ...byTime, road: 'sql' }, hourly, {}],
      [byTime, hourly, { fewRows: undefined }],
      [{ ...byTime, by: ['key'] }, hourly, {}],
      [{ ...byTime, worst: 3 }, hourly, {}],
    ] as const) {
      const { answer, told } = await measured(request, path, more)
      expect(told).toEqual([])
      expect(answer.computed_by).not.toMatch(/cheaper/)
    }
  })

  it('is that of kernels, which say what is wrong, if one of the first rows is bad', async () => {
    const path = join(folder, 'gaps.csv')
    writeFileSync(path, `y_hat,y\n${'1,2\n'.repeat(5000)},3\n`)
    const request = { losses: [{ loss: 'huber' }], columns: regression }
    await expect(measured(request, path)).rejects.toThrow(/gaps.csv, row 5000: null in y_hat/)
    const { answer, told } = await measured({ ...request, onBad: 'skip' }, path)
    expect([told, answer.used]).toEqual([[], 5000])
  })
})

const everything: EvaluationRequest = {
  losses: [{ loss: 'huber' }, { loss: 'HuberLoss', params: { delta: 2 } }, { loss: 'l1' }],
  columns: regression,
  by: ['region'],
  weight: 'w',
  bootstrap: 100,
  quantiles: [0.5, 0.9],
  worst: 5,
  seed: 3,
}

describe('an evaluation', () => {
  it('does not depend on the number of threads, bit for bit', async () => {
    const files = join(folder, 'part-*.parquet')
    const alone = await run(everything, files)
    expect(await run(everything, files, 2, { aloneRows: 0 })).toEqual(alone)
    const inSql = { losses: everything.losses, columns: regression, by: ['key'], road: 'sql' } as const
    expect(await run(inSql, files, 2, { aloneRows: 0 })).toEqual(await run(inSql, files))
  })

  it('goes on from a checkpoint to the same answer, bit for bit', async () => {
    const files = join(folder, 'part-*.parquet')
    const whole = await run(everything, files)
    let kept: Checkpoint | undefined
    await run(everything, files, 1, {
      onCheckpoint: (checkpoint: () => Checkpoint) => {
        kept ??= structuredClone(checkpoint())
      },
    })
    expect(kept!.done).toEqual([0])
    expect(await run(everything, files, 1, { resume: kept })).toEqual(whole)
  })

  it('has quantiles by default, but of more than 10 million rows only if they are asked for', async () => {
    const [file] = findFiles(parquet)
    const columns = ['y', 'y_hat'].map((name) => ({ name, kind: 'number', type: 'DOUBLE' }) as const)
    const quantilesOf = async (rows: number | undefined, asked?: readonly number[]) => {
      const layout = { file: file!, columns, rows, widthOf: async () => 1 }
      const request = { losses: [{ loss: 'huber' }], columns: regression, quantiles: asked }
      const { quantiles, state } = await planOf(request, catalog, layout)
      expect(state.series[0]!.hasSketch).toBe(quantiles.length > 0)
      return quantiles
    }
    expect(await quantilesOf(undefined)).toEqual([0.5, 0.9, 0.99])
    expect(await quantilesOf(10_000_000)).toEqual([0.5, 0.9, 0.99])
    expect(await quantilesOf(10_000_001)).toEqual([])
    expect(await quantilesOf(10_000_001, [0.25])).toEqual([0.25])
  })

  it('has no quantile below the smallest loss, and none above the largest', async () => {
    const path = join(folder, 'alike.csv')
    writeFileSync(path, `y_hat,y\n${'1,2\n'.repeat(100)}`)
    const { losses } = await run({ losses: [{ loss: 'l1' }], columns: regression }, path)
    expect(losses[0]!.overall).toMatchObject({ min: 1, max: 1, quantiles: { 0.5: 1, 0.9: 1, 0.99: 1 } })
  })

  it('reads CSV and JSON lines to the same numbers', async () => {
    const request = { losses: [{ loss: 'huber' }], columns: regression, by: ['key'] }
    const expected = await run(request)
    expectClose(await run(request, join(folder, 'data.csv')), expected)
    expectClose(await run(request, join(folder, 'data.jsonl')), expected)
  })

  it('weighs rows, and divides by the sum of the weights', async () => {
    const { losses } = await run({ losses: [{ loss: 'l1' }], columns: regression, weight: 'w' })
    const database = await DuckDBInstance.create()
    const connection = await database.connect()
    const reader = await connection.runAndReadAll(
      `SELECT sum(w * abs(y_hat - y)) / sum(w), sum(w) FROM '${parquet}'`,
    )
    const [[mean, weight]] = reader.getRows() as [[number, number]]
    expect(losses[0]!.overall.mean).toBeCloseTo(mean, 12)
    expect(losses[0]!.overall.weight! / weight).toBeCloseTo(1, 12)
  })

  it('decides nothing between two models from one row that counts', async () => {
    const path = join(folder, 'weights.csv')
    writeFileSync(
      path,
      'y,a,b,w,g\n1,1.5,1.2,1,x\n2,2.9,2.1,0,x\n3,3.7,3.9,0,x\n1,1.3,1.2,1,y\n2,2.4,2.6,1,y\n',
    )
    const request = {
      losses: [{ loss: 'l1' }],
      columns: { targets: ['y'] },
      compare: [['a'], ['b']],
      weight: 'w',
      by: ['g'],
    }
    for (const bootstrap of [0, 200]) {
      const { comparisons } = await run({ ...request, bootstrap }, path)
      expect(comparisons[0]!.slices[0]).toMatchObject({ rows: 3, interval: null, verdict: 'undecided' })
    }
  })

  it('leaves ignored labels out of intervals, quantiles and the worst rows', async () => {
    const path = join(folder, 'ignored.csv')
    const lines = ['0,1,1', ...Array.from({ length: 9 }, () => '0.5,0.5,-100'), '1,0,1', '3,0,1']
    writeFileSync(path, `p,q,y\n${lines.join('\n')}\n`)
    const own = join(folder, 'not-ignored.csv')
    writeFileSync(own, `p,q,y\n${lines.filter((line) => !line.endsWith('-100')).join('\n')}\n`)
    const request = {
      losses: [{ loss: 'cross_entropy', params: { ignore_index: -100 } }],
      columns: { predictions: ['p', 'q'], targets: ['y'] },
      worst: 5,
    }
    const [all, some] = await Promise.all(
      [path, own].map(async (file) => (await run(request, file)).losses[0]!),
    )
    expect(all!.overall).toEqual({ ...some!.overall, rows: 12 })
    expect(all!.distribution).toEqual(some!.distribution)
    expect(all!.worst!.map(({ row }) => row)).toEqual([11, 10, 0])
  })

  it('takes lists or columns side by side as classes', async () => {
    const lists = {
      losses: [{ loss: 'cross_entropy' }],
      columns: { predictions: ['logits'], targets: ['label'] },
    }
    const { losses } = await run(lists)
    const database = await DuckDBInstance.create()
    const connection = await database.connect()
    const wide = join(folder, 'wide.parquet')
    await connection.run(
      `COPY (SELECT logits[1] AS a, logits[2] AS b, logits[3] AS c, label FROM '${parquet}') TO '${wide}' (FORMAT parquet)`,
    )
    const reader = await connection.runAndReadAll(
      `SELECT avg(ln(exp(a) + exp(b) + exp(c)) - [a, b, c][label + 1]) FROM '${wide}'`,
    )
    expect(losses[0]!.overall.mean).toBeCloseTo(Number(reader.getRows()[0]![0]), 12)
    const columns = { predictions: ['a', 'b', 'c'], targets: ['label'] }
    const side = await run({ ...lists, columns }, wide)
    expect(side.losses).toEqual(losses)
  })

  it('shows the rows with the largest losses, with their columns', async () => {
    const { losses } = await run({ losses: [{ loss: 'l1' }], columns: regression, worst: 3 })
    const { worst = [] } = losses[0]!
    expect(worst).toHaveLength(3)
    for (const { loss, values } of worst)
      expect(Math.abs(Number(values!.y_hat) - Number(values!.y))).toBeCloseTo(loss!, 9)
    expect(worst[0]!.loss).toBe(losses[0]!.overall.max)
  })

  it('draws a distribution whose first bin begins at 0, and says where that ends', async () => {
    const rounded = fileURLToPath(new URL('../../examples/data/predictions.parquet', import.meta.url))
    const evaluation = await run({ losses: [{ loss: 'mse' }], columns: regression }, rounded)
    const [first] = evaluation.losses[0]!.distribution!
    expect(first!.low).toBe(0)
    expect(first!.high).toBeGreaterThan(0)
    expect(reportPage(evaluation)).toContain(`&lt; ${Number(first!.high.toPrecision(5))}: ${first!.count}<`)
  })

  it('draws the finite losses where others are infinite or as large as numbers can be, and counts those', async () => {
    const path = join(folder, 'infinite.csv')
    const many = Array.from({ length: 200 }, (_, i) => `0,${i}`)
    for (const [lines, finite] of [
      [['0,1e308', '0,1', '0,2', '0,3'], 3],
      [['0,1.34e154', '0,1', '0,1e308'], 2],
      [['0,1e308', ...many], 200],
    ] as const) {
      writeFileSync(path, `y,y_hat\n${lines.join('\n')}\n`)
      const evaluation = await run({ losses: [{ loss: 'mse' }], columns: regression }, path)
      const bins = evaluation.losses[0]!.distribution!
      expect(bins.at(-1)).toEqual({ low: Number.POSITIVE_INFINITY, high: Number.POSITIVE_INFINITY, count: 1 })
      expect(bins.slice(0, -1).reduce((sum, { count }) => sum + count, 0)).toBe(finite)
      for (const told of [evaluation, JSON.parse(JSON.stringify(evaluation))]) {
        const page = reportPage(told)
        expect(page).not.toMatch(/NaN|"-?Infinity/)
        expect(page).toContain('<rect')
        expect(page).toContain('1 loss is infinite, and not in the picture')
      }
    }
  })

  it('compares two models row by row: the interval of the difference is narrower than those of the means', async () => {
    const { comparisons, losses } = await run({
      losses: [{ loss: 'mse' }],
      columns: { targets: ['y'] },
      compare: [['y_hat'], ['y_hat_b']],
      by: ['key'],
      bootstrap: 200,
    })
    const [{ overall, counts, slices }] = comparisons as [(typeof comparisons)[number]]
    const [a, b] = losses.map((loss) => loss.overall.mean!)
    expect(overall.mean).toBeCloseTo(b! - a!, 12)
    expect(overall.verdict).toBe('better')
    expect(counts.better + counts.worse + counts.undecided).toBe(slices.length)
  })

  it('resamples clusters together', async () => {
    const request = { losses: [{ loss: 'mse' }], columns: regression, bootstrap: 200 }
    const { uncertainty } = await run({ ...request, cluster: 'person' })
    expect(uncertainty).toMatchObject({
      method: 'bootstrap',
      resampled: 'buckets',
      cluster: 'person',
      buckets: 4096,
    })
  })

  it('resamples clusters 1,000 times by default, and refuses to do it 0 times', async () => {
    const request = { losses: [{ loss: 'mse' }], columns: regression, cluster: 'person' }
    expect((await run(request)).uncertainty).toMatchObject({ replicates: 1000, cluster: 'person' })
    await expect(run({ ...request, bootstrap: 0 })).rejects.toThrow(
      '/bootstrap: must be at least 1 with a cluster',
    )
  })

  it('resamples rows one by one if they are few, and says so', async () => {
    const request = {
      losses: [{ loss: 'mse' }],
      columns: regression,
      bootstrap: 200,
      by: ['key'],
      weight: 'w',
    }
    const { uncertainty, losses } = await run(request)
    expect(uncertainty).toEqual({
      method: 'bootstrap',
      confidence: 0.95,
      replicates: 200,
      resampled: 'rows',
      seed: 0,
    })
    const errors = (await run({ ...request, bootstrap: 0 })).losses[0]!.slices
    for (const [i, { standard_error }] of losses[0]!.slices.entries())
      expect(Math.abs(standard_error! / errors[i]!.standard_error! - 1)).toBeLessThan(0.25)
  })
})

describe('an input that cannot be evaluated', () => {
  const bad = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const request: EvaluationRequest = { losses: [{ loss: 'l1' }], columns: regression }

  it.each<[string, EvaluationRequest, () => string, RegExp]>([
    [
      'a missing column',
      { ...request, columns: { ...regression, targets: ['yy'] } },
      () => parquet,
      /has no column "yy"; it has y, .*, label/,
    ],
    [
      'a column like SQL',
      { ...request, by: ['"; drop table t; --'] },
      () => parquet,
      /has no column ""; drop table t; --"/,
    ],
    [
      'a wrong type',
      { ...request, columns: { ...regression, targets: ['region'] } },
      () => parquet,
      /column "region" .* has the type VARCHAR, with texts such as "(north|east|south)"; losses need numbers/,
    ],
    ['an unknown loss', { ...request, losses: [{ loss: 'hubber' }] }, () => parquet, /Did you mean "huber"/],
    [
      'a wrong parameter',
      { ...request, losses: [{ loss: 'huber', params: { delta: -1 } }] },
      () => parquet,
      /\/params\/delta: must be a number > 0, got -1/,
    ],
    [
      'a label out of range',
      { losses: [{ loss: 'cross_entropy' }], columns: { predictions: ['logits'], targets: ['key'] } },
      () => parquet,
      /data.parquet, row 3: must be an integer from 0 to 2 .*got 3/,
    ],
    [
      'a loss of whole batches',
      { losses: [{ loss: 'nt_xent' }], columns: { predictions: ['logits'] } },
      () => parquet,
      /./,
    ],
    ['a null', request, () => bad('null.csv', 'y_hat,y\n1,2\n,3\n'), /null.csv, row 1: null in y_hat/],
    ['a NaN', request, () => bad('nan.csv', 'y_hat,y\n1,2\nnan,3\n'), /nan.csv, row 1: NaN in y_hat/],
    [
      'a CSV with a wrong row',
      request,
      () => bad('wrong.csv', `y_hat,y\n${'1,2\n'.repeat(30_000)}1,2,3\n`),
      /wrong.csv: .*(Expected|columns)/,
    ],
    ['an empty file', request, () => bad('empty.parquet', ''), /empty.parquet: /],
    ['a file that is no Parquet', request, () => bad('text.parquet', 'hello'.repeat(100)), /text.parquet: /],
    ['a file that is not there', request, () => join(folder, 'nowhere.parquet'), /there is no such file/],
    [
      'a file of another kind',
      request,
      () => bad('data.xlsx', ''),
      /this kind of file cannot be read; known are .*\.parquet/,
    ],
  ])('says what is wrong in one line: %s', async (_, asked, path, message) => {
    const error = await Promise.resolve()
      .then(() => run(asked, path()))
      .then(
        () => undefined,
        (thrown: unknown) => thrown as Error,
      )
    expect(error?.message).toMatch(message)
    expect(error?.message).not.toContain('\n')
    expect(['Problem', 'EvaluationFailed']).toContain(error?.name)
  })

  it('is counted and left out if that is asked for', async () => {
    const path = bad('some.csv', 'y_hat,y,k\n1,2,a\n,3,a\nnan,3,b\n5,3,b\n')
    const { bad: left, used, losses } = await run({ ...request, by: ['k'], onBad: 'skip' }, path)
    expect(left.map(({ reason, count, first }) => [reason, count, first[0]!.row])).toEqual([
      ['NaN in y_hat', 1, 2],
      ['null in y_hat', 1, 1],
    ])
    expect([used, losses[0]!.overall.mean]).toEqual([2, 1.5])
  })

  it('leaves out labels out of range', async () => {
    const columns = { predictions: ['logits'], targets: ['key'] }
    const { bad: left, used } = await run({ losses: [{ loss: 'cross_entropy' }], columns, onBad: 'skip' })
    expect(left.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^must be an integer from 0 to 2 .* in key$/),
    ])
    expect(left[0]!.count + used).toBe(ROWS)
  })

  it('may have columns with any names', async () => {
    const name = '"; drop table t; --'
    const quoted = `"${name.replaceAll('"', '""')}"`
    const path = bad('names.csv', `${quoted},"a b"\n1,2\n3,5\n`)
    const { losses } = await run(
      { losses: [{ loss: 'l1' }], columns: { predictions: [name], targets: ['a b'] } },
      path,
    )
    expect(losses[0]!.overall.mean).toBe(1.5)
  })
})
