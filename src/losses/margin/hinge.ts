/** Hinge loss: how much a score falls short of the margin. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'hinge',
  family: 'margin',
  couples: 'element',
  about:
    'Linear support vector machines: a row with a margin of at least 1 does not count, and at the corner the gradient is 0. If you need probabilities, use binary_cross_entropy_with_logits. Avoid it with mislabelled rows, whose pull does not end.',
  aliases: ['hinge_loss'],
  presets: {
    keras: {
      names: { 'keras.losses.Hinge': {}, 'keras.losses.hinge': {} },
      note: 'Targets of 0 and 1 require labels "01"; Keras converts them if a batch contains no other values. Exactly at the margin the gradient is 0; Keras returns the gradient of the active side or half of it, depending on the backend.',
    },
    optax: {
      names: { 'optax.losses.hinge_loss': {}, 'optax.hinge_loss': {} },
      reduction: 'none',
      note: 'Exactly at the margin the gradient is 0; optax returns half the gradient of the active side.',
    },
    tfjs: {
      names: { 'tf.losses.hingeLoss': {} },
      params: { labels: '01' },
      reduction: 'sum_by_nonzero_weights',
    },
  },
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Scores.' }),
    targets: input('...', 'sign', {
      outside: 'the parameter labels says which: pm1 for -1 and 1, 01 for 0 and 1',
      about: '-1 or 1; 0 or 1 with labels "01".',
      kindFor: (params) => (params.labels === 'pm1' ? 'sign' : 'binary'),
    }),
  },
  params: Type.Object({
    labels: oneOf(['pm1', '01'], {
      default: 'pm1',
      description:
        'How the targets encode no and yes: -1 and 1, or 0 and 1. It is never guessed from a batch.',
    }),
  }),
  formula: `
    y = labels == pm1 ? targets : 2 * targets - 1
    relu(1 - y * predictions)`,
  references: ['keras.losses.Hinge', 'optax.losses.hinge_loss'],
  examples: [
    {
      inputs: { predictions: [0.5, -0.5, 2], targets: [1, 1, 1] },
      loss: [0.5, 1.5, 0],
      gradients: { predictions: [-1, -1, 0] },
      from: 'by hand',
    },
  ],
})
