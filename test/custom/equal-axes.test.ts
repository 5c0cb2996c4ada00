/** Axes whose sizes are declared equal: square matrices, pairs of rows, confusion matrices of classes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../src/batching/assemble.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { customLoss, type Definition } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { availableEngines } from '../support/engines.ts'
import { check, evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { randomFrom } from '../support/sample.ts'

const interpreter = await openInterpreter()

const lossOf = (axes: Readonly<Record<string, string>>, formula: Definition['formula']): Loss =>
  customLoss({
    inputs: Object.fromEntries(
      Object.entries(axes).map(([name, names]) => [name, { axes: names, differentiable: true }]),
    ),
    formula,
  })

/** Both directions of a contrastive loss, from the logits of all pairs. */
const PAIRS = lossOf({ logits: 'rows,texts=rows' }, [
  'own = pick(logits, index(rows), texts)',
  'to_texts = logsumexp(logits, texts) - own',
  'to_images = logsumexp(logits, rows)[texts -> rows] - own',
  '(to_texts + to_images) / 2',
])
/** a[i, k] b[k, j] of 3 x 3 matrices, and the distance of their product from the identity. */
const MATRICES = lossOf({ a: 'rows,i=3,j=3', b: 'rows,i,j' }, [
  'product = sum(a[j -> k] * b[i -> k], k)',
  'unit = index(i) == index(j) ? 1 : 0',
  'sum((product - unit)^2, i, j)',
])
/** The asymmetry of matrices of any size. */
const SKEW = lossOf({ x: 'rows,classes,predicted=classes' }, [
  'turned = x[classes -> k][predicted -> classes][k -> predicted]',
  'sum((x - turned)^2, classes, predicted)',
])

function drawn(seed: number, ...shape: number[]) {
  const random = randomFrom(seed)
  const fill = (sizes: readonly number[]): unknown =>
    sizes.length === 0
      ? Math.fround(2 * random() - 1)
      : Array.from({ length: sizes[0]! }, () => fill(sizes.slice(1)))
  return nested(fill(shape), 'float32')
}

describe('with exact numbers', () => {
  const lossesOf = async (loss: Loss, tensors: Readonly<Record<string, unknown>>) => {
    const given = new Map(Object.entries(tensors).map(([name, value]) => [name, nested(value)]))
    return evaluate(interpreter, loss, given, { reduction: 'none' })
  }

  it('logits of all pairs have a contrastive loss for each row', async () => {
    const { loss, gradients } = await lossesOf(PAIRS, {
      logits: [
        [2, 0],
        [1, -1],
      ],
    })
    const nll = (own: number, other: number) => Math.log1p(Math.exp(other - own))
    expectClose(loss.data, [(nll(2, 0) + nll(2, 1)) / 2, (nll(-1, 1) + nll(-1, 0)) / 2], { relative: 1e-12 })
    expect(gradients.get('logits')!.shape).toEqual([2, 2])
  })

  it('matrices are multiplied and transposed', async () => {
    const a = [
      [1, 2, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]
    const b = [
      [1, -2, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]
    expect((await lossesOf(MATRICES, { a: [a, a], b: [b, a] })).loss.data).toEqual(Float64Array.of(0, 16))
    const x = [[...a.slice(0, 2).map((row) => row.slice(0, 2))]]
    expect((await lossesOf(SKEW, { x })).loss.data).toEqual(Float64Array.of(8))
  })
})

describe('in a batch', () => {
  it('an input with a second axis of the size of rows is never concatenated, even if its rows are independent', () => {
    const each = lossOf({ x: 'rows,others=rows' }, 'x^2')
    const vectors = lossOf({ x: 'rows', y: 'others=rows' }, 'x * 2 + 0 * sum(y, others)')
    expect([each.couples, vectors.couples, PAIRS.couples]).toEqual(['batch', 'batch', 'batch'])
    expect(check(each, new Map([['x', drawn(1, 3, 3)]])).job.mergeKey).toBeUndefined()
    const two = new Map([
      ['x', drawn(1, 3)],
      ['y', drawn(2, 3)],
    ])
    expect(check(vectors, two, { gradients: ['x'] }).job.mergeKey).toBeUndefined()
  })

  it('nothing is concatenated along an axis whose size is declared', () => {
    const fixed = lossOf({ x: 'rows=3,classes' }, 'x^2')
    const second = lossOf({ x: 'others=rows', y: 'rows' }, 'x^2 + 0 * sum(y, rows)')
    expect([fixed.couples, second.couples]).toEqual(['batch', 'batch'])
    expect(check(fixed, new Map([['x', drawn(1, 3, 2)]])).job.mergeKey).toBeUndefined()
  })

  it('rows of square matrices are concatenated, and get the same result as alone', async () => {
    expect([MATRICES.couples, SKEW.couples]).toEqual(['row', 'row'])
    const jobs = [2, 3].map((rows) => check(SKEW, new Map([['x', drawn(rows, rows, 4, 4)]])).job)
    expect(jobs[0]!.mergeKey).toBe(jobs[1]!.mergeKey)
    const together = split(jobs, await interpreter.run(assemble([jobs[0]!, jobs[1]!])))
    for (const [place, job] of jobs.entries()) {
      const alone = await interpreter.run(assemble([job]))
      expect(bitsOf(together[place]!.values)).toBe(bitsOf(alone.values))
      expect(bitsOf(together[place]!.gradients.x!)).toBe(bitsOf(alone.gradients.x!))
    }
  })
})

type Tensors = Parameters<typeof evaluate>[2]

const defined = new Map<Tensors, ReturnType<typeof evaluate>>()

/** The exact result is the same for every engine. */
function definitionOf(loss: Loss, tensors: Tensors) {
  const found = defined.get(tensors) ?? evaluate(interpreter, loss, tensors, { reduction: 'sum' })
  defined.set(tensors, found)
  return found
}

describe.each(await availableEngines())('on $name', ({ open }) => {
  let engine: Engine
  beforeAll(async () => {
    engine = await open()
  })
  afterAll(() => engine.close())

  it.each([
    ['pairs', PAIRS, new Map([['logits', drawn(1, 5, 5)]])],
    [
      'matrices',
      MATRICES,
      new Map([
        ['a', drawn(2, 4, 3, 3)],
        ['b', drawn(3, 4, 3, 3)],
      ]),
    ],
    ['matrices of any size', SKEW, new Map([['x', drawn(4, 3, 5, 5)]])],
    ['many pairs', PAIRS, new Map([['logits', drawn(5, 403, 403)]])],
    [
      'many pairs, each by itself',
      lossOf({ x: 'rows,others=rows' }, 'softplus(x) * index(others)'),
      new Map([['x', drawn(6, 403, 403)]]),
    ],
  ])('%s have value and gradient as defined', async (_, loss, tensors) => {
    const [got, want] = await Promise.all([
      evaluate(engine, loss, tensors, { reduction: 'sum' }),
      definitionOf(loss, tensors),
    ])
    expectClose(got!.loss.data, want!.loss.data, { relative: 1e-5 })
    for (const [name, { data }] of want!.gradients)
      expectClose(got!.gradients.get(name)!.data, data, { relative: 1e-5, absolute: 1e-6, what: name })
  })
})
