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
      note: 'A target of 0 contributes 0 even where the log-probability is -inf; PyTorch returns NaN.',
    },
    keras: {
      names: { 'keras.losses.KLDivergence': {}, 'keras.losses.kl_divergence': {} },
      params: { epsilon: 1e-7 },
      reduction: 'batchmean',
      note: "Predictions are log-probabilities: pass the logarithm of Keras' y_pred. batchmean divides by the size of the first axis; with more than two axes Keras divides by the number of rows: use reduction mean and pass that number as denominator.",
    },
    optax: {
      names: {
        'optax.losses.kl_divergence': {},
        'optax.kl_divergence': {},
        'optax.losses.kl_divergence_with_log_targets': { log_target: true },
      },
      reduction: 'none',
      note: 'There is one value per element; optax sums over the last axis.',
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
    epsilon: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0,
      // Without clipping, no step of it is in the program.
      structural: true,
      description:
        'Probabilities of both sides are clipped to [epsilon, 1], with gradient 0 beyond, as in Keras. 0 clips nothing.',
    }),
  }),
  // y (ln y - x). A target of 0 contributes 0, the limit of y ln y, even if x is -inf.
  formula: `
    low = log(epsilon)
    log_p = predictions < low ? low : predictions > 0 ? 0 : predictions
    log_t = log_target ? targets : log(targets)
    t = log_target ? exp(targets) : targets
    x = epsilon > 0 ? log_p : predictions
    log_y = epsilon > 0 ? clamp(log_t, low, 0) : log_t
    y = epsilon > 0 ? clamp(t, epsilon, 1) : t
    y == 0 ? 0 : y * (log_y - x)`,
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
