/** Parameters that change at run time: a kernel that was written for others computes the same loss. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { type Loss, type Params, withoutPreset } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource, runTimeParams } from '../../src/losses/program.ts'
import { writePortableKernel } from '../../src/portable/write.ts'
import { kernelRequest } from '../../src/schemas/kernel-request.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import { expectClose } from '../support/close.ts'
import { evaluate } from '../support/evaluate.ts'
import { KernelHost } from '../support/kernel-host.ts'
import { companyOf } from '../support/params.ts'
import { defaultsOf, sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 2 ** 26, maxCost: 2e10 })

let engine: Engine
beforeAll(async () => {
  engine = (await compiled.open('test')) as Engine
})
afterAll(() => engine.close())

/** Each number that a kernel takes at run time, moved within its range. */
const movedParams = (loss: Loss): Params[] => {
  const defaults = defaultsOf(loss)
  return Object.entries(runTimeParams(loss, defaults)).flatMap(([name, value]) => {
    const schema = loss.params.properties[name]!
    const next = Number.isFinite(value) ? [0.7 * value + 0.1, 0.5 * value + 0.25] : [1.5]
    return next
      .filter((x) => x < (schema.exclusiveMaximum ?? Number.POSITIVE_INFINITY))
      .map((x) => ({ ...companyOf(schema), [name]: x }))
  })
}

const cases = losses.flatMap((loss) => movedParams(loss).map((params) => [loss.name, params, loss] as const))

describe('a kernel for the default parameters', () => {
  it('exists for losses with conditions of parameters and for losses without', () => {
    expect(cases.length).toBeGreaterThan(80)
  })

  it.each(cases)('of %s computes with %j', async (_, params, loss) => {
    const tensors = sampleTensors(loss, { seed: 11, rows: 5, precision: 'float64', params })
    const inputs = [...tensors].map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`).join(';')
    const structural = Object.fromEntries(
      Object.entries(companyOf(loss.params.properties[Object.keys(params).at(-1)!]!)),
    )
    const request = kernelRequest(withoutPreset(loss), { inputs, params: structural }, plans)
    const host = new KernelHost(writePortableKernel(request.loss, request.features).bytes)
    const answer = await evaluate(engine, loss, tensors, { params, reduction: 'mean' })
    const result = host.run(tensors, { reduction: 'mean', params: params as Record<string, number> })
    expect(result.status).toBe('ok')
    expectClose([result.value], answer.loss.data, { relative: 1e-13, what: 'loss' })
    for (const [name, { data }] of answer.gradients)
      expectClose(result.outputs[`gradients.${name}`]!, data, { relative: 1e-12, what: name })
  })
})
