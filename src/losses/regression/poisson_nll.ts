/** Negative log-likelihood of counts under a Poisson distribution. */
import { Type } from '@sinclair/typebox'
import { defineLoss, dependsOnParam, input } from '../define.ts'

export default defineLoss({
  name: 'poisson_nll',
  family: 'regression',
  couples: 'element',
  about:
    'For counts (events per interval). By default the model predicts the logarithm of the rate; with log_input false the rate itself, as in Keras. Avoid it if the counts vary far more than their mean. For amounts that are not counts, use tweedie or gamma_nll.',
  aliases: ['poisson', 'poisson_nll_loss'],
  presets: {
    torch: { names: { 'torch.nn.functional.poisson_nll_loss': {}, 'torch.nn.PoissonNLLLoss': {} } },
    keras: {
      names: { 'keras.losses.Poisson': {}, 'keras.losses.poisson': {} },
      params: { log_input: false, epsilon: 1e-7 },
    },
  },
  advice: [
    {
      task: 'counts',
      wish: 'convexity',
      because: 'It models counts whose variance equals their mean, and is convex in the log-rate.',
      unless: 'the variance of the counts exceeds their mean, or most counts are zero.',
    },
  ],
  inputs: {
    predictions: input('...', 'real', {
      outside: 'logarithms of rates go with log_input true',
      differentiable: true,
      about: 'Log-rate, or rate with log_input false.',
      kindFor: (params) => (params.log_input === false ? 'nonnegative' : 'real'),
    }),
    targets: input('...', 'nonnegative', { about: 'Counts.' }),
  },
  params: Type.Object({
    log_input: Type.Boolean({
      default: true,
      description: 'Whether predictions are logarithms of the rate.',
    }),
    full: Type.Boolean({
      default: false,
      description:
        "Adds Stirling's approximation of ln(targets!) for targets > 1; the gradient does not change.",
    }),
    epsilon: Type.Number({
      minimum: 0,
      default: 1e-8,
      description: 'Added to the rate inside its logarithm (log_input false only).',
      ...dependsOnParam('log_input', false),
    }),
  }),
  // -ln(rate^y e^-rate / y!) = rate - y ln rate + ln y!, and ln y! ~ y ln y - y + ln(2 pi y)/2. For a count of 0
  // the logarithm of the rate is not used, so that a rate of 0 is allowed there even with epsilon 0.
  formula: `
    rate = targets == 0 ? predictions : predictions - targets * log(predictions + epsilon)
    core = log_input ? exp(predictions) - targets * min(predictions, 1e30) : rate
    y = targets > 1 ? targets : 1
    d = log_input ? predictions - log(y) : (predictions + epsilon - y) / y
    near = y * exp_tail(log_input ? d : log1p(d)) - (log_input ? 0 : epsilon)
    far = core + y * (log(y) - 1)
    stirling = (abs(d) < 0.5 ? near : far) + log(6.283185307179586 * y) / 2
    full and targets > 1 ? straight_through(stirling, core) : core`,
  limits: { overflow: { above: 700 } },
  references: ['torch.nn.functional.poisson_nll_loss', 'keras.losses.Poisson (log_input false)'],
  examples: [
    {
      inputs: { predictions: [0, 1], targets: [1, 3] },
      loss: [1, -0.2817181715409549],
      gradients: { predictions: [0, -0.2817181715409549] },
      from: 'by hand: e^x - y x',
    },
  ],
})
