/** The diagonal of the second derivative, for every loss that supports it. */
import { describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import type { Kind, Loss, Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { sampleTensors } from '../support/sample.ts'

const catalog = await loadCatalog()
const engine = await openInterpreter()
const offering = catalog.losses.filter(({ couples }) => couples === 'element' || couples === 'row')

type Tensors = ReadonlyMap<string, DecodedTensor>

const moved = (tensors: Tensors, name: string, place: number, step: number): Tensors => {
  const tensor = tensors.get(name)!
  return new Map(tensors).set(name, {
    ...tensor,
    data: Float64Array.from(tensor.data).with(place, tensor.data[place]! + step),
  })
}

const widened = (tensor: DecodedTensor): DecodedTensor =>
  tensor.dtype === 'float32' ? { ...tensor, dtype: 'float64', data: Float64Array.from(tensor.data) } : tensor

const h = 1e-5

/** The defaults, and every other word of parameters whose values are words. */
const wordings = (loss: Loss): Params[] => [
  {},
  ...Object.entries(loss.params.properties).flatMap(([name, schema]) =>
    (schema.anyOf ?? []).flatMap(({ const: word }: { const?: string }) => {
      return typeof word === 'string' && word !== schema.default ? [{ [name]: word }] : []
    }),
  ),
]

/**
 * By definition, every derivative treats a factor of their value as constant, but differences include its change (see
 * every-loss.test.ts).
 */
const DETACHED: ReadonlySet<string> = new Set(['ciou'])

const whole = offering.filter(({ name }) => !DETACHED.has(name))

describe.each(whole.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  it.each(wordings(loss))('has the second derivative of central differences, with %j', async (params) => {
    // Inputs such as rates, which the service does not validate, stay within their range.
    const draw = (random: () => number, kind: Kind) => (kind === 'real' ? 0.1 + 2 * random() : undefined)
    for (const seed of [1, 2]) {
      const tensors = sampleTensors(loss, {
        seed,
        params,
        precision: 'float64',
        ...(seed === 2 ? { draw } : {}),
      })
      const options = { reduction: 'mean', hessian: 'diagonal', params }
      const { hessian } = await evaluate(engine, loss, tensors, options)
      for (const [name, { data }] of hessian!) {
        const gradientAt = async (place: number, step: number) =>
          (
            await evaluate(engine, loss, moved(tensors, name, place, step), { gradients: [name], params })
          ).gradients.get(name)!.data[place]!
        const numeric: number[] = []
        for (const place of data.keys())
          numeric.push(((await gradientAt(place, h)) - (await gradientAt(place, -h))) / (2 * h))
        // The error is about h^2 f'''' plus 1e-16 / h of rounding.
        expectClose(data, numeric, { relative: 2e-6, absolute: 2e-6, what: `${name}, seed ${seed}` })
      }
    }
  })
})

const PRECISIONS = [
  ['float32', 1e-4],
  ['float64', 1e-12],
] as const

it.each(offering.flatMap((loss) => PRECISIONS.map((precision) => [loss.name, ...precision, loss] as const)))(
  '%s: kernels compute it in %s, too',
  async (_, precision, tolerance, loss) => {
    const kernels = (await compiled.open('test')) as Engine
    const options = { reduction: 'sum', hessian: 'diagonal' }
    // With a temperature of 0.07, logits would be in the hundreds, and their squares would lose too many digits.
    const draw = (random: () => number, kind: Kind) => (kind === 'real' ? 2 * random() - 1 : undefined)
    const tensors = sampleTensors(loss, { seed: 3, draw })
    const wide = new Map([...tensors].map(([name, tensor]) => [name, widened(tensor)]))
    const [got, want] = [
      await evaluate(kernels, loss, precision === 'float64' ? wide : tensors, options),
      await evaluate(engine, loss, wide, options),
    ]
    // A variance is the difference of two squares, so the scale of the rounding errors is at least 1.
    for (const [name, { data }] of want.hessian!)
      expectClose([...got.hessian!.get(name)!.data, 1], [...data, 1], {
        relative: tolerance,
        absolute: tolerance,
        what: name,
      })
  },
)

describe('for boosting', () => {
  const logits = {
    predictions: nested([
      [1, 0, -1],
      [0.5, 2, 0],
    ]),
    targets: nested([2, 0]),
  }

  it('a softmax has p (1 - p), class-major if requested', async () => {
    const loss = catalog.find('cross_entropy')!
    const row = await evaluate(engine, loss, new Map(Object.entries(logits)), {
      reduction: 'sum',
      hessian: 'diagonal',
    })
    const p = [1, 0, -1].map((x) => Math.exp(x) / (Math.E + 1 + 1 / Math.E))
    expectClose(
      row.hessian!.get('predictions')!.data.slice(0, 3),
      p.map((x) => x * (1 - x)),
      { relative: 1e-12 },
    )
    const turned = new Map(
      Object.entries({
        ...logits,
        predictions: nested([
          [1, 0.5],
          [0, 2],
          [-1, 0],
        ]),
      }),
    )
    const options = { reduction: 'sum', hessian: 'diagonal', layout: 'class_major' }
    const major = await evaluate(engine, loss, turned, options)
    const transposed = (data: ArrayLike<number>) => [0, 2, 4, 1, 3, 5].map((place) => data[place]!)
    for (const part of ['gradients', 'hessian'] as const) {
      const { data, shape } = major[part]!.get('predictions')!
      expect(shape).toEqual([3, 2])
      expectClose(transposed(data), row[part]!.get('predictions')!.data, { relative: 1e-12, what: part })
    }
  })

  it('raises values below the floor', async () => {
    const loss = catalog.find('huber')!
    const inputs = new Map(Object.entries({ predictions: nested([0.5, 3]), targets: nested([0, 0]) }))
    const answer = await evaluate(engine, loss, inputs, {
      reduction: 'sum',
      hessian: 'diagonal',
      hessian_floor: 1e-3,
    })
    expect(Array.from(answer.hessian!.get('predictions')!.data)).toEqual([1, 1e-3])
  })

  it.each([
    ['nt_xent', {}, 'nt_xent couples the rows of a batch'],
    ['huber', { gradients: false }, 'requires gradients'],
  ])('rejects %s with %j', async (name, options, detail) => {
    const loss = catalog.find(name)!
    const tensors = sampleTensors(loss, { seed: 1 })
    await expect(evaluate(engine, loss, tensors, { hessian: 'diagonal', ...options })).rejects.toThrow(detail)
  })

  it('rejects a floor without a second derivative', async () => {
    const loss = catalog.find('huber')!
    await expect(
      evaluate(engine, loss, sampleTensors(loss, { seed: 1 }), { hessian_floor: 1 }),
    ).rejects.toThrow('requires hessian diagonal')
  })
})
