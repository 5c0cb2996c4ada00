/**
 * Batch assembly: jobs -> one batch, and the batch's result -> one result per job. These are two pure functions,
 * each the inverse of the other; nothing here waits or decides. Nothing is copied: a batch refers to the jobs' own
 * arrays, and each job's result is a view of the batch's.
 */
import { type Batch, type BatchResult, type ChunkedArray, repeated } from '../engines/contract.ts'
import { elementsOf, inputOfResultKey, layoutOf } from '../language/ir.ts'
import type { Job, JobSlice } from './job.ts'

/** @param jobs at least one; several only if their merge keys are equal */
export function assemble(jobs: readonly [Job, ...Job[]]): Batch {
  const first = jobs[0]
  const inputs: Record<string, ChunkedArray> = {}
  for (const name in first.inputs) inputs[name] = column(jobs, name)
  return {
    programKey: first.programKey,
    program: first.program,
    precision: first.precision,
    sizes: mergedSizes(jobs),
    inputs,
    scalars: first.scalars,
    cotangent: mergedCotangent(jobs),
  }
}

/**
 * Splits the result along the batch axis, in the order of the jobs.
 *
 * @throws Error if the engine has returned more or fewer numbers than the jobs have: they would get those of others
 */
export function split(jobs: readonly Job[], result: BatchResult): JobSlice[] {
  checkLengths(jobs, result)
  if (jobs.length === 1) return [result]
  const names = Object.keys(result.gradients)
  const offsets = new Map<string, number>()
  const next = (key: string, length: number): [number, number] => {
    const start = offsets.get(key) ?? 0
    offsets.set(key, start + length)
    return [start, start + length]
  }
  return jobs.map((job) => {
    const [start, end] = next('', job.values)
    const denominators = result.denominators?.subarray(start, end)
    return {
      values: result.values.subarray(start, end),
      denominators,
      scale: result.scale,
      gradients: Object.fromEntries(
        names.map((name) => [name, result.gradients[name].subarray(...next(name, lengthOf(job, name)))]),
      ),
    }
  })
}

function checkLengths(jobs: readonly Job[], { values, gradients, engine }: BatchResult) {
  const check = (what: string, found: number, lengths: (job: Job) => number) => {
    const expected = jobs.reduce((sum, job) => sum + lengths(job), 0)
    if (found === expected) return
    throw new Error(`${engine} returned ${found} ${what} for ${jobs.length} jobs that have ${expected}`)
  }
  check('values', values.length, (job) => job.values)
  for (const name in gradients)
    check(`gradients of ${name}`, gradients[name].length, (job) => lengthOf(job, name))
}

/** Elements of a job's derivative: as many as its input has, whether the program reads that or not. */
function lengthOf({ inputs, program, sizes }: Job, result: string): number {
  const input = inputs[inputOfResultKey(result)]
  return input === undefined ? elementsOf(layoutOf(program, result), sizes) : input.length
}

/** An input with the batch axis is concatenated; one that all rows share is equal in all jobs, and taken once. */
function column(jobs: readonly [Job, ...Job[]], name: string): ChunkedArray {
  const first = jobs[0]
  if (jobs.length === 1) return [first.inputs[name]]
  const isShared = first.batchAxis === undefined || first.program.inputs[name].axes[0] !== first.batchAxis
  return (isShared ? [first] : jobs).map((job) => job.inputs[name])
}

function mergedSizes(jobs: readonly [Job, ...Job[]]): Readonly<Record<string, number>> {
  const { batchAxis, sizes } = jobs[0]
  if (batchAxis === undefined || jobs.length === 1) return sizes
  return { ...sizes, [batchAxis]: jobs.reduce((total, job) => total + job.sizes[batchAxis], 0) }
}

/** A single job keeps its one number for all values. Batched jobs get one number per value. */
function mergedCotangent(jobs: readonly [Job, ...Job[]]): Batch['cotangent'] {
  if (jobs.length === 1) return [jobs[0].cotangent]
  return jobs.map(({ cotangent, values }) =>
    cotangent.length === values ? cotangent : repeated(cotangent, values),
  )
}
