/**
 * A straight line through data of which a tenth is wrong: petal width from petal length of Fisher's irises, with every
 * tenth width entered in millimetres. Squared error follows the typos, `huber` does not.
 * `npm run example:robust [-- URL]` against a running server.
 */

import { type GradientSource, httpSafetensors } from './client.ts'
import { irisRows } from './rows.ts'
import { runExample } from './run.ts'

export interface Points {
  readonly x: readonly number[]
  readonly y: readonly number[]
}

/** Petal length and width in centimetres; with `typos`, every tenth width is ten times too large. */
export function loadPetals(typos: boolean): Points {
  const rows = irisRows()
  return {
    x: rows.map((row) => row[2]),
    y: rows.map((row, i) => (typos && i % 10 === 0 ? row[3] * 10 : row[3])),
  }
}

/** Small enough for the steepest of the three: mse, whose slope curves with twice the variance of the lengths. */
const RATE = 0.2

export interface Line {
  readonly slope: number
  readonly intercept: number
}

/**
 * Gradient descent on the slope and on the height at the mean length (which, unlike the intercept, does not depend on
 * the slope); the service gives d loss / d prediction, the chain rule is ours.
 */
export async function fitLine(
  lossAndGradient: GradientSource,
  { x, y }: Points,
  steps: number,
): Promise<Line> {
  const mean = x.reduce((a, b) => a + b) / x.length
  const targets = y.map((width) => [width])
  let [slope, height] = [0, 0]
  for (let step = 0; step < steps; step++) {
    const predictions = x.map((length) => [slope * (length - mean) + height])
    const { gradient } = await lossAndGradient(predictions, targets)
    slope -= RATE * gradient.reduce((sum, [g], i) => sum + g * (x[i] - mean), 0)
    height -= RATE * gradient.reduce((sum, [g]) => sum + g, 0)
  }
  return { slope, intercept: height - slope * mean }
}

await runExample(import.meta.url, async (url) => {
  const show = ({ slope, intercept }: Line) =>
    `width = ${slope.toFixed(3)} length ${intercept < 0 ? '-' : '+'} ${Math.abs(intercept).toFixed(3)}`
  console.log('mse,   clean data:', show(await fitLine(httpSafetensors('mse', url), loadPetals(false), 600)))
  console.log('mse,   with typos:', show(await fitLine(httpSafetensors('mse', url), loadPetals(true), 600)))
  console.log(
    'huber, with typos:',
    show(await fitLine(httpSafetensors('huber', url, { delta: 0.2 }), loadPetals(true), 600)),
  )
})
