/** The load scenarios: sizes, formats, connections, and the thresholds that must be met. One row is one scenario. */
import type { Workload } from './bodies.ts'

export interface Size {
  readonly name: 'small' | 'medium' | 'large'
  readonly rows: number
  readonly columns: number
  /** Enough to keep the service busy, few enough that the measurement is not only waiting. */
  readonly connections: number
}

export const SIZES: readonly Size[] = [
  { name: 'small', rows: 32, columns: 10, connections: 32 },
  { name: 'medium', rows: 1024, columns: 10, connections: 32 },
  { name: 'large', rows: 1024, columns: 1000, connections: 4 },
]

export const FORMATS = ['json', 'safetensors'] as const

export interface Scenario extends Workload {
  readonly name: string
  readonly connections: number
  /** The share of requests that may fail. */
  readonly maxErrorRate: number
  /**
   * Minimum share of the echo's requests per second. It is far below what is measured, so that it catches a
   * collapse, not a drift. Checked only in full runs.
   */
  readonly minRatio: number
}

/** Every size in both formats. JSON ends at medium, because a large JSON body exceeds the limit. */
export const SCENARIOS: readonly Scenario[] = SIZES.flatMap(({ name, ...size }) =>
  FORMATS.filter((format) => format === 'safetensors' || name !== 'large').map((format) => ({
    name: `${name} ${format}`,
    loss: 'cross_entropy',
    format,
    ...size,
    maxErrorRate: 0,
    minRatio: 0.01,
  })),
)
