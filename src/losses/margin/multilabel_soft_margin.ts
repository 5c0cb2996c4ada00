/** Logistic loss of many labels, averaged over the labels. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'multilabel_soft_margin',
  family: 'margin',
  couples: 'row',
  about:
    'For any number of labels per row: the logistic loss of each label, averaged over the labels, with one value per row. It is the row mean of binary_cross_entropy_with_logits. Use that one for a value per label, soft targets or pos_weight, and asymmetric if nearly all labels are absent.',
  presets: {
    torch: {
      names: {
        'torch.nn.functional.multilabel_soft_margin_loss': {},
        'torch.nn.MultiLabelSoftMarginLoss': {},
      },
    },
  },
  inputs: {
    predictions: input('rows,classes', 'real', { differentiable: true, about: 'Logits, one per label.' }),
    targets: input('rows,classes', 'binary', { about: '1 if the label is present, otherwise 0.' }),
    weight: input('classes', 'real', {
      optional: true,
      about: 'Multiplies the terms of each label. The mean still divides by the number of labels.',
    }),
  },
  params: noParams,
  // -y ln s(x) - (1 - y) ln(1 - s(x)): each term is exact on both sides.
  formula: `
    term = targets * softplus(-predictions) + (1 - targets) * softplus(predictions)
    mean(given(weight) ? weight * term : term, classes)`,
  references: ['torch.nn.functional.multilabel_soft_margin_loss'],
  examples: [
    {
      inputs: { predictions: [[0, 1.0986122886681098]], targets: [[1, 0]] },
      loss: [1.0397207708399179],
      gradients: { predictions: [[-0.25, 0.375]] },
      from: 'by hand: (ln 2 + ln 4) / 2',
    },
    {
      inputs: { predictions: [[0, 0]], targets: [[1, 0]], weight: [2, 0] },
      loss: [0.6931471805599453],
      gradients: { predictions: [[-0.5, 0]] },
      from: 'by hand: (2 ln 2 + 0 ln 2) / 2',
    },
  ],
})
