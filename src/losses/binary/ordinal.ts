/** Ordinal regression: one yes/no question for each threshold. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'ordinal',
  family: 'binary',
  couples: 'row',
  about:
    'For ordered grades (stars, stages of a disease): the k-th of K outputs answers whether the grade is above k, so that a miss by two grades costs more than by one. K outputs tell K + 1 grades apart. Not for classes without an order (cross_entropy), nor where the distances of the grades are known (mse).',
  inputs: {
    predictions: input('rows,thresholds', 'real', {
      differentiable: true,
      about: 'Logits of "the grade is above k", k = 0, 1 ...; nothing forces them to fall with k.',
    }),
    targets: input('rows', 'count', {
      about: 'Grades from 0; as many as there are thresholds, or more, is above all of them.',
    }),
  },
  params: noParams,
  // -ln s(x) = softplus(-x) for a threshold that is passed, -ln(1 - s(x)) = softplus(x) for one that is not.
  formula: `
    passed = index(thresholds) < targets
    sum(softplus(passed ? -predictions : predictions), thresholds)`,
  references: [
    'Frank and Hall 2001, A Simple Approach to Ordinal Classification, doi:10.1007/3-540-44795-4_13',
    'Cao et al. 2020, Rank consistent ordinal regression, arXiv:1901.07884',
    'tensorflow_ranking.keras.losses.OrdinalLoss',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [0, 0],
          [1.0986122886681098, 0],
        ],
        targets: [1, 2],
      },
      loss: [1.3862943611198906, 0.9808292530117262],
      gradients: {
        predictions: [
          [-0.5, 0.5],
          [-0.25, -0.5],
        ],
      },
      from: 'by hand: 2 ln 2, and ln(4/3) + ln 2',
    },
  ],
})
