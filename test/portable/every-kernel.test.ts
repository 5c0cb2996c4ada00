/**
 * The conformance suite of portable kernels: every loss that has one, in V8, beside the service's own engine, bit for
 * bit. A new loss is tested automatically.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { detectTarget } from '../../src/engines/compiled/kernel-cache.ts'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { type Loss, type Params, withoutPreset } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { REDUCTIONS } from '../../src/losses/reduction.ts'
import { writePortableKernel } from '../../src/portable/write.ts'
import { type KernelAsk, kernelRequest } from '../../src/schemas/kernel-request.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf } from '../support/close.ts'
import { depth, sampled } from '../support/depth.ts'
import { check, evaluate } from '../support/evaluate.ts'
import { KernelHost } from '../support/kernel-host.ts'
import { choicesOf } from '../support/params.ts'
import { randomFrom, readingsOf, sampleTensors } from '../support/sample.ts'

type Tensors = ReadonlyMap<string, DecodedTensor>

const { losses } = await loadCatalog()
const limits = { maxIntermediate: 2 ** 26, maxCost: 2e10 }
const plans = createRequestPlanSource(createProgramSource(), limits)
const features = detectTarget().relaxed ? 'relaxed-simd' : 'simd'
const ROWS = depth([1, 37], [1, 3, 37])
/** The two differ in the lanes, which test/engines/compiled tests. */
const PRECISIONS = depth(['float32'] as const, ['float32', 'float64'] as const)

let engine: Engine
beforeAll(async () => {
  engine = (await compiled.open('test')) as Engine
})
afterAll(() => engine.close())

/** The inputs as a request for a kernel names them. */
const inputsText = (tensors: Tensors): string =>
  [...tensors].map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`).join(';')

/** The kernel for requests of a structure. */
const kernelOf = (loss: Loss, tensors: Tensors, ask: KernelAsk = {}): KernelHost => {
  const asked = { inputs: inputsText(tensors), features, ...ask }
  const request = kernelRequest(withoutPreset(loss), asked, plans)
  return new KernelHost(writePortableKernel(request.loss, request.features, request.about).bytes)
}

/** Holds a kernel to the answer of the service. */
const expectSame = async (
  host: KernelHost,
  loss: Loss,
  tensors: Tensors,
  options: Readonly<Record<string, unknown>> & { reduction: string },
  label: string,
) => {
  const answer = await evaluate(engine, loss, tensors, options)
  const { params = {} } = options as { params?: Record<string, number> }
  const result = host.run(tensors, { ...options, params })
  expect(result.status, label).toBe('ok')
  const value = options.reduction === 'none' ? result.outputs.values! : typed(answer.loss.data, result.value)
  expect(bitsOf(value as Float32Array), `${label}: loss`).toBe(bitsOf(answer.loss.data as Float32Array))
  for (const [folder, derivatives] of [
    ['gradients', answer.gradients],
    ['hessian', answer.hessian ?? new Map()],
  ] as const) {
    for (const [name, { data }] of derivatives)
      expect(bitsOf(result.outputs[`${folder}.${name}`] as Float32Array), `${label}: ${folder} ${name}`).toBe(
        bitsOf(data),
      )
  }
  const { denominator, count } = answer.members
  expect([result.denominator, result.count], label).toEqual([denominator, count])
}

const typed = (like: ArrayLike<number>, value: number) =>
  like instanceof Float64Array ? Float64Array.of(value) : Float32Array.of(value)

/** Whole numbers from 0 to 3, with a 0 among them. */
const weightsFor = (rows: number, precision: 'float32' | 'float64'): DecodedTensor => {
  const numbers = Array.from({ length: rows }, (_, row) => [0.5, 0, 2, 1.25][(row + (rows > 1 ? 0 : 2)) % 4]!)
  const data = precision === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
  return { dtype: precision, shape: [rows], data, encoding: 'nested', typed: true }
}

describe.each(sampled(losses, 6).map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  describe.each(PRECISIONS)('in %s', (precision) => {
    const samples = (params: Params, rows: number, perClass: boolean) =>
      sampleTensors(loss, { seed: 7 * rows + 1, precision, rows, params, perClass })

    it('has the bits of the service for every size, reduction and choice of parameters', async () => {
      for (const { perClass } of readingsOf(loss)) {
        for (const params of choicesOf(loss)) {
          let host: KernelHost | undefined
          for (const rows of ROWS) {
            const tensors = samples(params, rows, perClass)
            host ??= kernelOf(loss, tensors, { params })
            for (const reduction of REDUCTIONS)
              await expectSame(host, loss, tensors, { params, reduction }, `${rows} rows ${reduction}`)
          }
        }
      }
    })

    it('has the bits of the service with sample weights, upstream gradients and a denominator', async () => {
      for (const rows of ROWS) {
        const tensors = samples({}, rows, false)
        const host = kernelOf(loss, tensors)
        await expectSame(host, loss, tensors, { reduction: 'mean', denominator: 7 }, `${rows} rows, divided`)
        const { shape } = (await evaluate(engine, loss, tensors, { reduction: 'none' })).loss
        const random = randomFrom(rows)
        const numbers = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() - 0.5)
        const data = precision === 'float64' ? Float64Array.from(numbers) : numbers
        const upstream = { dtype: precision, shape, data, encoding: 'nested', typed: true } as const
        const chained = new Map([...tensors, ['grad_output', upstream]])
        await expectSame(host, loss, chained, { reduction: 'none' }, `${rows} rows, chained`)
        const weighted = new Map([...tensors, ['sample_weight', weightsFor(rows, precision)]])
        if (!takesWeights(loss, weighted)) continue
        for (const reduction of REDUCTIONS)
          await expectSame(host, loss, weighted, { reduction }, `${rows} weighted rows, ${reduction}`)
      }
    })
  })
})

/** Whether the loss has a value for each row. */
const takesWeights = (loss: Loss, tensors: Tensors): boolean => {
  try {
    check(loss, tensors)
    return true
  } catch {
    return false
  }
}

describe.each(['float32', 'float64'] as const)('a kernel with a workspace in %s', (precision) => {
  const random = randomFrom(11)
  const real = (...shape: number[]): DecodedTensor => {
    const numbers = Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 4 * random() - 2)
    const data = precision === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
    return { dtype: precision, shape, data, encoding: 'nested', typed: true }
  }
  const whole = (shape: number[], below: number, least = 0): DecodedTensor => {
    const length = shape.reduce((a, b) => a * b, 1)
    const data = Int32Array.from({ length }, () => least + Math.floor(random() * (below - least)))
    return { dtype: 'int32', shape, data, encoding: 'nested', typed: true }
  }
  const cases: Readonly<Record<string, Tensors>> = {
    ctc: new Map([
      ['predictions', real(3, 60, 20)],
      ['targets', whole([3, 12], 20, 1)],
      ['input_lengths', whole([3], 61, 50)],
      ['target_lengths', whole([3], 13)],
    ]),
    lovasz: new Map([
      ['predictions', real(2, 2, 6000)],
      ['targets', whole([2, 6000], 2)],
    ]),
  }

  it.each(Object.keys(cases))('has as much of it as large inputs need: %s', async (name) => {
    const loss = losses.find((one) => one.name === name)!
    const tensors = cases[name]!
    const host = kernelOf(loss, tensors)
    // The second run finds what the first has left in memory.
    for (const reduction of ['sum', 'mean']) await expectSame(host, loss, tensors, { reduction }, name)
  })
})

/** Axes on both sides of where the service begins to sort instead of comparing pairs. */
const SORTED: readonly (readonly [string, string, Params, readonly number[]])[] = [
  ['multiclass_sparsemax', 'classes', {}, [5, 128, 129, 300]],
  ['fenchel_young', 'classes', { regularizer: 'sparsemax' }, [7, 128, 129, 200]],
  ['list_mle', 'items', {}, [5, 32, 33, 100]],
]

describe.each(['float32', 'float64'] as const)('a kernel for any length in %s', (precision) => {
  it.each(SORTED)('sorts where the service does: %s', async (name, axis, params, lengths) => {
    const loss = losses.find((one) => one.name === name)!
    const samples = (length: number) =>
      sampleTensors(loss, { seed: length, precision, rows: 3, params, sizes: { [axis]: length } })
    for (const asked of [lengths[0]!, lengths.at(-1)!]) {
      const host = kernelOf(loss, samples(asked), { params })
      for (const length of lengths) {
        const label = `made for ${asked}, with ${length}`
        for (const reduction of ['sum', 'mean'])
          await expectSame(host, loss, samples(length), { params, reduction }, label)
      }
    }
  })
})
