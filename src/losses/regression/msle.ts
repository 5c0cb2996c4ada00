/** Mean squared logarithmic error. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'msle',
  family: 'regression',
  couples: 'element',
  about:
    'Squared difference of ln(1 + x): for counts and prices over many orders of magnitude, where being off by a factor counts the same at every size. Avoid it for values below 0, and if the absolute size of an error is what it costs: a prediction that is too small costs more than one that is too large by the same amount.',
  aliases: ['MeanSquaredLogarithmicError'],
  presets: {
    keras: {
      names: {
        'keras.losses.MeanSquaredLogarithmicError': {},
        'keras.losses.mean_squared_logarithmic_error': {},
      },
      note: 'Negative predictions are rejected; Keras clips them to epsilon, with gradient 0.',
    },
  },
  inputs: {
    predictions: input('...', 'nonnegative', { differentiable: true, about: 'Model output, >= 0.' }),
    targets: input('...', 'nonnegative', { about: 'Ground truth, >= 0.' }),
  },
  params: Type.Object({
    epsilon: Type.Number({
      minimum: 0,
      default: 1e-7,
      description:
        'Both sides are raised to at least this, and a prediction below it has gradient 0, as in Keras. 0 raises nothing.',
    }),
  }),
  // ln(1 + x) - ln(1 + y) loses the digits of a small difference. With b the smaller and a the larger of the two,
  // it is ln((1 + a) / (1 + b)) = ln(1 + (a - b) / (1 + b)), which keeps them; the square does not need its sign.
  // Comparisons are used instead of max, so that with epsilon 0 a prediction of 0 keeps its slope.
  formula: `
    x = predictions < epsilon ? epsilon : predictions
    y = targets < epsilon ? epsilon : targets
    excess = x < y ? (y - x) / (1 + x) : (x - y) / (1 + y)
    log1p(excess)^2`,
  references: [
    'keras.losses.MeanSquaredLogarithmicError',
    'torchmetrics.functional.mean_squared_log_error (epsilon 0)',
  ],
  examples: [
    {
      inputs: { predictions: [1, 3], targets: [0, 3] },
      params: { epsilon: 0 },
      loss: [0.4804530139182014, 0],
      gradients: { predictions: [0.6931471805599453, 0] },
      from: 'by hand: (ln 2)^2, and 2 ln 2 / (1 + 1)',
    },
    {
      inputs: { predictions: [0], targets: [1] },
      params: { epsilon: 0 },
      loss: [0.4804530139182014],
      gradients: { predictions: [-1.3862943611198906] },
      from: 'by hand: 2 (ln 1 - ln 2) / (1 + 0)',
    },
  ],
})
