/** Varifocal loss: cross-entropy with IoU scores, weighted by them. Negatives are down-weighted as in focal loss. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'varifocal',
  family: 'boxes',
  couples: 'element',
  about:
    'For scores that rank detections. A positive has the IoU of its box as target and as weight, so that good boxes count most. A negative (target 0) is down-weighted as it is recognized. Use it for the classification head of a dense detector. For hard labels 0 and 1 sigmoid_focal does the same. Avoid it if targets are class probabilities: small ones would nearly be ignored.',
  inputs: {
    predictions: input('...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: input('...', 'probability', { about: 'IoU with the true box; 0 for negatives.' }),
  },
  params: Type.Object({
    alpha: Type.Number({ minimum: 0, default: 0.75, description: 'Weight of the negatives.' }),
    gamma: Type.Number({
      minimum: 0,
      default: 2,
      description: 'Exponent that down-weights recognized negatives; 0 does not.',
    }),
  }),
  // A positive pays y * bce(x, y), a negative alpha sigmoid(x)^gamma * softplus(x). The power is computed in the
  // exponent, because sigmoid(x) underflows long before its logarithm does. Beyond 800 the sigmoid is 1 in every
  // precision.
  formula: `
    x = predictions
    y = targets
    negative = alpha * exp(gamma * logsigmoid(min(x, 800))) * softplus(x)
    y > 0 ? y * (y * softplus(-x) + (1 - y) * softplus(x)) : negative`,
  references: [
    'Zhang et al. 2021, VarifocalNet, arXiv:2008.13367',
    'mmdet.models.losses.VarifocalLoss (iou_weighted=True)',
  ],
  examples: [
    {
      inputs: { predictions: [0, 0], targets: [0.5, 0] },
      loss: [0.34657359027997264, 0.1299650963549897],
      gradients: { predictions: [0, 0.22371509635498976] },
      from: 'by hand: ln 2 / 2, and 3/16 ln 2 with slope 3/16 (ln 2 + 1/2)',
    },
  ],
})
