/**
 * A softmax classifier on Fisher's irises, trained through lossd with nothing but HTTP: the model lives here, the loss
 * and its gradient come from the service. `npm run example:iris [-- URL]` against a running server.
 */
import { type GradientSource, httpJson } from './client.ts'
import { irisRows } from './rows.ts'
import { runExample } from './run.ts'

export interface Flowers {
  /** Standardised lengths, and a 1 for the bias: 150 x 5. */
  readonly features: readonly (readonly number[])[]
  readonly species: readonly number[]
}

const CLASSES = 3

/** Reads the measurements and standardises each column, so that one learning rate fits all. */
export function loadIris(): Flowers {
  const rows = irisRows()
  const species = rows.map((row) => row[4])
  const columns = [0, 1, 2, 3].map((column) => standardised(rows.map((row) => row[column])))
  return { species, features: rows.map((_, i) => [...columns.map((column) => column[i]), 1]) }
}

function standardised(column: readonly number[]): number[] {
  const mean = column.reduce((a, b) => a + b) / column.length
  const deviation = Math.sqrt(column.reduce((sum, x) => sum + (x - mean) ** 2, 0) / column.length)
  return column.map((x) => (x - mean) / deviation)
}

export interface Trained {
  /** 5 x 3. */
  readonly weights: number[][]
  readonly losses: number[]
}

/**
 * Plain gradient descent: logits = X W, W -= rate X^T (d loss / d logits).
 *
 * @param lossAndGradient where the loss and its gradient come from: lossd, or a formula of your own to compare with
 */
export async function trainIris(lossAndGradient: GradientSource, steps: number, rate = 1): Promise<Trained> {
  const { features, species } = loadIris()
  const weights = features[0].map(() => new Array<number>(CLASSES).fill(0))
  const losses: number[] = []
  for (let step = 0; step < steps; step++) {
    const logits = features.map((row) => predict(row, weights))
    const { loss, gradient } = await lossAndGradient(logits, species)
    losses.push(loss)
    features.forEach((row, i) => {
      row.forEach((x, j) => {
        for (let c = 0; c < CLASSES; c++) weights[j][c] -= rate * x * gradient[i][c]
      })
    })
  }
  return { weights, losses }
}

function predict(row: readonly number[], weights: readonly (readonly number[])[]): number[] {
  return Array.from({ length: CLASSES }, (_, c) => row.reduce((sum, x, j) => sum + x * weights[j][c], 0))
}

/** Share of flowers whose species has the largest logit. */
export function accuracyOf(weights: readonly (readonly number[])[]): number {
  const { features, species } = loadIris()
  const right = features.filter((row, i) => {
    const logits = predict(row, weights)
    return logits.indexOf(Math.max(...logits)) === species[i]
  })
  return right.length / features.length
}

await runExample(import.meta.url, async (url) => {
  const { weights, losses } = await trainIris(httpJson('cross_entropy', url), 200)
  console.log(`loss ${losses[0].toFixed(4)} -> ${losses.at(-1)?.toFixed(4)}`)
  console.log(`accuracy ${accuracyOf(weights).toFixed(4)}`)
})
