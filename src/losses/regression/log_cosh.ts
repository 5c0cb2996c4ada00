/** The logarithm of the hyperbolic cosine of the error. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'log_cosh',
  family: 'regression',
  couples: 'element',
  about:
    'ln cosh of the error: like half_squared near zero and like l1 far away, smooth everywhere, with nothing to tune. It becomes linear at errors of about 1, so if the unit of the errors is very different, scale the targets or use huber.',
  aliases: ['LogCosh'],
  presets: {
    keras: { names: { 'keras.losses.LogCosh': {}, 'keras.losses.log_cosh': {} } },
    optax: { names: { 'optax.losses.log_cosh': {}, 'optax.log_cosh': {} }, reduction: 'none' },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Model output.' }),
    targets: input('...', 'real', { differentiable: true, about: 'Ground truth.' }),
  },
  params: noParams,
  // cosh e = (e^e + e^-e)/2 overflows at |e| = 89 in float32; ln cosh e = |e| + ln(1 + e^(-2|e|)) - ln 2 does not.
  // Near 0 that cancels, but cosh^-2 = 1 - tanh^2 gives ln cosh e = -ln(1 - tanh^2 e)/2, which keeps every digit
  // there (and fails far away, where tanh is 1).
  formula: `
    e = predictions - targets
    abs(e) < 1 ? -log1p(-tanh(e)^2) / 2 : abs(e) + softplus(-2 * abs(e)) - 0.6931471805599453`,
  references: ['keras.losses.LogCosh', 'optax.losses.log_cosh'],
  examples: [
    {
      inputs: { predictions: [0, 1, -1], targets: [0, 0, 1] },
      loss: [0, 0.4337808304830271, 1.3250027473578645],
      gradients: { predictions: [0, 0.7615941559557649, -0.9640275800758169] },
      from: 'ln cosh and tanh, by hand',
    },
  ],
})
