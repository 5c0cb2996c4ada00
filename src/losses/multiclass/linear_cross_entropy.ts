/** Cross-entropy of a linear layer's output, with the gradients of the layer. */
import { Type } from '@sinclair/typebox'
import { defineLoss, ignoreIndex, input } from '../define.ts'

export default defineLoss({
  name: 'linear_cross_entropy',
  family: 'multiclass',
  couples: 'row',
  about:
    'The last layer of a classifier or language model together with its cross-entropy: logits = hidden weight^T + bias. Only the gradients of hidden, weight and bias are returned. Worthwhile if there are many classes, so that the logits would be larger than hidden and weight. With few classes, send logits to cross_entropy; then the weight need not be sent.',
  presets: {
    torch: {
      names: { 'torch.nn.functional.linear_cross_entropy': {}, 'torch.nn.LinearCrossEntropyLoss': {} },
      note: 'Targets are class indices, without class weights; PyTorch also accepts probabilities and weights.',
    },
  },
  inputs: {
    hidden: input('rows,features', 'real', {
      differentiable: true,
      about:
        'Input of the layer. Its products with the weights must not overflow (float32: 3.4e38), otherwise the result is NaN.',
    }),
    weight: input('classes,features', 'real', { differentiable: true, about: 'Weight of the layer.' }),
    bias: input('classes', 'real', { differentiable: true, optional: true, about: 'Bias of the layer.' }),
    targets: input('rows', 'class', { about: 'Class indices.' }),
  },
  params: Type.Object({
    label_smoothing: Type.Number({
      minimum: 0,
      maximum: 1,
      default: 0,
      description: 'Share of each target that is spread over all classes.',
    }),
    ignore_index: Type.Integer(ignoreIndex),
  }),
  // Like cross_entropy. With a smoothing of 0 the smooth term does not count, even if a bias of -inf masks a class.
  formula: `
    product = sum(hidden * weight, features)
    log_p = log_softmax(given(bias) ? product + bias : product, classes)
    sharp = -pick(log_p, targets, classes)
    smooth = label_smoothing > 0 ? -label_smoothing * mean(log_p, classes) : 0
    kept = targets != ignore_index
    kept ? (1 - label_smoothing) * sharp + smooth : 0`,
  denominator: 'kept ? 1 : 0',
  references: [
    'torch.nn.functional.linear_cross_entropy',
    'Wijmans et al. 2024, Cut Your Losses in Large-Vocabulary Language Models, arXiv:2411.09009',
  ],
  examples: [
    {
      inputs: {
        hidden: [[1, 2]],
        weight: [
          [0, 0],
          [1.0986122886681098, 0],
        ],
        targets: [0],
      },
      loss: [1.3862943611198906],
      gradients: {
        hidden: [[0.8239592165010823, 0]],
        weight: [
          [-0.75, -1.5],
          [0.75, 1.5],
        ],
      },
      from: 'by hand: logits (0, ln 3), so softmax (1/4, 3/4)',
    },
  ],
})
