/** Kullback-Leibler divergence between a target distribution and predicted log-probabilities. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'kl_div',
  family: 'divergence',
  couples: 'element',
  about:
    "How far predicted log-probabilities are from a target distribution, element by element. The divergence of a row is the sum over it: use reduction batchmean, because PyTorch's mean also divides by the number of classes. If both sides are logits, use distillation_kl; for quantities that do not sum to 1, generalized_kl_div; if either side may be 0, js_div.",
  aliases: ['kl_divergence', 'KLDivLoss'],
  presets: {
    torch: {
      names: { 'torch.nn.functional.kl_div': {}, 'torch.nn.KLDivLoss': {} },
      note: 'A target of 0 counts 0 also against a log-probability of -inf, where PyTorch answers NaN.',
    },
    keras: {
      names: { 'keras.losses.KLDivergence': {}, 'keras.losses.kl_divergence': {} },
      reduction: 'batchmean',
      note: 'Predictions are log-probabilities: send the logarithms of what Keras takes. Keras clips both sides to [1e-7, 1].',
    },
    optax: {
      names: {
        'optax.losses.kl_divergence': {},
        'optax.kl_divergence': {},
        'optax.losses.kl_divergence_with_log_targets': { log_target: true },
      },
      reduction: 'none',
      note: 'One number an element; optax answers the sum of each row.',
    },
  },
  inputs: {
    predictions: input('...', 'logprob', { differentiable: true, about: 'Predicted log-probabilities.' }),
    targets: input('...', 'probability', {
      outside: 'log-probabilities go with log_target true',
      about: 'Target probabilities, or their logarithms with log_target.',
      kindFor: (params) => (params.log_target === true ? 'logprob' : 'probability'),
    }),
  },
  params: Type.Object({
    log_target: Type.Boolean({
      default: false,
      description: 'Whether targets are logarithms of probabilities.',
    }),
  }),
  // y (ln y - x). A target of 0 contributes 0, the limit of y ln y, even if x is -inf.
  formula: `
    y = log_target ? exp(targets) : targets
    log_y = log_target ? targets : log(targets)
    y == 0 ? 0 : y * (log_y - predictions)`,
  references: [
    'Kullback and Leibler 1951, doi:10.1214/aoms/1177729694',
    'torch.nn.functional.kl_div',
    'optax.losses.kl_divergence',
  ],
  examples: [
    {
      inputs: { predictions: [-0.6931471805599453, -0.6931471805599453], targets: [1, 0] },
      loss: [0.6931471805599453, 0],
      gradients: { predictions: [-1, 0] },
      from: 'by hand',
    },
  ],
})
