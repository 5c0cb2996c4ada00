/**
 * No result is NaN because an intermediate result overflows or underflows: the examples of each loss, with one number
 * replaced by an extreme float32. A result beyond float32 is an infinity of the right sign.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { Problem } from '../../src/errors.ts'
import type { Example, Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { evaluate, nested } from '../support/evaluate.ts'

const { losses } = await loadCatalog()
let engine: Engine
beforeAll(async () => {
  engine = (await compiled.open('test')) as Engine
})
afterAll(() => engine.close())

const EVERYWHERE = [1e15, -1e15, 1e-45, -1e-45]
const ENDS = [...EVERYWHERE, 1e20, -1e20, 3e38, -3e38]

/** Losses in which differences of distances, or logits, overflow, as their docs state. */
const OVERFLOWING: ReadonlySet<string> = new Set([
  'triplet_batch',
  'triplet_margin',
  'adaptive_log_softmax',
  'linear_cross_entropy',
])

type Tensors = Map<string, DecodedTensor>

function tensorsOf({ inputs }: Example): Tensors {
  return new Map(Object.entries(inputs).map(([name, value]) => [name, nested(value, 'float32')]))
}

/** The tensors with one number replaced, for every number of every input and every replacement. */
function* replacements(example: Example, values: readonly number[]) {
  for (const [name, { data }] of tensorsOf(example)) {
    for (let place = 0; place < data.length; place++) {
      for (const value of values) {
        const tensors = tensorsOf(example)
        tensors.get(name)!.data[place] = value
        yield { tensors, what: `${name}[${place}] = ${value}` }
      }
    }
  }
}

/** Results that contain a NaN; undefined if such inputs are rejected. */
async function nansOf(loss: Loss, example: Example, tensors: Tensors): Promise<string[] | undefined> {
  try {
    const answer = await evaluate(engine, loss, tensors, { reduction: 'none', params: example.params ?? {} })
    const results = new Map([['loss', answer.loss], ...answer.gradients])
    return [...results]
      .filter(([, { data }]) => Array.from(data as Float32Array).some(Number.isNaN))
      .map(([name]) => name)
  } catch (error) {
    if (error instanceof Problem) return undefined
    throw error
  }
}

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (name, loss) => {
  it('returns no NaN at the limits of float32', async () => {
    const values = OVERFLOWING.has(name) ? EVERYWHERE : ENDS
    let answered = 0
    const wrong: string[] = []
    for (const example of loss.examples) {
      for (const { tensors, what } of replacements(example, values)) {
        const nans = await nansOf(loss, example, tensors)
        if (nans === undefined) continue
        answered++
        if (nans.length > 0)
          wrong.push(`${what} with ${JSON.stringify(example.params ?? {})}: NaN in ${nans}`)
      }
    }
    expect(answered).toBeGreaterThan(0)
    expect(wrong).toEqual([])
  })
})
