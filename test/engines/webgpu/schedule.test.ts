/** Scheduling of programs into dispatches, and that every way of summation gives the reference result. */
import { afterAll, describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import type { Batch } from '../../../src/engines/contract.ts'
import { legalizeForShaders, moduleOf } from '../../../src/engines/webgpu/module.ts'
import { isHostOp } from '../../../src/language/host-ops.ts'
import { elementsOf, type InputLayout, sizesWithRenamedAxes } from '../../../src/language/ir.ts'
import { lower, type Scope } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { bitsOf, expectClose } from '../../support/close.ts'
import { definition } from '../../support/definition.ts'
import { check } from '../../support/evaluate.ts'
import { type Reading, readingsOf, sampleTensors } from '../../support/sample.ts'
import { openHere } from './support.ts'

const { losses } = await loadCatalog()
const engine = await openHere()
afterAll(() => engine?.close())

/** Stages in short: axes of the points / lanes, or the product. */
function stagesOf(batch: Batch): string[] {
  const { stages } = moduleOf(
    legalizeForShaders(batch.program),
    sizesWithRenamedAxes(batch.program, batch.sizes),
  )
  return stages.map((stage) =>
    stage.kind === 'rows'
      ? `${stage.axes.join()}/${stage.lanes}${stage.parts === undefined ? '' : ` parts of ${stage.parts}`}`
      : `${stage.rows.join()} x ${stage.columns.join()} over ${stage.axis}`,
  )
}

function batchOf(name: string, reading?: Reading): Batch {
  const loss = losses.find((one) => one.name === name)!
  return assemble([check(loss, sampleTensors(loss, { seed: 1, rows: 5, bare: true, ...reading })).job])
}

describe('a program is divided', () => {
  it('into one dispatch, value and gradient together, if rows are independent', () => {
    for (const name of [
      'huber',
      'sigmoid_focal',
      'softmax_focal',
      'poly1_cross_entropy',
      'kl_div',
      'triplet_margin',
    ])
      expect(stagesOf(batchOf(name)), name).toHaveLength(1)
    // With class indices it also counts the rows that have pixels.
    expect(stagesOf(batchOf('dice', { perClass: true }))).toHaveLength(1)
  })

  it('at matrix products if the rows are coupled', () => {
    expect(stagesOf(batchOf('nt_xent')).filter((stage) => stage.includes(' x '))).toEqual([
      'rows x others over dim',
      'rows x dim over others',
      'others x dim over rows',
    ])
  })

  const read = losses.flatMap((loss) => readingsOf(loss).map((reading) => [loss.name, reading] as const))
  it.each(read)(
    '%s with %j stores everything that it computes, unless it has whole-axis ops',
    (name, reading) => {
      const batch = batchOf(name, reading)
      if (batch.program.nodes.some(({ op }) => isHostOp(op))) return
      const stages = stagesOf(batch)
      expect(stages.length).toBeGreaterThan(0)
    },
  )
})

interface Case {
  readonly text: string
  readonly inputs: Readonly<Record<string, readonly string[]>>
  readonly sizes: Readonly<Record<string, number>>
  /** What the schedule must contain, so that each case tests what it claims to. */
  readonly has: string
}

const CASES: Readonly<Record<string, Case>> = {
  'a short axis, a row a thread': {
    text: 'logsumexp(x, b)',
    inputs: { x: ['a', 'b'] },
    sizes: { a: 33, b: 10 },
    has: 'a/1',
  },
  'an axis by a whole workgroup': {
    text: 'logsumexp(x, b)',
    inputs: { x: ['a', 'b'] },
    sizes: { a: 3, b: 3001 },
    has: 'a/256',
  },
  'a long axis in parts': {
    text: 'sum(x * x, b) + max(x, b)',
    inputs: { x: ['a', 'b'] },
    sizes: { a: 2, b: 40_001 },
    has: 'parts of b',
  },
  'an axis across memory, each thread by itself': {
    text: 'logsumexp(x, b)',
    inputs: { x: ['b', 'a'] },
    sizes: { a: 70, b: 90 },
    has: 'a/1',
  },
  'a long axis across memory in parts': {
    text: 'sum(x * x, b) + max(x, b)',
    inputs: { x: ['b', 'a'] },
    sizes: { a: 5, b: 5003 },
    has: 'a/1 parts of b',
  },
  'a sum of sums': {
    text: 'sum(sum(x, c) * sum(y, c), b)',
    inputs: { x: ['a', 'b', 'c'], y: ['a', 'c'] },
    sizes: { a: 7, b: 9, c: 40 },
    has: 'a,b/64',
  },
  'everything to one number': {
    text: 'sum(sum(x, b), a)',
    inputs: { x: ['a', 'b'] },
    sizes: { a: 40_000, b: 2 },
    has: '/64',
  },
  'a product of matrices': {
    text: 'sum(x * y, k)',
    inputs: { x: ['a', 'k'], y: ['b', 'k'] },
    sizes: { a: 70, b: 37, k: 45 },
    has: 'a x b over k',
  },
  'a product of matrices that lie across': {
    text: 'sum(x * y, k)',
    inputs: { x: ['k', 'a'], y: ['k', 'b'] },
    sizes: { a: 33, b: 65, k: 17 },
    has: 'a x b over k',
  },
  'products of matrices, many at once': {
    text: 'sum(x * y, k)',
    inputs: { x: ['g', 'a', 'k'], y: ['g', 'b', 'k'] },
    sizes: { g: 11, a: 5, b: 40, k: 3 },
    has: 'a x b over k',
  },
  'a product with itself under another name': {
    text: 'logsumexp(sum(x * x[a -> o], k), o)',
    inputs: { x: ['a', 'k'] },
    sizes: { a: 50, k: 20 },
    has: 'a x o over k',
  },
  'a product of computed factors': {
    text: 'sum(exp(x) * softplus(y), k)',
    inputs: { x: ['a', 'k'], y: ['b', 'k'] },
    sizes: { a: 20, b: 20, k: 20 },
    has: 'a x b over k',
  },
  pairs: {
    text: 'sum(log1p(abs(x - x[a -> o])) * size(a), o)',
    inputs: { x: ['a'] },
    sizes: { a: 100 },
    has: 'a/64',
  },
  'an axis of one': {
    text: 'logsumexp(x, b)',
    inputs: { x: ['a', 'b'] },
    sizes: { a: 40, b: 1 },
    has: 'a/1',
  },
}

function caseOf({ text, inputs, sizes }: Case): Batch {
  const axes = Object.keys(sizes)
  const layouts = Object.entries(inputs).map(([name, own]): [string, InputLayout] => [
    name,
    { type: 'real', axes: own },
  ])
  const scope: Scope = { inputs: Object.fromEntries(layouts), absent: [], params: {}, axes }
  const program = lower(parse(text), scope, Object.keys(inputs))
  const arrays = Object.entries(inputs).map(([name, own], place) => {
    const data = Float32Array.from(
      { length: elementsOf(own, sizes) },
      (_, i) => ((i * 7919 + place * 31) % 1009) / 1009,
    )
    return [name, [data]] as const
  })
  const shared = {
    programKey: `${text} ${JSON.stringify(inputs)}`,
    program,
    precision: 'float32',
    scalars: {},
  } as const
  return { ...shared, sizes, inputs: Object.fromEntries(arrays), cotangent: [Float32Array.of(0.5)] }
}

describe.skipIf(engine === undefined)('summation', () => {
  it.each(Object.entries(CASES))('%s', async (_, tested) => {
    const batch = caseOf(tested)
    expect(stagesOf(batch).join(' | ')).toContain(tested.has)
    const got = await engine!.run(batch)
    const want = definition(batch)
    expectClose(got.values, want.values, { relative: 5e-6 })
    for (const [name, gradient] of Object.entries(want.gradients))
      expectClose(got.gradients[name]!, gradient, { relative: 5e-6, what: name })
  })

  it('of a single row does not determine the schedule for more rows', async () => {
    const pairs = { text: 'x - x[a -> o]', inputs: { x: ['a'] }, has: '' }
    for (const a of [1, 5]) {
      const batch = caseOf({ ...pairs, sizes: { a } })
      const [x] = batch.inputs.x!
      const want = Array.from({ length: a * a }, (_, i) => Math.fround(x![Math.floor(i / a)]! - x![i % a]!))
      expect(Array.from((await engine!.run(batch)).values)).toEqual(want)
    }
  })

  it('gives a row the same bits alone and among thousands', async () => {
    for (const name of [
      'a short axis, a row a thread',
      'an axis by a whole workgroup',
      'an axis across memory, each thread by itself',
    ]) {
      const tested = CASES[name]!
      const row = caseOf({ ...tested, inputs: { x: ['a', 'b'] }, sizes: { ...tested.sizes, a: 1 } })
      const [data] = row.inputs.x!
      const many = {
        ...row,
        sizes: { ...row.sizes, a: 300 },
        inputs: { x: Array.from({ length: 300 }, () => data!) },
      }
      const [alone, among] = [await engine!.run(row), await engine!.run(many)]
      const length = data!.length
      expect(bitsOf(among.values.subarray(299))).toBe(bitsOf(alone.values))
      expect(bitsOf(among.gradients.x!.subarray(299 * length))).toBe(bitsOf(alone.gradients.x!))
    }
  })
})
