/** Reads the irises: sepal length and width, petal length and width in centimetres, species 0 to 2. */
import { readFileSync } from 'node:fs'

export function irisRows(): number[][] {
  const text = readFileSync(new URL('data/iris.csv', import.meta.url), 'utf8')
  const lines = text.trim().split('\n').slice(1)
  return lines.map((line) => line.split(',').map(Number))
}
