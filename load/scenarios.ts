/** What is loaded: sizes, formats, connections, and the thresholds that must hold. One row = one scenario. */
import { safetensorsBody } from './bodies.ts'

export interface Scenario {
  readonly name: string
  readonly loss: string
  readonly format: 'json' | 'safetensors'
  readonly rows: number
  readonly classes: number
  readonly connections: number
  /** Share of answers that may fail. */
  readonly maxErrorRate: number
  /**
   * Smallest share of the echo's requests per second, far below what is measured: it catches a collapse, not a drift.
   * Checked in full runs only.
   */
  readonly minRatio: number
}

const sizes = [
  ['small', 32, 10],
  ['medium', 1024, 10],
  ['large', 1024, 1000],
] as const

/** Every size in both formats; JSON stops at medium, because a large body is beyond its limit. */
export const SCENARIOS: readonly Scenario[] = sizes.flatMap(([name, rows, classes]) =>
  (['json', 'safetensors'] as const)
    .filter((format) => format === 'safetensors' || name !== 'large')
    .map((format) => ({
      name: `${name} ${format}`,
      loss: 'cross_entropy',
      format,
      rows,
      classes,
      connections: name === 'large' ? 4 : 32,
      maxErrorRate: 0,
      minRatio: 0.01,
    })),
)

export interface Body {
  readonly contentType: string
  readonly bytes: Buffer
}

/** The request of a scenario: logits and class labels, the same numbers at every run. */
export function bodyOf({ format, rows, classes }: Scenario): Body {
  const logits = Float32Array.from({ length: rows * classes }, (_, i) => Math.fround(Math.sin(i) * 3))
  const labels = Int32Array.from({ length: rows }, (_, i) => i % classes)
  if (format === 'safetensors') {
    return {
      contentType: 'application/x-safetensors',
      bytes: safetensorsBody(logits, [rows, classes], labels),
    }
  }
  const nested = Array.from({ length: rows }, (_, i) =>
    Array.from(logits.subarray(i * classes, (i + 1) * classes), shorten),
  )
  const bytes = Buffer.from(JSON.stringify({ predictions: nested, targets: Array.from(labels) }))
  return { contentType: 'application/json', bytes }
}

/** As a trainer would print a float32, not the double that it widens to. */
function shorten(x: number): number {
  return Number(x.toPrecision(8))
}
