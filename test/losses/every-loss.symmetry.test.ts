/**
 * Promises of every loss in addition to its numbers: order, padding, masks, limits of parameters, and what is rejected.
 */
import type { TSchema } from '@sinclair/typebox'
import { beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { Problem } from '../../src/errors.ts'
import type { Kind, Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { expectClose } from '../support/close.ts'
import { check, evaluate, openInterpreter } from '../support/evaluate.ts'
import { sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
let engine: Engine
let kernels: Engine
beforeAll(async () => {
  engine = await openInterpreter()
  kernels = (await compiled.open('test')) as Engine
})

type Tensors = ReadonlyMap<string, DecodedTensor>

const ROWS = 5
const firstAxisOf = (loss: Loss) => Object.values(loss.inputs)[0]!.axes[0]
const hasRows = (loss: Loss, name: string) => loss.inputs[name]?.axes[0] === firstAxisOf(loss)

/** Permutes the rows of every array that has rows. */
const reordered = (data: ArrayLike<number>, order: readonly number[]) => {
  const width = data.length / order.length
  return order.flatMap((row) => Array.from({ length: width }, (_, i) => data[row * width + i]!))
}

const withData = (tensor: DecodedTensor, data: readonly number[], shape = tensor.shape): DecodedTensor => {
  const Numbers = tensor.data.constructor as Float64ArrayConstructor
  return { ...tensor, shape, data: Numbers.from(data) }
}

/** Extends the last axis with numbers that must not matter. */
const padded = (tensor: DecodedTensor, by: number, filler: number): DecodedTensor => {
  const width = tensor.shape.at(-1)!
  const rows = Array.from({ length: tensor.data.length / width }, (_, row) => [
    ...tensor.data.slice(row * width, (row + 1) * width),
    ...Array<number>(by).fill(filler),
  ])
  return withData(tensor, rows.flat(), [...tensor.shape.slice(0, -1), width + by])
}

const unpadded = (data: ArrayLike<number>, width: number, by: number) =>
  Array.from(data).filter((_, i) => i % (width + by) < width)

/** A value just outside each bound of a number's schema. */
function outside(schema: TSchema): number[] {
  const parts: readonly TSchema[] = schema.anyOf ?? [schema]
  return parts.flatMap(({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }) => [
    ...(minimum === undefined ? [] : [minimum - 1]),
    ...(exclusiveMinimum === undefined ? [] : [exclusiveMinimum]),
    ...(maximum === undefined ? [] : [maximum + 1]),
    ...(exclusiveMaximum === undefined ? [] : [exclusiveMaximum]),
  ])
}

const problemOf = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  it('permutes the results if rows are permuted', async () => {
    const order = [3, 0, 4, 2, 1]
    const tensors = sampleTensors(loss, { seed: 21, rows: ROWS, precision: 'float64' })
    const turned: Tensors = new Map(
      [...tensors].map(([name, tensor]) => [
        name,
        hasRows(loss, name) && !loss.inputs[name]!.trailing
          ? withData(tensor, reordered(tensor.data, order))
          : tensor,
      ]),
    )
    const [straight, other] = [
      await evaluate(engine, loss, tensors, { reduction: 'none' }),
      await evaluate(engine, loss, turned, { reduction: 'none' }),
    ]
    // If rows interact or are summed, the order of summation differs.
    const exactly = {
      relative: loss.couples === 'batch' ? 1e-9 : 0,
      absolute: loss.couples === 'batch' ? 1e-10 : 0,
    }
    expectClose(other.loss.data, reordered(straight.loss.data, order), { ...exactly, what: 'loss' })
    for (const [name, { data }] of straight.gradients) {
      if (hasRows(loss, name))
        expectClose(other.gradients.get(name)!.data, reordered(data, order), { ...exactly, what: name })
      else expectClose(other.gradients.get(name)!.data, data, { relative: 1e-9, what: name })
    }
  })

  if ('mask' in loss.inputs)
    it.each([Number.NaN, 1e4, -1e4])('is not affected by a masked item that contains %d', async (filler) => {
      const tensors = new Map(sampleTensors(loss, { seed: 22, precision: 'float64' }))
      const width = tensors.get('predictions')!.shape.at(-1)!
      const mask = tensors.get('mask')!
      tensors.set('mask', withData(mask, Array(mask.data.length).fill(1)))
      const longer = new Map(
        [...tensors].map(([name, tensor]) => [name, padded(tensor, 3, name === 'predictions' ? filler : 0)]),
      )
      const [alone, masked] = [
        await evaluate(engine, loss, tensors, { reduction: 'none' }),
        await evaluate(engine, loss, longer, { reduction: 'none' }),
      ]
      expectClose(masked.loss.data, alone.loss.data, { relative: 1e-12 })
      const { data } = masked.gradients.get('predictions')!
      expectClose(unpadded(data, width, 3), alone.gradients.get('predictions')!.data, { relative: 1e-9 })
      const silent = Array.from(data).filter((_, i) => i % (width + 3) >= width)
      expect(silent.every((g) => g === 0)).toBe(true)
    })

  if (loss.couples === 'batch') {
    it('has no value for a single row, and counts none', async () => {
      const answer = await evaluate(engine, loss, sampleTensors(loss, { seed: 23, rows: 1 }))
      expect(Array.from(answer.loss.data)).toEqual([0])
      for (const [name, { data }] of answer.gradients)
        expect(
          data.every((g) => g === 0),
          name,
        ).toBe(true)
      expect(answer.members).toMatchObject({ count: 0, finite: true })
    })

    if ('labels' in loss.inputs)
      it('has loss 0 if no two rows belong together', async () => {
        const tensors = new Map(sampleTensors(loss, { seed: 24, rows: 4 }))
        tensors.set('labels', withData(tensors.get('labels')!, [0, 1, 2, 3]))
        const answer = await evaluate(engine, loss, tensors)
        expect(Array.from(answer.loss.data)).toEqual([0])
        expect(answer.gradients.get('embeddings')!.data.every((g) => g === 0)).toBe(true)
        expect(answer.members).toMatchObject({ count: 0, finite: true })
      })
  }

  const ranged = Object.entries(loss.params.properties).flatMap(([name, schema]) =>
    outside(schema).map((value) => [name, value] as const),
  )
  it.skipIf(ranged.length === 0).each(ranged)('rejects %s = %d and shows the range', (name, value) => {
    const tensors = sampleTensors(loss, { seed: 25 })
    const refuse = () => check(loss, tensors, { params: { [name]: value } })
    expect(refuse).toThrow(Problem)
    expect(refuse).toThrow(/[<>]=? -?\d/)
    expect(problemOf(refuse)).toMatchObject({
      code: 'param-invalid',
      options: { errors: [{ pointer: `/params/${name}` }] },
    })
  })

  // The service's own arithmetic is float32; what overflows it is what overflows the definition, too.
  it.each([0, 1e-8, 88.7, -104, 1e4, -1e4])('is finite in float32 for real inputs of %d', async (x) => {
    const draw = (_: () => number, kind: Kind) =>
      kind === 'real' ? x : kind === 'logprob' ? -Math.abs(x) : undefined
    const tensors = sampleTensors(loss, { seed: 26, draw })
    const [got, want] = [
      await evaluate(kernels, loss, tensors, { reduction: 'none' }),
      await evaluate(engine, loss, tensors, { reduction: 'none' }),
    ]
    const fits = (data: ArrayLike<number>) =>
      Array.from(data).every((value) => Number.isFinite(Math.fround(value)))
    const isDefined = fits(want.loss.data) && [...want.gradients.values()].every(({ data }) => fits(data))
    if (isDefined) expect(got.members.finite).toBe(true)
  })
})
