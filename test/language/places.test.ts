import { describe, expect, it } from 'vitest'
import { lowerTraced } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { locationOf } from '../../src/language/source-locations.ts'
import { SCOPE } from '../support/formulas.ts'

/** The places of all nodes with an op. */
function placesOf(formula: string, op: string) {
  const { program, places } = lowerTraced(parse(formula), SCOPE, ['x'])
  const found = program.nodes.flatMap((node, id) =>
    node.op === op ? [locationOf(program.nodes, places, id)] : [],
  )
  return found.map((place) => [place?.line, place?.column])
}

describe('the place of a node', () => {
  it('is that of its expression', () => {
    expect(placesOf('y + exp(x)', 'exp')).toEqual([[1, 5]])
  })

  it('is, in a derivative, that of the function that it is the derivative of', () => {
    expect(placesOf('u = x + 1\nsin(u) * lgamma(u)', 'digamma')).toEqual([[2, 10]])
    expect(placesOf('v * cumsum(x * y, columns)', 'reverse_cumsum')).toEqual([[1, 5]])
    expect(placesOf('gather(exp(x), order(y, columns), columns)', 'scatter')).toEqual([[1, 1]])
  })

  it('is that of what it is computed from, where nothing else is like it', () => {
    expect(placesOf('v * floor(x * y) + x ^ 3', 'mul')[0]).toEqual([1, expect.any(Number)])
  })
})
