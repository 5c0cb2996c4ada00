/** Dense prediction: a loss gives pixels the same result as rows, wherever the class axis is. */
import { beforeAll, describe, expect, it } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, openInterpreter } from '../support/evaluate.ts'
import { sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const dense = losses.filter(({ params }) => 'class_axis' in params.properties)
let engine: Engine
beforeAll(async () => {
  engine = await openInterpreter()
})

type Tensors = ReadonlyMap<string, DecodedTensor>

/** Images with this many pixels, which the sampler draws for `...`. */
const [N, C, P] = [2, 4, 3]

/** `[N, C, P]`, and `[N, P]` for inputs without classes. */
const imagesOf = (loss: Loss): Tensors =>
  sampleTensors(loss, { seed: 61, rows: N, precision: 'float64', bare: true })

const reshaped = (tensor: DecodedTensor, shape: number[], from: (i: number) => number): DecodedTensor => {
  const Numbers = tensor.data.constructor as Float64ArrayConstructor
  return {
    ...tensor,
    shape,
    data: Numbers.from({ length: tensor.data.length }, (_, i) => tensor.data[from(i)]!),
  }
}

const hasClasses = ({ shape }: DecodedTensor) => shape.length === 3

/** Index with the classes last -> index with the classes after the rows. */
const fromFirst = (i: number) => {
  const [c, p, n] = [i % C, Math.floor(i / C) % P, Math.floor(i / (C * P))]
  return (n * C + c) * P + p
}

const withLast = (tensors: Tensors, pixels: readonly number[]): Tensors =>
  new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      hasClasses(tensor)
        ? reshaped(tensor, [...pixels, C], fromFirst)
        : reshaped(tensor, [...pixels], (i) => i),
    ]),
  )

const exact = { relative: 1e-12 }

describe.each(dense.map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  const images = imagesOf(loss)
  const rows = withLast(images, [N * P])
  const expectSame = (got: ReadonlyMap<string, { data: ArrayLike<number> }>, want: typeof got) => {
    for (const [name, { data }] of want) expectClose(got.get(name)!.data, data, { ...exact, what: name })
  }

  it('accepts images with the classes after the rows', async () => {
    const want = await evaluate(engine, loss, rows, { reduction: 'none' })
    const got = await evaluate(engine, loss, images, { reduction: 'none' })
    expect(got.loss.shape).toEqual([N, P])
    expectClose(got.loss.data, want.loss.data, exact)
    const gradients = [...got.gradients].map(([name, { data }]) => {
      const tensor = { ...images.get(name)!, data }
      return [name, hasClasses(tensor) ? reshaped(tensor, [], fromFirst) : tensor] as const
    })
    expectSame(new Map(gradients), want.gradients)
  })

  it('accepts images with the classes last', async () => {
    const want = await evaluate(engine, loss, rows, { reduction: 'none' })
    const options = { reduction: 'none', params: { class_axis: -1 } }
    const got = await evaluate(engine, loss, withLast(images, [N, P]), options)
    expect(got.loss.shape).toEqual([N, P])
    expectClose(got.loss.data, want.loss.data, exact)
    expectSame(got.gradients, want.gradients)
  })

  it('averages over all pixels', async () => {
    const want = await evaluate(engine, loss, rows)
    const got = await evaluate(engine, loss, images)
    expectClose(got.loss.data, want.loss.data, exact)
  })
})

it('every loss with one label out of many classes accepts images', () => {
  const onClasses = losses.filter(
    ({ couples, inputs }) =>
      couples === 'row' &&
      Object.values(inputs).some(({ kind, axes }) => /^class/.test(kind) && axes.length === 2),
  )
  const left = onClasses.filter((loss) => !dense.includes(loss)).map(({ name }) => name)
  expect(left).toEqual([])
})
