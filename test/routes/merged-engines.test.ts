/** The engines of several processes are one catalog. */
import { expect, it } from 'vitest'
import { type EngineReport, mergeReports } from '../../src/routes/merged-engines.ts'

const engine = (extra: Partial<EngineReport> = {}): EngineReport => ({
  name: 'compiled',
  device: 'fused wasm',
  reason: 'selected by name',
  isGpu: false,
  isShared: false,
  isReady: true,
  compiled: { entries: 2, capacity: 10, hits: 5, misses: 3 },
  holds: { tensors: 1, bytes: 100 },
  ...extra,
})
const learned = (observations: number, launch: number) => ({
  engine: 'compiled',
  programKey: 'huber',
  observations,
  launch,
  element: launch,
})

it('what they hold and have compiled is added up', () => {
  const { engines } = mergeReports([
    { engines: [engine()], learned: [] },
    { engines: [engine({ holds: { tensors: 2, bytes: 50 } })], learned: [] },
  ])
  expect(engines).toHaveLength(1)
  expect(engines[0]).toMatchObject({
    holds: { tensors: 3, bytes: 150 },
    compiled: { entries: 4, capacity: 20, hits: 10, misses: 6 },
    isReady: true,
  })
})

it('one that all of them compute with is counted once', () => {
  const shared = engine({ isShared: true })
  const { engines } = mergeReports([
    { engines: [shared], learned: [] },
    { engines: [{ ...shared, isReady: false }], learned: [] },
  ])
  expect(engines).toEqual([{ ...shared, isReady: false }])
})

it('an engine is ready if it is in all of them', () => {
  const { engines } = mergeReports([
    { engines: [engine()], learned: [] },
    { engines: [engine({ isReady: false })], learned: [] },
  ])
  expect(engines[0]!.isReady).toBe(false)
})

it('what they have learned is weighted by what it was learned from', () => {
  const found = mergeReports([
    { engines: [], learned: [learned(3, 1)] },
    { engines: [], learned: [learned(1, 5)] },
  ])
  expect(found.learned).toEqual([{ ...learned(4, 2) }])
})

it('one process is shown as it is', () => {
  const report = { engines: [engine()], learned: [learned(2, 3)] }
  expect(mergeReports([report])).toEqual(report)
})
