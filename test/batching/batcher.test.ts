/** The batcher: a result does not depend on what else is in the batch, and no job waits for ever. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Batcher, type BatcherLimits, Cancelled, createBatcher } from '../../src/batching/batcher.ts'
import type { Job, JobResult } from '../../src/batching/job.ts'
import { type Batch, type BatchResult, type Engine, EngineLost } from '../../src/engines/contract.ts'
import wasm from '../../src/engines/wasm.ts'
import { Problem } from '../../src/errors.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { bitsOf } from '../support/close.ts'
import { check, openInterpreter } from '../support/evaluate.ts'
import { sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const named = (name: string) => losses.find((loss) => loss.name === name)!
const LIMITS: BatcherLimits = {
  queueJobs: 100,
  queueElements: 1e6,
  queueBytes: 1e7,
  batchElements: 200,
  batchBytes: 1e6,
  maxDelayMs: 0,
}

interface Recorded {
  readonly shed: string[]
  readonly batches: number[]
}

function batcherOn(
  engine: Engine,
  limits: Partial<BatcherLimits> = {},
): { batcher: Batcher; recorded: Recorded } {
  const recorded: Recorded = { shed: [], batches: [] }
  const events = {
    queued: () => {},
    ran: ({ jobs }: { jobs: number }) => void recorded.batches.push(jobs),
    shed: (reason: string) => void recorded.shed.push(reason),
  }
  return { batcher: createBatcher({ engine, events, limits: { ...LIMITS, ...limits } }), recorded }
}

/** An engine whose batches finish when the test decides. */
function steppedEngine(inner: Engine) {
  const started: Batch[] = []
  const gates: (() => void)[] = []
  const engine: Engine = {
    ...inner,
    run: async (batch) => {
      started.push(batch)
      await new Promise<void>((resolve) => gates.push(resolve))
      return inner.run(batch)
    },
  }
  return { engine, started, next: () => gates.shift()?.() }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))
const huberJob = (rows = 3, extra: Partial<Job> = {}): Job => ({
  ...check(named('huber'), sampleTensors(named('huber'), { seed: rows, rows })).job,
  ...extra,
})
const codeOf = async (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof Problem ? error.code : (error as Error).name),
  )

describe('any interleaving of jobs', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = (await wasm.open('test')) as Engine
  })
  afterAll(async () => expect((await engine.stats()).tensors).toBe(0))

  const names = [
    'huber',
    'mse',
    'cross_entropy',
    'sigmoid_focal',
    'triplet_margin',
    'pairwise_logistic_ranking',
    'nt_xent',
    'dice',
  ]
  const jobs = fc.array(
    fc.record({
      name: fc.constantFrom(...names),
      rows: fc.integer({ min: 1, max: 9 }),
      seed: fc.integer({ min: 0, max: 1e6 }),
      reduction: fc.constantFrom('mean', 'sum', 'none', 'batchmean'),
      poisoned: fc.boolean(),
      perClass: fc.boolean(),
      pause: fc.integer({ min: 0, max: 2 }),
    }),
    { minLength: 2, maxLength: 24 },
  )

  it('gives each job bit for bit the result that it gets alone, even next to NaN', async () => {
    const property = fc.asyncProperty(
      jobs,
      fc.integer({ min: 20, max: 400 }),
      async (drawn, batchElements) => {
        const { batcher } = batcherOn(engine, { batchElements })
        const running: { job: Job; result: Promise<JobResult> }[] = []
        for (const { name, rows, seed, reduction, poisoned, perClass, pause } of drawn) {
          const draw = (_: () => number, kind: string) =>
            poisoned && kind === 'real' ? Number.NaN : undefined
          const { job } = check(
            named(name),
            sampleTensors(named(name), { seed, rows, draw, bare: seed % 2 === 0, perClass }),
            { reduction },
          )
          running.push({ job, result: batcher.submit(job) })
          for (let i = 0; i < pause; i++) await turn()
        }
        for (const { job, result } of running) {
          const [merged, alone] = [await result, await batcherOn(engine).batcher.submit(job)]
          expect(bitsOf(merged.values)).toBe(bitsOf(alone.values))
          for (const [name, data] of Object.entries(alone.gradients))
            expect(bitsOf(merged.gradients[name]!)).toBe(bitsOf(data))
        }
      },
    )
    await fc.assert(property, { numRuns: 25 })
  })
})

describe('the batcher', () => {
  let interpreter: Engine
  beforeAll(async () => {
    interpreter = await openInterpreter()
  })

  it('runs a single job at once, and batches the jobs that arrive while it runs', async () => {
    const { engine, started, next } = steppedEngine(interpreter)
    const { batcher, recorded } = batcherOn(engine)
    const results = [batcher.submit(huberJob())]
    await turn()
    expect(started).toHaveLength(1)
    results.push(batcher.submit(huberJob()))
    await turn()
    expect(started, 'one batch is handed over ahead').toHaveLength(2)
    for (let i = 0; i < 5; i++) results.push(batcher.submit(huberJob()))
    await turn()
    expect(batcher.depth().jobs).toBe(5)
    while (recorded.batches.length < 3) {
      next()
      await turn()
    }
    await Promise.all(results)
    expect(recorded.batches).toEqual([1, 1, 5])
  })

  it('batches jobs that arrive in the same event loop iteration', async () => {
    const { batcher, recorded } = batcherOn(interpreter)
    const results = await Promise.all([1, 2, 3].map((rows) => batcher.submit(huberJob(rows))))
    expect(recorded.batches).toEqual([3])
    expect(results[0]!.timing.batchJobs).toBe(3)
  })

  it('keeps batches within their budget, but runs a job that exceeds it alone', async () => {
    const { batcher, recorded } = batcherOn(interpreter, { batchElements: 30 })
    await Promise.all([3, 3, 3, 40].map((rows) => batcher.submit(huberJob(rows))))
    expect(recorded.batches).toEqual([2, 1, 1])
  })

  it('never merges a batch-coupled loss', async () => {
    const { batcher, recorded } = batcherOn(interpreter)
    const loss = named('nt_xent')
    await Promise.all(
      [1, 2].map((seed) => batcher.submit(check(loss, sampleTensors(loss, { seed, rows: 4 })).job)),
    )
    expect(recorded.batches).toEqual([1, 1])
  })

  it('alternates between groups (round robin), so that many requests for one loss do not starve another', async () => {
    const { engine, started, next } = steppedEngine(interpreter)
    const { batcher } = batcherOn(engine, { batchElements: 12 })
    const flood = Array.from({ length: 8 }, () => batcher.submit(huberJob(1)))
    const other = named('mse')
    const late = batcher.submit(check(other, sampleTensors(other, { seed: 1 })).job)
    let done = false
    void late.then(() => {
      done = true
    })
    while (!done) {
      await turn()
      next()
    }
    expect(started.length).toBeLessThanOrEqual(4)
    const rest = Promise.all(flood)
    const pump = setInterval(next, 1)
    await rest
    clearInterval(pump)
  })

  it('rejects at once when the queue is full, with Retry-After', async () => {
    const { engine, next } = steppedEngine(interpreter)
    const { batcher, recorded } = batcherOn(engine, { queueJobs: 2 })
    const accepted: Promise<unknown>[] = []
    for (let i = 0; i < 2; i++) {
      accepted.push(batcher.submit(huberJob()))
      await turn()
    }
    accepted.push(batcher.submit(huberJob()), batcher.submit(huberJob()))
    const refused = await batcher.submit(huberJob()).catch((error: Problem) => error)
    expect(refused).toMatchObject({ code: 'overloaded', status: 429 })
    expect((refused as Problem).options.retryAfter).toBeGreaterThanOrEqual(1)
    expect(recorded.shed).toEqual(['overloaded'])
    const pump = setInterval(next, 1)
    await Promise.all(accepted)
    clearInterval(pump)
  })

  it('refuses a request that looks like one that was refused, before its body is read', async () => {
    const { engine, next } = steppedEngine(interpreter)
    const { batcher, recorded } = batcherOn(engine, { queueJobs: 2 })
    const announced = { kind: 'huber json', bytes: 1000 }
    const refusal = (request: Parameters<Batcher['admit']>[0]) => {
      try {
        return batcher.admit(request)
      } catch (error) {
        return (error as Problem).code
      }
    }
    expect(refusal({ announced })).toBeUndefined()
    const accepted: Promise<unknown>[] = []
    for (let i = 0; i < 4; i++) {
      accepted.push(batcher.submit(huberJob(3, { announced })))
      await turn()
    }
    expect(refusal({ announced })).toBe('overloaded')
    // Nothing is known of another kind, or of another size.
    expect(refusal({ announced: { kind: 'mse json', bytes: 1000 } })).toBeUndefined()
    expect(refusal({ announced: { kind: 'huber json', bytes: 100 } })).toBeUndefined()
    expect(recorded.shed).toEqual(['overloaded'])
    const pump = setInterval(next, 1)
    await Promise.all(accepted)
    clearInterval(pump)
    expect(refusal({ announced })).toBeUndefined()
  })

  it.each([
    ['elements', { queueElements: 20 }],
    ['bytes', { queueBytes: 80 }],
  ])('limits the queue in %s, not only in requests', async (_, limits) => {
    const { engine, next } = steppedEngine(interpreter)
    const { batcher } = batcherOn(engine, limits)
    const codes = Array.from({ length: 4 }, () => codeOf(batcher.submit(huberJob(3))))
    const pump = setInterval(next, 1)
    expect(await Promise.all(codes)).toEqual(['answered', 'overloaded', 'overloaded', 'overloaded'])
    clearInterval(pump)
  })

  /** Sends jobs at five times the speed of an engine that takes so long for each at a moment. */
  async function flood(computeMs: (now: number) => number) {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate', 'performance'],
    })
    try {
      const began = performance.now()
      const slow: Engine = {
        ...interpreter,
        run: async (batch) => {
          const ms = computeMs(performance.now() - began)
          await new Promise((resolve) => setTimeout(resolve, ms))
          return { ...(await interpreter.run(batch)), computeMs: ms }
        },
      }
      const { batcher } = batcherOn(slow, { queueJobs: 10_000, queueElements: 1e9, queueBytes: 1e9 })
      const found: { at: number; ms: number; code: string }[] = []
      const job = huberJob(1, { mergeKey: undefined })
      for (let now = 0; now < 6000; now++) {
        const at = performance.now()
        const note = (code: string) => void found.push({ at: now, ms: performance.now() - at, code })
        void codeOf(batcher.submit({ ...job, deadline: at + 400 })).then(note)
        await vi.advanceTimersByTimeAsync(1)
      }
      await vi.advanceTimersByTimeAsync(1000)
      return found.filter(({ at }) => at > 2000)
    } finally {
      vi.useRealTimers()
    }
  }

  it.each([
    ['', 0.05, () => 10],
    [
      ', even if some take ten times as long',
      0.05,
      (now: number) => (Math.floor(now / 10) % 10 === 0 ? 55 : 5),
    ],
    // What was accepted while it was fast is late when it is slow.
    [
      ', even if the engine becomes slower and faster again',
      0.15,
      (now: number) => (now % 2000 < 1000 ? 7 : 13),
    ],
  ])(
    'at five times what it can do, answers in time what it accepts, and refuses the rest at once%s',
    async (_, late, ms) => {
      const found = await flood(ms)
      const of = (code: string) => found.filter((one) => one.code === code)
      // Two batches at once are 200 jobs a second, for 4 seconds.
      expect(of('answered').length).toBeGreaterThan(0.9 * 800)
      expect(of('deadline-exceeded').length).toBeLessThan(late * of('answered').length)
      const refusals = of('overloaded')
        .map((one) => one.ms)
        .sort((a, b) => a - b)
      expect(refusals[Math.floor(0.98 * refusals.length)]).toBeLessThan(20)
    },
  )

  it('drops the queued job of a client that has disconnected', async () => {
    const { engine, started, next } = steppedEngine(interpreter)
    const { batcher, recorded } = batcherOn(engine)
    const first = [batcher.submit(huberJob())]
    await turn()
    first.push(batcher.submit(huberJob()))
    await turn()
    const controller = new AbortController()
    const gone = batcher.submit(huberJob(3, { signal: () => controller.signal }))
    const stays = batcher.submit(huberJob(2))
    controller.abort()
    await expect(gone).rejects.toBeInstanceOf(Cancelled)
    expect(batcher.depth().jobs).toBe(1)
    const pump = setInterval(next, 1)
    await Promise.all([...first, stays])
    clearInterval(pump)
    expect(started[2]!.sizes['...']).toBe(4)
    expect(recorded.shed).toEqual(['cancelled'])
  })

  it('does not queue a job whose client has already disconnected', async () => {
    const { batcher } = batcherOn(interpreter)
    await expect(batcher.submit(huberJob(3, { signal: () => AbortSignal.abort() }))).rejects.toBeInstanceOf(
      Cancelled,
    )
  })

  it('rejects a job whose deadline has passed before it is queued, without a warning from Node', async () => {
    const warnings: string[] = []
    const note = ({ name }: Error) => void warnings.push(name)
    process.on('warning', note)
    const { engine, next } = steppedEngine(await openInterpreter())
    const { batcher } = batcherOn(engine)
    expect(await codeOf(batcher.submit(huberJob(3, { deadline: performance.now() - 5 })))).toBe(
      'deadline-exceeded',
    )
    await turn()
    next()
    process.off('warning', note)
    expect(warnings).toEqual([])
  })

  it('enforces deadlines while a job is queued and while it runs', async () => {
    const { engine, next } = steppedEngine(interpreter)
    const { batcher, recorded } = batcherOn(engine)
    const soon = () => performance.now() + 20
    const running = codeOf(batcher.submit(huberJob(3, { deadline: soon() })))
    await turn()
    const ahead = batcher.submit(huberJob())
    await turn()
    const queued = codeOf(batcher.submit(huberJob(3, { deadline: soon() })))
    expect(await Promise.all([running, queued])).toEqual(['deadline-exceeded', 'deadline-exceeded'])
    expect(batcher.depth().jobs).toBe(0)
    const pump = setInterval(next, 1)
    await ahead
    clearInterval(pump)
    expect(recorded.shed).toEqual(['deadline', 'deadline'])
  })

  it('isolates a failing job from the others in its batch', async () => {
    const failing: Engine = {
      ...interpreter,
      run: async (batch) => {
        if (batch.inputs.predictions!.some((part) => part.includes(666))) throw new Error('a bug in a kernel')
        return interpreter.run(batch)
      },
    }
    const { batcher } = batcherOn(failing)
    const bad = huberJob(3, { inputs: { ...huberJob(3).inputs, predictions: new Float32Array(6).fill(666) } })
    const results = await Promise.allSettled(
      [huberJob(1), bad, huberJob(2)].map((job) => batcher.submit(job)),
    )
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })

  it.each(['values', 'gradients'])(
    'gives no job the numbers of another if an engine returns too few %s',
    async (what) => {
      const short: Engine = {
        ...interpreter,
        run: async (batch) => {
          const result = await interpreter.run(batch)
          const cut = <T extends BatchResult['values']>(numbers: T) => numbers.subarray(1) as T
          if (what === 'values') return { ...result, values: cut(result.values) }
          const gradients = Object.entries(result.gradients).map(([name, found]) => [name, cut(found)])
          return { ...result, gradients: Object.fromEntries(gradients) }
        },
      }
      const { batcher } = batcherOn(short)
      const results = await Promise.allSettled([1, 2].map((rows) => batcher.submit(huberJob(rows))))
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
      expect(String((results[0] as PromiseRejectedResult).reason)).toContain(`${what}`)
    },
  )

  it('fails the jobs of a lost engine with 503', async () => {
    const lost: Engine = { ...interpreter, run: () => Promise.reject(new EngineLost('gone')) }
    const { batcher, recorded } = batcherOn(lost)
    expect(await Promise.all([1, 2].map((rows) => codeOf(batcher.submit(huberJob(rows)))))).toEqual([
      'engine-lost',
      'engine-lost',
    ])
    expect(recorded.shed).toEqual(['engine-lost', 'engine-lost'])
  })

  it('drains: rejects new jobs and finishes all accepted ones', async () => {
    const { engine, next } = steppedEngine(interpreter)
    const { batcher } = batcherOn(engine)
    const accepted = Array.from({ length: 5 }, () => batcher.submit(huberJob()))
    const drained = batcher.drain()
    expect(await codeOf(batcher.submit(huberJob()))).toBe('draining')
    const pump = setInterval(next, 1)
    await drained
    clearInterval(pump)
    expect((await Promise.all(accepted)).every((result) => result.values.length === 6)).toBe(true)
  })

  it('waits for more jobs if a batching delay is set', async () => {
    const { batcher, recorded } = batcherOn(interpreter, { maxDelayMs: 30 })
    const first = batcher.submit(huberJob())
    await turn()
    await turn()
    await Promise.all([first, batcher.submit(huberJob())])
    expect(recorded.batches).toEqual([2])
  })

  it('computes an empty batch without the engine', async () => {
    const never: Engine = {
      ...interpreter,
      run: (): Promise<BatchResult> => Promise.reject(new Error('must not run')),
    }
    const empty = check(named('huber'), sampleTensors(named('huber'), { seed: 1, rows: 0 }), {
      reduction: 'sum',
    })
    const answer = empty.answer(await batcherOn(never).batcher.submit(empty.job))
    expect(answer.loss.data[0]).toBe(0)
    expect(answer.gradients.get('predictions')!.shape).toEqual([0, 2])
    expect(answer.members.count).toBe(0)
  })
})
