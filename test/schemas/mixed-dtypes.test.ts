/** Requests of several dtypes: what the kernel reads as it was sent is neither converted nor copied on its way to the engine. */
import { describe, expect, it } from 'vitest'
import { assemble } from '../../src/batching/assemble.ts'
import type { Job } from '../../src/batching/job.ts'
import { detectTarget, KernelCache } from '../../src/engines/compiled/kernel-cache.ts'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { Decoded } from '../../src/wire/define.ts'
import { toHalf } from '../../src/wire/dtypes.ts'
import safetensors from '../../src/wire/safetensors/index.ts'
import { check, evaluate, openInterpreter } from '../support/evaluate.ts'

const { find } = await loadCatalog()
const kernels = new KernelCache(detectTarget())
const ROWS = 6

const CODES = new Map<unknown, string>([
  [Float64Array, 'F64'],
  [Float32Array, 'F32'],
  [BigInt64Array, 'I64'],
  [Int32Array, 'I32'],
  [Uint16Array, 'F16'],
  [Uint8Array, 'BOOL'],
])

interface Sent {
  readonly data: Float64Array | Float32Array | BigInt64Array | Int32Array | Uint16Array | Uint8Array
  readonly shape?: readonly number[]
}

/** A body whose tensors are aligned, as the reference writer makes them: the widest first. */
function decoded(tensors: Readonly<Record<string, Sent>>): Decoded {
  const header: Record<string, object> = {}
  let at = 0
  for (const [name, { data, shape = [data.length] }] of Object.entries(tensors)) {
    const end = at + data.byteLength
    header[name] = { dtype: CODES.get(data.constructor), shape, data_offsets: [at, end] }
    at = end
  }
  const text = JSON.stringify(header)
  const start = Math.ceil((8 + text.length) / 8) * 8
  const body = new Uint8Array(new ArrayBuffer(start + at))
  new DataView(body.buffer).setBigUint64(0, BigInt(start - 8), true)
  body.set(Buffer.from(text.padEnd(start - 8)), 8)
  let place = start
  for (const { data } of Object.values(tensors)) {
    body.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), place)
    place += data.byteLength
  }
  return safetensors.decode(body, { maxElements: 1000, maxTensors: 8 })
}

function jobOf(loss: string, tensors: Readonly<Record<string, Sent>>) {
  const body = decoded(tensors)
  const { job } = check(find(loss)!, body.tensors)
  return { job, body }
}

/** Whether an input of the job is the memory of the body. */
const isSent = ({ job, body }: { job: Job; body: Decoded }, name: string) =>
  job.inputs[name] === body.tensors.get(name)!.data

const wave = (length: number) => Array.from({ length }, (_, i) => Math.sin(3 * i))
const logits = { data: Float64Array.from(wave(ROWS * 3)), shape: [ROWS, 3] }
const halves = { data: Uint16Array.from(wave(ROWS * 3), toHalf), shape: [ROWS, 3] }

describe('float64 predictions and float32 targets', () => {
  const made = jobOf('huber', {
    predictions: { data: Float64Array.from(wave(ROWS)) },
    targets: { data: Float32Array.from(wave(ROWS)) },
  })

  it('reach the engine in the memory of the body', () => {
    expect(made.job.precision).toBe('float64')
    expect(['predictions', 'targets'].map((name) => isSent(made, name))).toEqual([true, true])
    expect(made.body.tensors.get('targets')!.data.buffer).toBe(
      made.body.tensors.get('predictions')!.data.buffer,
    )
  })

  it('are read by a kernel that widens the targets as it loads them', () => {
    const { types, plan } = kernels.kernelFor(assemble([made.job]))
    expect(plan.buffers.filter(({ role }) => role === 'input').map(({ name }) => name)).toContain('targets')
    expect([...types.narrow]).toEqual(['targets'])
  })
})

describe('labels', () => {
  it('of int32 reach the engine in the memory of the body, beside float64 and beside float32', () => {
    for (const predictions of [logits, { ...logits, data: Float32Array.from(logits.data) }]) {
      const labels = { data: Int32Array.from({ length: ROWS }, (_, i) => i % 3) }
      const made = jobOf('cross_entropy', { predictions, targets: labels })
      expect(['predictions', 'targets'].map((name) => isSent(made, name))).toEqual([true, true])
    }
  })

  it('of int64 are narrowed once, where they are checked', () => {
    const labels = { data: BigInt64Array.from({ length: ROWS }, (_, i) => BigInt(i % 3)) }
    const made = jobOf('cross_entropy', { predictions: logits, targets: labels })
    expect(made.job.inputs.targets).toEqual(Int32Array.from({ length: ROWS }, (_, i) => i % 3))
    expect(isSent(made, 'targets')).toBe(true)
  })

  it('that are numbers to the formula are converted by the engine while it copies them', () => {
    const targets = { data: Uint8Array.from({ length: ROWS }, (_, i) => i % 2) }
    for (const data of [Float64Array.from(wave(ROWS)), Float32Array.from(wave(ROWS))]) {
      const made = jobOf('binary_cross_entropy_with_logits', { predictions: { data }, targets })
      expect(isSent(made, 'targets')).toBe(true)
      expect([...kernels.kernelFor(assemble([made.job])).types.narrow]).toEqual([])
    }
  })
})

describe('float16 predictions', () => {
  it('with float64 weights are widened once, to float32, and computed in float64', () => {
    const labels = { data: Int32Array.from({ length: ROWS }, (_, i) => i % 3) }
    const made = jobOf('cross_entropy', {
      class_weights: { data: Float64Array.of(0.1, 0.2, 0.7) },
      targets: labels,
      predictions: halves,
    })
    expect(made.job.precision).toBe('float64')
    expect(['predictions', 'targets', 'class_weights'].map((name) => isSent(made, name))).toEqual([
      true,
      true,
      true,
    ])
    expect(made.job.inputs.predictions).toBeInstanceOf(Float32Array)
    expect([...kernels.kernelFor(assemble([made.job])).types.narrow]).toEqual(['predictions'])
  })
})

describe('the results of mixed requests', () => {
  const targets = Uint8Array.from({ length: ROWS }, (_, i) => i % 2)
  const cases: readonly (readonly [string, string, Readonly<Record<string, Sent>>])[] = [
    [
      'float64 and float32',
      'huber',
      { predictions: { data: Float64Array.from(wave(ROWS)) }, targets: { data: new Float32Array(ROWS) } },
    ],
    [
      'float64 and bool',
      'sigmoid_focal',
      { predictions: { data: Float64Array.from(wave(ROWS)) }, targets: { data: targets } },
    ],
    [
      'float32 and int32',
      'sigmoid_focal',
      { predictions: { data: Float32Array.from(wave(ROWS)) }, targets: { data: Int32Array.from(targets) } },
    ],
    [
      'float16 and bool',
      'sigmoid_focal',
      { predictions: { data: Uint16Array.from(wave(ROWS), toHalf) }, targets: { data: targets } },
    ],
  ]

  it.each(cases)('are those of the definition: %s', async (_, loss, tensors) => {
    const engine = (await compiled.open('test')) as Engine
    try {
      const [got, want] = [engine, await openInterpreter()].map((own) =>
        evaluate(own, find(loss)!, decoded(tensors).tensors),
      )
      const [mine, theirs] = [await got!, await want!]
      const digits = mine.loss.dtype === 'float64' ? 13 : 6
      expect(mine.loss.data[0]).toBeCloseTo(theirs.loss.data[0]!, digits)
      const gradient = mine.gradients.get('predictions')!.data
      const expected = theirs.gradients.get('predictions')!.data
      for (const [i, x] of Array.from(expected).entries()) expect(gradient[i]).toBeCloseTo(x, digits)
    } finally {
      await engine.close()
    }
  })

  it('are the same whether jobs of different dtypes share a batch or not', async () => {
    const engine = (await compiled.open('test')) as Engine
    try {
      const jobs = cases.slice(2).map(([, loss, tensors]) => jobOf(loss, tensors).job)
      const [a, b] = jobs as [Job, Job]
      expect(a.mergeKey).toBe(b.mergeKey)
      const together = await engine.run(assemble([a, b]))
      const alone = await Promise.all(jobs.map((job) => engine.run(assemble([job]))))
      expect([...together.gradients.predictions!]).toEqual(
        alone.flatMap(({ gradients }) => [...gradients.predictions!]),
      )
    } finally {
      await engine.close()
    }
  })
})
