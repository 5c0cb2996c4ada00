/** Ordinal regression: one yes/no question per threshold. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'ordinal',
  family: 'binary',
  couples: 'row',
  about:
    'For ordered grades (stars, stages of a disease). Output k of K answers whether the grade is above k, so that an error of two grades costs more than an error of one. K outputs distinguish K + 1 grades. Avoid it for classes without an order (use cross_entropy), or if the distances between grades are known (use mse).',
  advice: [
    {
      task: 'ordinal',
      because:
        'There is one threshold per grade, so that being off by one costs less than being off by three.',
      unless: 'the grades have no order.',
    },
  ],
  inputs: {
    predictions: input('rows,thresholds', 'real', {
      differentiable: true,
      about: 'Logits of "the grade is above k", k = 0, 1 ...; nothing forces them to decrease with k.',
    }),
    targets: input('rows', 'count', {
      about: 'Grades from 0. A grade equal to the number of thresholds, or larger, is above all of them.',
    }),
  },
  params: noParams,
  // -ln s(x) = softplus(-x) for a threshold below the grade, -ln(1 - s(x)) = softplus(x) for the others.
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
