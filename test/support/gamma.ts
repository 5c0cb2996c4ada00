/** The reference values of lgamma and its derivatives (test/oracles/functions/gamma.json). */
import { readFileSync } from 'node:fs'

export interface GammaFunction {
  /** As a formula of x. */
  readonly text: string
  /** Its values at the points, and the slopes there. */
  readonly values: readonly number[]
  readonly slopes: readonly number[]
}

const rows: readonly (readonly number[])[] = JSON.parse(
  readFileSync(new URL('../oracles/functions/gamma.json', import.meta.url), 'utf8'),
)
const columnOf = (place: number) => rows.map((row) => row[place]!)

/** float32 numbers of both signs. */
export const GAMMA_POINTS: readonly number[] = columnOf(0)

/** The functions whose slopes are recorded, too. */
export const GAMMA_FUNCTIONS: readonly GammaFunction[] = [
  'lgamma(x)',
  'digamma(x)',
  'trigamma(x)',
  'polygamma(2, x)',
  'polygamma(3, x)',
].map((text, place) => ({ text, values: columnOf(place + 1), slopes: columnOf(place + 2) }))
