/** GET /v1/guide: every loss appears, every recommendation has reasons, and queries filter. */
import { describe, expect, it } from 'vitest'
import { type Advice, DATA_ISSUES, DESIRED_PROPERTIES, guideFor, TASKS } from '../../src/losses/guide.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { sharedServer } from '../support/server.ts'

const { losses } = await loadCatalog()
const all = guideFor(losses)
const server = sharedServer()

interface Guide {
  readonly advice: readonly (Advice & { readonly references: readonly string[] })[]
}
const guide = async (query = '') => {
  const response = await fetch(`${server.url}/v1/guide${query}`)
  return { status: response.status, body: (await response.json()) as Guide & { detail: string } }
}

describe('the guide', () => {
  it('mentions every loss, and no unknown one', () => {
    const named = new Set(all.flatMap((entry) => entry.losses))
    expect([...named].sort()).toEqual(losses.map(({ name }) => name).sort())
  })

  it('has recommendations for every task, trouble and wish', () => {
    expect(new Set(all.map(({ task }) => task))).toEqual(new Set(Object.keys(TASKS)))
    expect(new Set(all.flatMap(({ trouble = [] }) => trouble))).toEqual(new Set(Object.keys(DATA_ISSUES)))
    expect(new Set(all.flatMap(({ wish = [] }) => wish))).toEqual(new Set(Object.keys(DESIRED_PROPERTIES)))
  })

  it('gives reasons, exceptions and references with each', async () => {
    const { status, body } = await guide()
    expect(status).toBe(200)
    expect(body.advice).toHaveLength(all.length)
    for (const { because, unless, references } of body.advice) {
      expect(because).toMatch(/\.$/)
      expect(unless).toMatch(/\.$/)
      expect(references.length).toBeGreaterThan(0)
    }
  })

  it('can be filtered by task, trouble and wish together', async () => {
    const { body } = await guide('?task=regression&trouble=outliers&wish=robustness')
    expect(body.advice.map(({ losses: names }) => names)).toEqual([['barron_robust']])
  })

  it.each([
    ['?task=regresion', 'Did you mean "regression"'],
    ['?tsak=regression', 'is not a query parameter; use task, trouble, wish'],
    ['?wish=speed', 'must be one of probabilities'],
    ['?task=binary&task=ranking', 'must be one of'],
  ])('rejects %s', async (query, detail) => {
    const { status, body } = await guide(query)
    expect(status).toBe(422)
    expect(body.detail).toContain(detail)
  })
})
