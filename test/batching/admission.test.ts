/** Admission and load: who cannot be answered in time is told so at once, and when to come back. */
import { expect, it } from 'vitest'
import { Admission } from '../../src/batching/admission.ts'
import { CostModel } from '../../src/batching/cost-model.ts'
import type { Job } from '../../src/batching/job.ts'
import { LoadLevel } from '../../src/batching/load-level.ts'

const job = (deadline?: number) => ({ deadline }) as Job

/** A model that has measured an engine which does one millisecond of work per millisecond. */
function measured(): CostModel {
  const costs = new CostModel(2)
  for (let now = 0; now <= 1000; now += 10) costs.completed(10, true, now)
  return costs
}

it('admits a job that can be answered before its deadline, and refuses one that cannot', () => {
  const admission = new Admission(measured(), () => 0)
  expect(admission.judge(job(1000), 10, 500)).toBeUndefined()
  const { retryAfter } = admission.judge(job(1000), 10, 1500)!
  expect(retryAfter).toBeGreaterThanOrEqual(1)
  expect(retryAfter).toBeLessThanOrEqual(2)
})

it('refuses nobody before it has measured enough', () => {
  const costs = new CostModel(2)
  for (let now = 0; now <= 50; now += 10) costs.completed(10, true, now)
  expect(new Admission(costs, () => 0).judge(job(1000), 10, 1e6)).toBeUndefined()
})

it('without a deadline, or with nothing before it, any job is worth a try', () => {
  const admission = new Admission(measured(), () => 0)
  expect(admission.judge(job(), 10, 1e9)).toBeUndefined()
  expect(admission.judge(job(1000), 1e9, 0)).toBeUndefined()
})

it('tells a refused job to come back when it can be served', () => {
  const refusal = new Admission(measured(), () => 0).judge(job(1000), 100, 9000)
  // 9100 ms of work, with a margin, of which 1000 may be left.
  expect(refusal!.retryAfter).toBeGreaterThanOrEqual(8)
  expect(refusal!.retryAfter).toBeLessThanOrEqual(13)
})

it('does not tell all refused jobs to come back at once', () => {
  const admission = new Admission(measured(), () => 0)
  const seconds = Array.from({ length: 40 }, () => admission.full(100, 1000).retryAfter)
  expect(seconds[0]).toBe(1)
  // The last comes after 39 others of 100 ms each.
  expect(seconds.at(-1)).toBeGreaterThanOrEqual(4)
  expect(seconds.at(-1)).toBeLessThanOrEqual(6)
  expect(seconds).toEqual([...seconds].sort((a, b) => a - b))
})

it('the cost of a program is learned from its launches, per step of its loops', () => {
  const costs = new CostModel(2)
  const program = { nodes: [], axes: ['rows'], renamed: {} } as unknown as Job['program']
  const of = (rows: number) => ({ programKey: 'p', program, sizes: { rows } })
  for (let i = 0; i < 50; i++) costs.ran([of(100), of(300)], 4)
  expect(costs.costOf(of(1000))).toBeCloseTo(10, 1)
})

it('a queue that stands makes the service busy, a burst does not, and the level does not flicker', () => {
  let now = 0
  const load = new LoadLevel(() => now)
  load.queued('jobs', 5)
  now = 100
  load.queued('jobs', 0)
  expect(load.level).toBe('normal')
  for (; now < 800; now += 50) load.queued('jobs', 3)
  expect(load.level).toBe('busy')
  load.queued('jobs', 0)
  now += 500
  expect(load.level).toBe('busy')
  now += 600
  expect(load.level).toBe('normal')
})

it('pieces that wait for the event loop count as jobs do', () => {
  let now = 0
  const load = new LoadLevel(() => now)
  for (; now < 800; now += 50) {
    load.queued('pieces', 3)
    load.queued('jobs', 0)
  }
  expect(load.level).toBe('busy')
})

it('a refusal makes the service overloaded for a while', () => {
  let now = 0
  const load = new LoadLevel(() => now)
  load.refused()
  expect(load.level).toBe('overloaded')
  now = 1100
  expect(load.level).toBe('normal')
})

it('the cost of a request is expected to be the least of those that looked the same, lately', () => {
  const costs = new CostModel(2)
  const request = { kind: 'nt_xent json', bytes: 55_000 }
  expect(costs.expected(request)).toBeUndefined()
  costs.learn(request, 40)
  costs.learn({ ...request, bytes: 56_000 }, 2)
  expect(costs.expected(request)).toBe(2)
  // A single cheap one is forgotten.
  for (let i = 0; i < 100; i++) costs.learn(request, 40)
  expect(costs.expected(request)).toBe(40)
  expect(costs.expected({ ...request, bytes: 600_000 })).toBeUndefined()
})
