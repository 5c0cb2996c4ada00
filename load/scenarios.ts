/** What is loaded: sizes, formats, connections, and the thresholds that must hold. One row = one scenario. */
import type { Work } from './bodies.ts'

export interface Size {
  readonly name: 'small' | 'medium' | 'large'
  readonly rows: number
  readonly columns: number
  /** Enough to keep the service busy, few enough that waiting is not all that is measured. */
  readonly connections: number
}

export const SIZES: readonly Size[] = [
  { name: 'small', rows: 32, columns: 10, connections: 32 },
  { name: 'medium', rows: 1024, columns: 10, connections: 32 },
  { name: 'large', rows: 1024, columns: 1000, connections: 4 },
]

export const FORMATS = ['json', 'safetensors'] as const

export interface Scenario extends Work {
  readonly name: string
  readonly connections: number
  /** Share of answers that may fail. */
  readonly maxErrorRate: number
  /**
   * Smallest share of the echo's requests per second, far below what is measured: it catches a collapse, not a drift.
   * Checked in full runs only.
   */
  readonly minRatio: number
}

/** Every size in both formats; JSON stops at medium, because a large body is beyond its limit. */
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
