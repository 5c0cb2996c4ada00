/** What several processes say of their engines, as one catalog: what they hold is added up, and what they have learned is weighted. */
import type { CostEstimate, EngineDetails, EngineStats } from '../engines/contract.ts'

/** An engine of one process, or of all. */
export interface EngineReport extends EngineDetails {
  readonly name: string
  readonly device: string
  readonly reason: string
  readonly isGpu: boolean
  readonly isShared: boolean
  readonly isReady: boolean
  readonly holds: EngineStats
}

/** What one process says. */
export interface EnginesReport {
  readonly engines: readonly EngineReport[]
  readonly learned: readonly CostEstimate[]
}

export function mergeReports(reports: readonly EnginesReport[]): EnginesReport {
  return {
    engines: mergedBy(
      reports.flatMap(({ engines }) => engines),
      ({ name }) => name,
      mergeEngines,
    ),
    learned: mergedBy(
      reports.flatMap(({ learned }) => learned),
      ({ engine, programKey }) => `${engine} ${programKey}`,
      mergeEstimates,
    ),
  }
}

/** One for each key, in the order of their first appearance. */
function mergedBy<T>(all: readonly T[], keyOf: (one: T) => string, merge: (a: T, b: T) => T): T[] {
  const found = new Map<string, T>()
  for (const one of all) {
    const key = keyOf(one)
    const known = found.get(key)
    found.set(key, known === undefined ? one : merge(known, one))
  }
  return [...found.values()]
}

function mergeEngines(a: EngineReport, b: EngineReport): EngineReport {
  const isReady = a.isReady && b.isReady
  // All of them report the same one.
  if (a.isShared) return { ...a, isReady }
  return {
    ...a,
    isReady,
    ...(a.compiled && b.compiled
      ? { compiled: { ...sums(a.compiled, b.compiled), capacity: a.compiled.capacity + b.compiled.capacity } }
      : {}),
    holds: { tensors: a.holds.tensors + b.holds.tensors, bytes: a.holds.bytes + b.holds.bytes },
  }
}

function sums(a: NonNullable<EngineDetails['compiled']>, b: NonNullable<EngineDetails['compiled']>) {
  return { entries: a.entries + b.entries, hits: a.hits + b.hits, misses: a.misses + b.misses }
}

/** The mean of two estimates, weighted by the launches that each was measured on. */
function mergeEstimates(a: CostEstimate, b: CostEstimate): CostEstimate {
  const observations = a.observations + b.observations
  const mean = (x: number, y: number) =>
    observations === 0 ? x : (x * a.observations + y * b.observations) / observations
  return { ...a, observations, launch: mean(a.launch, b.launch), element: mean(a.element, b.element) }
}
