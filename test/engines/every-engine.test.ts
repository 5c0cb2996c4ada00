/** The conformance suite of the engines: the reference results, the same bits in a batch as alone, and no leaks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { assemble, split } from '../../src/batching/assemble.ts'
import { type Engine, UnsupportedByEngine } from '../../src/engines/contract.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { bitsOf, expectClose } from '../support/close.ts'
import { depth, sampled } from '../support/depth.ts'
import { availableEngines } from '../support/engines.ts'
import { check, evaluate, openInterpreter } from '../support/evaluate.ts'
import { readingsOf, type SampleOptions, sampleTensors, widened } from '../support/sample.ts'

const { losses } = await loadCatalog()
const engines = await availableEngines()

const firstAxisOf = (loss: Loss) => Object.values(loss.inputs)[0]!.axes[0]!

/** The exact results are the same for every engine. */
const definition = await openInterpreter()
const said = new Map<string, ReturnType<typeof evaluate>>()

function definitionOf(loss: Loss, options: SampleOptions) {
  const key = `${loss.name} ${JSON.stringify(options)}`
  const found = said.get(key) ?? evaluate(definition, loss, widened(sampleTensors(loss, options)))
  said.set(key, found)
  return found
}

describe.each(engines.map((tested) => [tested.name, tested] as const))(
  '%s',
  (_, { open, mergesExactly, precisions, isEmulated }) => {
    let engine: Engine
    let tensorsBefore: number
    beforeAll(async () => {
      engine = await open()
      tensorsBefore = (await engine.stats()).tensors
    })
    afterAll(async () => {
      expect((await engine.stats()).tensors, 'tensors after = tensors before').toBe(tensorsBefore)
    })

    const part = sampled(losses, isEmulated ? 16 : 1)
    it.each(part.map((loss) => [loss.name, loss] as const))(
      '%s equals its definition',
      async (_name, loss) => {
        for (const [seed, reading] of [11, 12].flatMap((n) =>
          readingsOf(loss).map((one) => [n, one] as const),
        )) {
          const options = { seed, rows: 5, bare: seed === 11, ...reading }
          const [got, want] = [
            await evaluate(engine, loss, sampleTensors(loss, options)),
            await definitionOf(loss, options),
          ]
          // float32 arithmetic: about 10 roundings of 6e-8, more where terms cancel.
          expectClose(got.loss.data, want.loss.data, { relative: 2e-5, what: 'loss' })
          for (const [name, { data }] of want.gradients) {
            expectClose(got.gradients.get(name)!.data, data, { relative: 2e-5, what: name })
          }
        }
      },
    )

    function expectSame(got: Float32Array | Float64Array, want: Float32Array | Float64Array) {
      if (mergesExactly) expect(bitsOf(got)).toBe(bitsOf(want))
      else expectClose(got, want, { relative: 1e-5 })
    }

    const mergeable = losses
      .filter(({ couples }) => couples !== 'batch')
      .flatMap((loss) => readingsOf(loss).map((reading) => [loss.name, reading, loss] as const))
    const merged = mergeable.flatMap(([name, reading, loss]) =>
      precisions.map((precision) => [name, { ...reading, precision }, loss] as const),
    )
    it.each(sampled(merged, isEmulated ? 18 : 6))(
      '%s with %j gives the same result in a batch as alone, even next to NaN (bit for bit if the engine promises that)',
      async (_name, reading, loss) => {
        const poison = () => Number.NaN
        const requests = [1, 3, 17].map((rows, seed) => sampleTensors(loss, { seed, rows, ...reading }))
        requests.push(
          sampleTensors(loss, {
            seed: 9,
            rows: 2,
            ...reading,
            draw: (_r, kind) => (kind === 'real' ? poison() : undefined),
          }),
        )
        const reductions = ['mean', 'sum', 'none', 'batchmean']
        const jobs = requests.map((tensors, i) => check(loss, tensors, { reduction: reductions[i] }).job)
        const keys = jobs.map((job) => job.mergeKey)
        // Inputs that all rows share are different in each request, and their gradients are never summed over requests.
        const shared = Object.values(loss.inputs).filter(
          ({ axes, trailing }) => !trailing && !axes.includes(firstAxisOf(loss)),
        )
        if (shared.some(({ differentiable }) => differentiable)) {
          expect(keys).toEqual(jobs.map(() => undefined))
          return
        }
        expect(new Set(keys).size).toBe(shared.length > 0 ? jobs.length : 1)
        if (shared.length > 0) return
        const merged = split(jobs, await engine.run(assemble([jobs[0]!, ...jobs.slice(1)])))
        for (const [place, job] of jobs.entries()) {
          const alone = await engine.run(assemble([job]))
          expectSame(merged[place]!.values, alone.values)
          for (const [name, data] of Object.entries(alone.gradients))
            expectSame(merged[place]!.gradients[name]!, data)
        }
      },
    )

    it
      .runIf(precisions.includes('float64'))
      .each(sampled(losses, 2).map((loss) => [loss.name, loss] as const))(
      '%s equals its definition in float64, too',
      async (_name, loss) => {
        for (const reading of readingsOf(loss)) {
          const tensors = sampleTensors(loss, { seed: 13, rows: 5, precision: 'float64', ...reading })
          const [got, want] = [
            await evaluate(engine, loss, tensors),
            await evaluate(definition, loss, tensors),
          ]
          // About 100 roundings of 1e-16, more where terms cancel.
          expectClose(got.loss.data, want.loss.data, { relative: 1e-14, what: 'loss' })
          for (const [name, { data }] of want.gradients)
            expectClose(got.gradients.get(name)!.data, data, { relative: 1e-14, absolute: 1e-14, what: name })
        }
      },
    )

    it
      .runIf(precisions.includes('float64'))
      .each(sampled(losses, 3).map((loss) => [loss.name, loss] as const))(
      '%s gives the same bits if float32 inputs beside float64 ones are widened before',
      async (_name, loss) => {
        for (const reading of readingsOf(loss)) {
          const tensors = sampleTensors(loss, { seed: 14, rows: 6, ...reading })
          const [first] = [...tensors].filter(([, { dtype }]) => dtype === 'float32')
          if (first === undefined) continue
          const mixed = new Map([...tensors, ...widened(new Map([first]))])
          const [got, want] = [mixed, widened(tensors)].map((sent) => check(loss, sent).job)
          const results = [await engine.run(assemble([got!])), await engine.run(assemble([want!]))]
          const bits = results.map(({ values, gradients }) => [
            bitsOf(values),
            ...Object.values(gradients).map((data) => bitsOf(data)),
          ])
          expect(bits[0]).toEqual(bits[1])
        }
      },
    )

    it('computes float64 or rejects it as unsupported', async () => {
      const huber = losses.find(({ name }) => name === 'huber')!
      const job = check(huber, sampleTensors(huber, { seed: 1, precision: 'float64' })).job
      const ran = await engine.run(assemble([job])).catch((error: unknown) => error)
      if (ran instanceof Error) expect(ran).toBeInstanceOf(UnsupportedByEngine)
      else expect((ran as { values: unknown }).values).toBeInstanceOf(Float64Array)
    })

    it('leaks nothing when an op throws', async () => {
      const mse = losses.find(({ name }) => name === 'mse')!
      const batch = assemble([check(mse, sampleTensors(mse, { seed: 1 })).job])
      const broken = {
        ...batch,
        inputs: { predictions: batch.inputs.predictions!, targets: undefined as never },
      }
      await expect(engine.run(broken)).rejects.toThrow()
      expect((await engine.stats()).tensors).toBe(tensorsBefore)
    })

    it('sums long axes without accumulating rounding errors', async () => {
      const dice = losses.find(({ name }) => name === 'dice')!
      const count = depth(60_000, 300_000)
      const ones = Float32Array.from({ length: count }, (_x, i) => (i % 3) / 2 + 0.05)
      const tensor = (data: Float32Array): DecodedTensor => ({
        dtype: 'float32',
        shape: [1, 1, count],
        data,
        encoding: 'nested',
        typed: true,
      })
      const tensors = new Map([
        ['predictions', tensor(ones)],
        ['targets', tensor(ones.map((x) => Math.min(x, 1)))],
      ])
      const [got, want] = [
        await evaluate(engine, dice, tensors),
        await evaluate(definition, dice, widened(tensors)),
      ]
      // Blocks of 64 keep the error of so many terms near one rounding; one after the other it would be 1e-4 or more.
      expectClose(got.loss.data, want.loss.data, { relative: 3e-6 })
    })
  },
)

it('at least wasm, cpu and the interpreter are tested on every machine', () => {
  expect(engines.map(({ name }) => name)).toEqual(expect.arrayContaining(['wasm', 'cpu', 'interpreter']))
})

it.each(engines.map((tested) => [tested.name, tested] as const))(
  '%s opens again after it has been closed',
  async (_, { open }) => {
    const loss = losses.find(({ name }) => name === 'huber')!
    await (await open()).close()
    const engine = await open()
    const got = await evaluate(engine, loss, sampleTensors(loss, { seed: 1, rows: 3 }))
    expect(got.loss.data[0]).toBeGreaterThan(0)
    await engine.close()
  },
)
