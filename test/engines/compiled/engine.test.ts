/** The compiled engine around its kernels: which thread runs what, memory, and threads that die. */
import type { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { assemble } from '../../../src/batching/assemble.ts'
import { Arena, Arenas } from '../../../src/engines/compiled/arena.ts'
import { type CompiledOptions, openCompiled } from '../../../src/engines/compiled/engine.ts'
import { compile, surelyCompiles } from '../../../src/engines/compiled/kernel.ts'
import { KernelCache } from '../../../src/engines/compiled/kernel-cache.ts'
import { lanesOf } from '../../../src/engines/compiled/lane-type.ts'
import { instantiate } from '../../../src/engines/compiled/launch.ts'
import { KernelTrapped, Pool } from '../../../src/engines/compiled/worker-pool.ts'
import { type Batch, type Engine, EngineLost, OutOfMemory } from '../../../src/engines/contract.ts'
import type { Program } from '../../../src/language/ir.ts'
import { lower } from '../../../src/language/lower.ts'
import { parse } from '../../../src/language/parse.ts'
import { customLoss, defaultSignature } from '../../../src/losses/custom.ts'
import { loadCatalog } from '../../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../../src/losses/program.ts'
import type { DecodedTensor } from '../../../src/wire/define.ts'
import { bitsOf } from '../../support/close.ts'
import { closedAfterEach } from '../../support/engines.ts'
import { check } from '../../support/evaluate.ts'
import { SCOPE } from '../../support/formulas.ts'

const { losses } = await loadCatalog()
const lossOf = (name: string) => losses.find((loss) => loss.name === name)!

function real(data: Float32Array, shape: readonly number[]): DecodedTensor {
  return { dtype: 'float32', shape, data, encoding: 'binary', typed: true }
}

function batchOf(rows: number, columns: number, params: Record<string, number> = {}): Batch {
  const data = (phase: number) => Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i + phase))
  const shape = [rows, columns]
  const tensors = new Map([
    ['predictions', real(data(0), shape)],
    ['targets', real(data(1), shape)],
  ])
  return assemble([check(lossOf('huber'), tensors, { params }).job])
}

const closed = closedAfterEach()
const open = (options: Partial<CompiledOptions> = {}) =>
  closed(openCompiled({ reason: 'test', threads: 2, memoryBytes: 2 ** 28, log: () => {}, ...options }))

const bits = ({ values, gradients }: Pick<Awaited<ReturnType<Engine['run']>>, 'values' | 'gradients'>) => [
  bitsOf(values.slice()),
  ...Object.values(gradients).map((data) => bitsOf(data.slice())),
]

describe('the compiled engine', () => {
  it('computes tiny batches at once and leaves the others to its threads', () => {
    const engine = open()
    expect(engine.runNow!(batchOf(8, 4))?.engine).toBe('compiled')
    expect(engine.runNow!(batchOf(4000, 1000))).toBeUndefined()
  })

  it('gives the same bits on this thread, on another thread, and in slices on several', async () => {
    const batch = batchOf(3000, 100)
    const alone = await open({ threads: 0 }).run(batch)
    const spread = await open({ threads: 3 }).run(batch)
    expect(bits(spread)).toEqual(bits(alone))
    spread.release?.()
  })

  it('keeps the memory of a result until it is released', async () => {
    const engine = open()
    const before = await engine.stats()
    const result = await engine.run(batchOf(200, 50))
    expect((await engine.stats()).tensors).toBe(before.tensors + 1)
    result.release!()
    expect((await engine.stats()).tensors).toBe(before.tensors)
  })

  it('computes the next batch of the same structure from its own numbers, even if the memory has grown in between', () => {
    const engine = open()
    const first = batchOf(8, 4)
    const next = { ...first, inputs: batchOf(8, 4).inputs, scalars: first.scalars }
    next.inputs.targets[0].fill(3)
    const alone = bits(open().runNow!(next)!)
    const once = bits(engine.runNow!(first)!)
    expect(bits(engine.runNow!(next)!)).toEqual(alone)
    expect(bits(engine.runNow!(first)!)).toEqual(once)
    engine.runNow!(batchOf(100, 200))
    expect(bits(engine.runNow!(next)!)).toEqual(alone)
    expect(once).not.toEqual(alone)
  })

  it('notices that only the cotangent or a parameter differs', () => {
    const engine = open()
    const batch = batchOf(8, 4)
    const variants = [
      batch,
      { ...batch, cotangent: [Float32Array.of(2)] },
      { ...batch, scalars: { delta: 0.25 } },
    ]
    const alone = variants.map((variant) => bits(open().runNow!(variant)!))
    expect(variants.map((variant) => bits(engine.runNow!(variant)!))).toEqual(alone)
    expect(variants.map((variant) => bits(engine.runNow!(variant)!))).toEqual(alone)
    expect(new Set(alone.map((one) => JSON.stringify(one))).size).toBe(3)
  })

  it('reads the one cotangent of sums anew at every step, whatever ran between', () => {
    const engine = open()
    const batch: Batch = {
      programKey: 'centered',
      program: lower(parse('x - mean(x, columns)'), SCOPE, ['x']),
      precision: 'float32',
      sizes: { rows: 3, columns: 4 },
      scalars: {},
      inputs: { x: [Float32Array.from({ length: 12 }, (_, i) => Math.cos(i))] },
      cotangent: [Float32Array.of(0.3)],
    }
    const alone = bits(open().runNow!(batch)!)
    for (let step = 0; step < 3; step++) {
      expect(bits(engine.runNow!(batch)!)).toEqual(alone)
      engine.runNow!(batchOf(8, 4))
    }
    const each = { ...batch, cotangent: [new Float32Array(12).fill(0.3)] }
    expect(bits(engine.runNow!(each)!)).toEqual(alone)
  })

  it('computes float64 in float64, on any thread, and keeps the kernels of both precisions apart', async () => {
    const single = batchOf(3000, 100)
    const inputs = Object.fromEntries(
      Object.entries(single.inputs).map(([name, column]) => [
        name,
        column.map((part) => Float64Array.from(part)),
      ]),
    )
    const batch: Batch = { ...single, precision: 'float64', inputs, cotangent: [Float64Array.of(0.1)] }
    const engine = open({ threads: 3 })
    const alone = await open({ threads: 0 }).run(batch)
    const spread = await engine.run(batch)
    expect(alone.values).toBeInstanceOf(Float64Array)
    expect(bits(spread)).toEqual(bits(alone))
    spread.release?.()
    const narrow = await engine.run(single)
    expect(narrow.values).toBeInstanceOf(Float32Array)
    narrow.release?.()
    const small = (precision: 'float32' | 'float64') => ({ ...batchOf(8, 4), precision })
    expect(open().runNow!(small('float64'))?.values).toBeInstanceOf(Float64Array)
    expect(open().runNow!(small('float32'))?.values).toBeInstanceOf(Float32Array)
  })

  it('loads float32 inputs of a float64 batch as they are', () => {
    const kernels = new KernelCache({ relaxed: false })
    const batch: Batch = { ...batchOf(8, 4), precision: 'float64' }
    const wide = Float64Array.from(batch.inputs.predictions![0]!)
    const mixed = { ...batch, inputs: { ...batch.inputs, predictions: [wide] } }
    expect([...kernels.kernelFor(batch).types.narrow]).toEqual(['predictions', 'targets'])
    expect([...kernels.kernelFor(mixed).types.narrow]).toEqual(['targets'])
  })

  it('rejects a formula whose kernel would be too large as unsupported', async () => {
    const batch = batchOf(2, 2)
    const nodes = [...batch.program.nodes]
    let last = batch.program.value
    for (let i = 0; i < 8000; i++) {
      nodes.push({ op: 'pow', args: [last, last], type: 'real', axes: nodes[last]!.axes })
      last = nodes.push({ op: 'exp', args: [nodes.length - 1], type: 'real', axes: nodes[last]!.axes }) - 1
    }
    const program: Program = { ...batch.program, nodes, value: last }
    await expect(open().run({ ...batch, program })).rejects.toThrow(/it has \d+ operations, the limit is/)
  })

  it('rejects a launch that can never fit into its memory, and still runs others', async () => {
    const engine = open({ memoryBytes: 2 ** 20 })
    await expect(engine.run(batchOf(2000, 1000))).rejects.toBeInstanceOf(OutOfMemory)
    const result = await engine.run(batchOf(20, 10))
    expect(result.values.length).toBe(200)
    result.release!()
  })

  it('fails the launches of a thread that dies, and starts another', async () => {
    const workers: Worker[] = []
    const engine = open({ threads: 1, onStart: (worker) => workers.push(worker) })
    ;(await engine.run(batchOf(100, 100))).release!()
    const running = engine.run(batchOf(4000, 1000))
    await new Promise((resolve) => setImmediate(resolve))
    await workers[0]!.terminate()
    await expect(running).rejects.toBeInstanceOf(EngineLost)
    while (!engine.isReady) await new Promise((resolve) => setTimeout(resolve, 10))
    ;(await engine.run(batchOf(100, 100))).release!()
    expect(workers.length).toBe(2)
  })
})

describe('kernels', () => {
  it('are compiled once for all sizes, and again if a parameter switches something off', () => {
    const kernels = new KernelCache({ relaxed: false })
    expect(kernels.kernelFor(batchOf(2, 3))).toBe(kernels.kernelFor(batchOf(5, 7)))
    const tensors = new Map([
      ['predictions', real(new Float32Array(6), [2, 3])],
      ['targets', { ...real(new Float32Array(2), [2]), dtype: 'int32' as const, data: new Int32Array(2) }],
    ])
    const smoothed = (label_smoothing: number) =>
      kernels.kernelFor(
        assemble([check(lossOf('cross_entropy'), tensors, { params: { label_smoothing } }).job]),
      )
    expect(smoothed(0.1)).toBe(smoothed(0.2))
    expect(smoothed(0).bytes.length).toBeLessThan(smoothed(0.1).bytes.length)
  })

  it('are evicted from the cache (LRU)', () => {
    const kernels = new KernelCache({ relaxed: false })
    const batch = batchOf(2, 2)
    for (let i = 0; i < 600; i++)
      kernels.kernelFor({ ...batch, program: { ...batch.program }, scalars: { ...batch.scalars } })
    expect(kernels.size).toBeLessThanOrEqual(512)
  })

  it('are evicted when they take too much memory in total, the least recently used first', () => {
    const evicted: number[] = []
    const kernels = new KernelCache({ relaxed: false }, undefined, ({ id }) => evicted.push(id))
    const inUse = batchOf(2, 2)
    const { id } = kernels.kernelFor(inUse)
    const large = largeBatch()
    for (let i = 0; i < 50; i++) {
      kernels.kernelFor({ ...large, program: { ...large.program }, scalars: { ...large.scalars } })
      expect(kernels.recent(inUse)!.id).toBe(id)
    }
    expect(kernels.bytes).toBeLessThanOrEqual(2 * 1024 * 1024)
    expect(evicted.length).toBeGreaterThan(10)
    expect(evicted).not.toContain(id)
  })

  it('are predicted without being compiled, and only if they compile', () => {
    const programs = createProgramSource()
    const small = losses.map((loss) => programs(loss, defaultSignature(loss)).program).filter(surelyCompiles)
    expect(small.length).toBeGreaterThan(50)
    for (const program of small) {
      const { bytes } = compile(program, { uniform: false, staticPredicates: new Map() }, { relaxed: false })
      // Far from the limit of 512 kB.
      expect(bytes.length).toBeLessThan(64 * 1024)
    }
    const sorted = customLoss({
      inputs: { x: { axes: 'rows,steps' } },
      formula: 'sum(sort(x, steps), steps)',
    })
    expect(surelyCompiles(programs(sorted, defaultSignature(sorted)).program)).toBe(true)
  })

  it('take at most 40 kB, but for those that are named here', () => {
    const large = new Set(['distillation_kl', 'lambda_rank'])
    const programs = createProgramSource()
    for (const loss of losses) {
      const { program } = programs(loss, defaultSignature(loss))
      for (const precision of ['float32', 'float64'] as const) {
        const types = { lane: lanesOf(precision), narrow: new Set<string>() }
        const variant = { uniform: true, staticPredicates: new Map() }
        const { bytes } = compile(program, variant, { relaxed: true }, types)
        if (bytes.length > 40_000) expect(large, `${loss.name}: ${bytes.length} bytes`).toContain(loss.name)
      }
    }
  })

  it('are compiled again after eviction, to the same bytes', () => {
    const kernels = new KernelCache({ relaxed: false })
    const batch = batchOf(2, 2)
    const before = kernels.kernelFor(batch)
    for (let i = 0; i < 600; i++)
      kernels.kernelFor({ ...batch, program: { ...batch.program }, scalars: { ...batch.scalars } })
    expect(kernels.recent(batch)).toBeUndefined()
    const after = kernels.kernelFor(batch)
    expect(after).not.toBe(before)
    expect(after.bytes).toEqual(before.bytes)
  })

  it('cannot access memory out of bounds', () => {
    const { kernel, arena, at } = outOfBounds()
    expect(() => instantiate(kernel.module, arena.memory)(at)).toThrow(/out of bounds/)
  })
})

/** A batch whose kernel has about 80 kB. */
function largeBatch(): Batch {
  const loss = customLoss({
    inputs: { x: { axes: 'rows,classes', differentiable: true } },
    formula: Array.from({ length: 12 }, (_, i) => `sum(softmax(x * ${i + 1}, classes) * x, classes)`).join(
      ' + ',
    ),
  })
  return assemble([check(loss, new Map([['x', real(new Float32Array(6), [2, 3])]]), {}).job])
}

/** A kernel whose argument places its arrays beyond the memory. */
function outOfBounds() {
  const kernel = new KernelCache({ relaxed: false }).kernelFor(batchOf(2, 2))
  const arena = new Arena()
  kernel.words.forEach(({ kind }, i) => {
    arena.words[i] = kind === 'base' ? 2 ** 30 : kind === 'first' ? 0 : 64
  })
  return { kernel, arena, at: 0 }
}

describe('the pool', () => {
  it('fails only the slice whose kernel traps', async () => {
    const pool = new Pool({ threads: 1, log: () => {} })
    const { kernel, arena, at } = outOfBounds()
    const sound = new Arena()
    const [failed, fine] = await Promise.allSettled([pool.run(kernel, arena, at), pool.run(kernel, sound, 0)])
    expect(failed.status === 'rejected' && failed.reason).toBeInstanceOf(KernelTrapped)
    expect(fine.status).toBe('fulfilled')
    await pool.close()
  })
})

describe('memories', () => {
  const arenas = (bytes: number, keptBytes = 2 ** 20) => {
    const dropped: Arena[] = []
    return { dropped, pool: new Arenas({ bytes, keptBytes }, (arena) => dropped.push(arena)) }
  }

  it('are reused', async () => {
    const { pool } = arenas(2 ** 24)
    const first = await pool.take(1000)
    pool.giveBack(first)
    expect(await pool.take(2000)).toBe(first)
  })

  it('are waited for in a queue when all bytes are in use', async () => {
    const { pool } = arenas(2 ** 20)
    const first = await pool.take(2 ** 20)
    const order: string[] = []
    const second = pool.take(2 ** 19).then((arena) => order.push('second') && arena)
    const third = pool.take(2 ** 19).then((arena) => order.push('third') && arena)
    await Promise.resolve()
    expect(order).toEqual([])
    pool.giveBack(first)
    await Promise.all([second, third])
    expect(order).toEqual(['second', 'third'])
    expect(pool.lent).toBe(2)
  })

  it('are kept for slow clients up to a quarter of the bytes', async () => {
    const { pool } = arenas(2 ** 20)
    const sizes = [2 ** 17, 2 ** 17, 2 ** 16]
    const [first, second, third] = await Promise.all(sizes.map((bytes) => pool.take(bytes)))
    expect([pool.keep(first!), pool.keep(second!), pool.keep(third!)]).toEqual([true, true, false])
    expect(pool.keep(first!)).toBe(true)
    pool.giveBack(second!)
    expect(pool.keep(third!)).toBe(true)
  })

  it('that have grown too large are dropped', async () => {
    const { pool, dropped } = arenas(2 ** 26, 2 ** 16)
    const large = await pool.take(2 ** 22)
    pool.giveBack(large)
    expect(dropped).toEqual([large])
    expect(pool.bytes).toBe(0)
  })
})
