/** The shared vectors, with local kernels and from the service. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { Client, type EvaluateOptions, InvalidRequest, Loss, type Params, type Tensor } from '../src/index.ts'
import type { NumericArray } from '../src/tensor.ts'

interface Encoded {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data: string
}

interface Case {
  readonly loss: string
  readonly params?: Params
  readonly reduction?: EvaluateOptions['reduction']
  readonly denominator?: number
  readonly tensors: Readonly<Record<string, Encoded>>
}

interface LossCase extends Case {
  readonly want: {
    readonly loss: string
    readonly dtype: string
    readonly gradients: Readonly<Record<string, string>>
    readonly denominator: number
    readonly count: number
  }
}

interface ProblemCase extends Case {
  readonly problem: { readonly code: string; readonly pointer: string; readonly detail: string }
}

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../conformance/${name}.json`, import.meta.url), 'utf8')) as T
const client = new Client(process.env.LOSSD_URL, { log: () => {} })

const numbersOf = (dtype: string, base64: string): NumericArray => {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
  if (dtype === 'float32') return new Float32Array(bytes.buffer)
  if (dtype === 'float64') return new Float64Array(bytes.buffer)
  return dtype === 'int32' ? new Int32Array(bytes.buffer) : bytes
}
const tensorsOf = ({ tensors }: Case): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { shape, data: numbersOf(dtype, data) },
    ]),
  )

const exactly = (got: ArrayLike<number>, want: ArrayLike<number>, what: string) =>
  assert.deepEqual(Array.from(got), Array.from(want), what)
/** The service may use fused arithmetic, where its machine has it. */
const nearly = (got: ArrayLike<number>, want: ArrayLike<number>, what: string) => {
  const tolerance = want instanceof Float64Array ? 1e-9 : 1e-5
  const scale = Math.max(1e-3, ...Array.from(want).filter(Number.isFinite).map(Math.abs))
  assert.equal(got.length, want.length)
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!]
    const isNear = Object.is(g, w) || g === w || Math.abs(g - w) <= tolerance * scale
    assert.ok(isNear, `${what}[${i}]: ${g}, expected ${w}`)
  }
}

for (const mode of ['local', 'remote'] as const) {
  describe(`${mode} losses`, () => {
    for (const [place, one] of read<LossCase[]>('losses').entries()) {
      it(`${one.loss} ${place}`, async () => {
        const { params = {}, want } = one
        const loss = new Loss(one.loss, { params, mode, client })
        const options = { reduction: one.reduction, wrt: Object.keys(want.gradients) }
        const result = await loss.evaluate(tensorsOf(one), options)
        assert.equal(result.where, mode)
        const same = mode === 'local' ? exactly : nearly
        const isDouble = Object.values(one.tensors).some(({ dtype }) => dtype === 'float64')
        const values = numbersOf(want.dtype, want.loss) as Float64Array
        if (one.reduction === 'none') same(result.values!.data, values, 'values')
        else same([result.loss], isDouble ? values : Float32Array.from(values), 'loss')
        assert.equal(result.count, want.count)
        nearly([result.denominator], [want.denominator], 'denominator')
        for (const [name, data] of Object.entries(want.gradients)) {
          assert.deepEqual(result.gradients[name]!.shape, one.tensors[name]!.shape)
          same(
            result.gradients[name]!.data,
            numbersOf(isDouble ? 'float64' : 'float32', data) as Float64Array,
            name,
          )
        }
      })
    }
  })

  describe(`${mode} problems`, () => {
    for (const [place, one] of read<ProblemCase[]>('problems').entries()) {
      it(`${one.loss} ${place}: ${one.problem.code}`, async () => {
        const { params = {}, reduction, denominator } = one
        const loss = new Loss(one.loss, { params, mode, client })
        await assert.rejects(loss.evaluate(tensorsOf(one), { reduction, denominator }), (error) => {
          assert.ok(error instanceof InvalidRequest, String(error))
          const { code, pointer, detail } = error
          assert.deepEqual({ code, pointer, detail }, one.problem)
          return true
        })
      })
    }
  })
}
