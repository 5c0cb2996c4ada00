/** Kernels for runtimes without SIMD compute what those with SIMD compute. A new loss is tested automatically. */
import { describe, expect, it } from 'vitest'
import { type Loss, type Params, withoutPreset } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { REDUCTIONS } from '../../src/losses/reduction.ts'
import type { Features } from '../../src/portable/contract.ts'
import { shapeOf } from '../../src/portable/lowering/instructions.ts'
import { writePortableKernel } from '../../src/portable/write.ts'
import { kernelRequest } from '../../src/schemas/kernel-request.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { depth, sampled } from '../support/depth.ts'
import { KernelHost } from '../support/kernel-host.ts'
import { choicesOf } from '../support/params.ts'
import { readingsOf, sampleTensors } from '../support/sample.ts'

type Tensors = ReadonlyMap<string, DecodedTensor>

const { losses } = await loadCatalog()
const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 2 ** 26, maxCost: 2e10 })
/** One, a few, and as many as fill unrolled loops. */
const ROWS = [1, 3, 37]

const moduleOf = (loss: Loss, tensors: Tensors, params: Params, features: Features) => {
  const inputs = [...tensors].map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`).join(';')
  const request = kernelRequest(withoutPreset(loss), { inputs, params, features }, plans)
  return writePortableKernel(request.loss, request.features, request.about).bytes
}

/**
 * What sums in another order may change, in parts of the largest number. The last bit of an exponent of 270, which `circle` has, changes
 * a power by 3e-5 in float32.
 */
const TOLERANCE = { float32: 3e-5, float64: 1e-13 }

const expectClose = (got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number, label: string) => {
  const scale = Array.from(want).reduce(
    (most, x) => (Number.isFinite(x) ? Math.max(most, Math.abs(x)) : most),
    0,
  )
  const wrong = Array.from(want).findIndex((x, i) => {
    return !Object.is(x, got[i]) && !(Math.abs(x - got[i]) <= tolerance * scale)
  })
  expect(
    wrong,
    `${label}: ${got[wrong]} at ${wrong}, expected ${want[wrong]} within ${tolerance * scale}`,
  ).toBe(-1)
}

describe.each(sampled(losses, 5).map((loss) => [loss.name, loss] as const))('%s', (_, loss) => {
  it.each(depth(['float32'] as const, ['float32', 'float64'] as const))(
    'computes the same with and without SIMD in %s',
    (precision) => {
      for (const { perClass } of readingsOf(loss)) {
        for (const params of choicesOf(loss)) {
          const samples = ROWS.map((rows) =>
            sampleTensors(loss, { seed: 7 * rows + 1, precision, rows, params, perClass }),
          )
          const [scalar, simd] = (['scalar', 'simd'] as const).map(
            (features) => new KernelHost(moduleOf(loss, samples[0], params, features)),
          )
          for (const tensors of samples) {
            for (const reduction of REDUCTIONS) {
              const [got, want] = [scalar.run(tensors, { reduction }), simd.run(tensors, { reduction })]
              expect(got.status).toBe(want.status)
              expect([got.denominator, got.count]).toEqual([want.denominator, want.count])
              expectClose([got.value], [want.value], TOLERANCE[precision], `loss ${reduction}`)
              for (const [name, numbers] of Object.entries(want.outputs))
                expectClose(got.outputs[name], numbers, TOLERANCE[precision], `${name} ${reduction}`)
            }
          }
        }
      }
    },
  )
})

it('a scalar module has no instruction of SIMD', () => {
  for (const loss of sampled(losses, 3)) {
    const tensors = sampleTensors(loss, { seed: 1, precision: 'float32', rows: 3, params: {} })
    const bodies = bodiesOf(moduleOf(loss, tensors, {}, 'scalar'))
    expect(bodies.length).toBeGreaterThan(10)
    for (const body of bodies) for (let at = 0; at < body.length; ) at = next(body, at)
  }
})

/** Throws at an instruction that is none of those without vectors. */
const next = (body: Uint8Array, at: number): number => {
  const isLocal = body[at] === 0x20 || body[at] === 0x21 || body[at] === 0x10
  if (isLocal) return leb(body, at + 1)[1]
  return body[at] === 0x1b ? at + 1 : shapeOf(body, at).end
}

const leb = (bytes: Uint8Array, start: number): [number, number] => {
  let value = 0
  for (let at = start, shift = 0; ; at++, shift += 7) {
    value += (bytes[at] & 0x7f) * 2 ** shift
    if (bytes[at] < 0x80) return [value, at + 1]
  }
}

/** The instructions of each function, without its locals. */
const bodiesOf = (module: Uint8Array): Uint8Array[] => {
  for (let at = 8; at < module.length; ) {
    const [size, start] = leb(module, at + 1)
    if (module[at] === 10) return functionsIn(module, start)
    at = start + size
  }
  return []
}

const functionsIn = (module: Uint8Array, start: number): Uint8Array[] => {
  let [count, at] = leb(module, start)
  return Array.from({ length: count }, () => {
    const [size, from] = leb(module, at)
    at = from + size
    let [groups, code] = leb(module, from)
    for (; groups > 0; groups--) code = leb(module, code)[1] + 1
    return module.subarray(code, at)
  })
}
