/** The cost model converges to the measured cost of launches, whatever the prior. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CostModel } from '../../../src/engines/routing/affine-cost.ts'

const PRIOR = { launch: 1, element: 1e-6 }

describe('a cost model', () => {
  it('predicts the prior until something is measured', () => {
    expect(new CostModel(PRIOR).predict(1e6)).toBeCloseTo(2)
  })

  it('fits any affine cost from launches of different sizes, within a tenth', () => {
    const line = fc.record({
      launch: fc.double({ min: 0.01, max: 100, noNaN: true }),
      element: fc.double({ min: 1e-8, max: 1e-4, noNaN: true }),
    })
    fc.assert(
      fc.property(line, ({ launch, element }) => {
        const model = new CostModel(PRIOR)
        for (let i = 0; i < 60; i++) {
          const elements = 10 ** (2 + (i % 6))
          model.observe(elements, launch + element * elements)
        }
        // After ten launches the regularization has little weight.
        for (const elements of [1e3, 1e5, 1e7])
          expect(model.predict(elements) / (launch + element * elements)).toBeCloseTo(1, 1)
      }),
    )
  })

  it('follows an engine that has become slower', () => {
    const model = new CostModel(PRIOR)
    for (let i = 0; i < 100; i++) model.observe(1e4, 1)
    for (let i = 0; i < 100; i++) model.observe(1e4, 5)
    expect(model.predict(1e4)).toBeCloseTo(5, 0)
  })

  it('never predicts a negative time', () => {
    const model = new CostModel(PRIOR)
    // Larger batches are faster, as when the kernel depends on the size.
    for (let i = 0; i < 20; i++) {
      model.observe(1e3, 4)
      model.observe(1e6, 1)
    }
    for (const elements of [0, 1e3, 1e9]) expect(model.predict(elements)).toBeGreaterThan(0)
  })
})
