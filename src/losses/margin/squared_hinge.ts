/** Squared hinge loss. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'squared_hinge',
  family: 'margin',
  couples: 'element',
  about:
    'The hinge loss squared: smooth at the margin, and stricter with large violations. With outliers or mislabelled rows, which it weights most, use hinge. If you need probabilities, use binary_cross_entropy_with_logits.',
  presets: {
    keras: {
      names: { 'keras.losses.SquaredHinge': {}, 'keras.losses.squared_hinge': {} },
      note: 'Targets of 0 and 1 require labels "01"; Keras converts them if a batch contains no other values.',
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
    relu(1 - y * predictions)^2`,
  references: ['keras.losses.SquaredHinge'],
  examples: [
    {
      inputs: { predictions: [0.5, -0.5, 2], targets: [1, 1, 1] },
      loss: [0.25, 2.25, 0],
      gradients: { predictions: [-1, -3, 0] },
      from: 'by hand',
    },
  ],
})
