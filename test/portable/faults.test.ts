/** What a portable kernel refuses: the numbers that the service refuses, in the same order, and nothing else. */
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { withoutPreset } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { writePortableKernel } from '../../src/portable/write.ts'
import { kernelRequest } from '../../src/schemas/kernel-request.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { check } from '../support/evaluate.ts'
import { KernelHost } from '../support/kernel-host.ts'
import { randomFrom, sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 2 ** 26, maxCost: 2e10 })

type Tensors = Map<string, DecodedTensor>

const hostOf = (name: string, tensors: Tensors): KernelHost => {
  const loss = losses.find((one) => one.name === name)!
  const inputs = [...tensors].filter(([input]) => input !== 'sample_weight')
  const text = inputs.map(([input, { dtype, shape }]) => `${input}:${dtype}[${shape}]`).join(';')
  const request = kernelRequest(withoutPreset(loss), { inputs: text }, plans)
  return new KernelHost(writePortableKernel(request.loss, request.features, request.about).bytes)
}

/** The pointer of the problem of the service, and undefined if it accepts the request. */
const refusedByService = (name: string, tensors: Tensors): string | undefined => {
  try {
    check(losses.find((one) => one.name === name)!, tensors, { reduction: 'sum' })
    return undefined
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return error.options.errors![0]!.pointer
  }
}

const refusedByKernel = (host: KernelHost, tensors: Tensors): string | undefined => {
  const { status, fault } = host.run(tensors, { reduction: 'sum' })
  if (status === 'ok') return undefined
  const places: number[] = []
  let rest = fault.element
  for (const size of [...tensors.get(fault.input)!.shape].reverse()) {
    places.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return ['', fault.input, ...places].join('/')
}

/** Numbers that some kind refuses, and some that none does. */
const STRANGE = [-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 7, -100, Number.NaN]

const disturbed = (tensors: Tensors, random: () => number): Tensors => {
  const changed = new Map(tensors)
  for (const [name, tensor] of tensors) {
    if (random() < 0.4 || name === 'sample_weight') continue
    const data = tensor.data.slice()
    const count = 1 + Math.floor(random() * 3)
    for (let i = 0; i < count; i++) {
      const number = STRANGE[Math.floor(random() * STRANGE.length)]!
      const isWhole = data instanceof Int32Array
      data[Math.floor(random() * data.length)] = isWhole
        ? Math.trunc(Number.isNaN(number) ? 9 : number)
        : number
    }
    changed.set(name, { ...tensor, data })
  }
  return changed
}

const weighted = (tensors: Tensors, rows: number): Tensors => {
  const data = Float32Array.from({ length: rows }, (_, row) => row % 2)
  return new Map(tensors).set('sample_weight', {
    dtype: 'float32',
    shape: [rows],
    data,
    encoding: 'nested',
    typed: true,
  })
}

describe('a portable kernel', () => {
  it.each(losses.map(({ name }) => [name]))(
    'of %s refuses the first number that the service refuses',
    (name) => {
      const loss = losses.find((one) => one.name === name)!
      const random = randomFrom(name.length)
      const plain = sampleTensors(loss, { seed: 5, rows: 4 })
      const host = hostOf(name, plain)
      const takesWeights = refusedByService(name, weighted(plain, 4)) === undefined
      for (let round = 0; round < 40; round++) {
        const strange = disturbed(plain, random)
        const tensors = takesWeights && round % 2 === 1 ? weighted(strange, 4) : strange
        expect(refusedByKernel(host, tensors), `round ${round}`).toBe(refusedByService(name, tensors))
      }
    },
  )

  it('refuses the mean of an empty batch, unless a denominator is given', () => {
    const tensors = sampleTensors(losses.find(({ name }) => name === 'huber')!, { seed: 1, rows: 2 })
    const host = hostOf('huber', tensors)
    const empty = new Map(
      [...tensors].map(([name, tensor]) => [name, { ...tensor, shape: [0, 2], data: new Float32Array() }]),
    )
    expect(host.run(empty, { reduction: 'mean' }).status).toBe('empty-batch')
    expect(host.run(empty, { reduction: 'mean', denominator: 2 })).toMatchObject({ status: 'ok', value: 0 })
    expect(host.run(empty, { reduction: 'sum' })).toMatchObject({ status: 'ok', value: 0, count: 0 })
  })

  it('refuses batchmean without rows, even if the loss of the whole batch is one number', () => {
    const loss = losses.find(({ name }) => name === 'nt_xent')!
    const tensors = sampleTensors(loss, { seed: 1, rows: 4 })
    const host = hostOf('nt_xent', tensors)
    const empty = new Map(
      [...tensors].map(([name, tensor]) => [
        name,
        { ...tensor, shape: [0, ...tensor.shape.slice(1)], data: tensor.data.slice(0, 0) },
      ]),
    )
    expect(host.run(empty, { reduction: 'batchmean' }).status).toBe('empty-batch')
    expect(host.run(tensors, { reduction: 'batchmean' }).status).toBe('ok')
  })

  it('computes again after it has refused a number', () => {
    const loss = losses.find(({ name }) => name === 'cross_entropy')!
    const tensors = sampleTensors(loss, { seed: 1, rows: 4, bare: true })
    const host = hostOf('cross_entropy', tensors)
    const before = host.run(tensors, { reduction: 'mean' })
    const targets = tensors.get('targets')!
    const wrong = new Map(tensors).set('targets', { ...targets, data: Int32Array.of(0, 1, 99, 0) })
    expect(host.run(wrong).fault).toEqual({ input: 'targets', element: 2 })
    const { status, value, outputs } = host.run(tensors, { reduction: 'mean' })
    expect({ status, value, outputs }).toEqual({ status: 'ok', value: before.value, outputs: before.outputs })
  })
})
