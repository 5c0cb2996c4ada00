/** Logistic loss of many labels, averaged over them. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'multilabel_soft_margin',
  family: 'margin',
  couples: 'row',
  about:
    'Any number of labels a row, each asked for by itself with the logistic loss, averaged over the labels: one value a row. It is the row mean of binary_cross_entropy_with_logits; take that for a value each label, soft targets or pos_weight, and asymmetric where nearly all labels are absent.',
  presets: {
    torch: {
      names: {
        'torch.nn.functional.multilabel_soft_margin_loss': {},
        'torch.nn.MultiLabelSoftMarginLoss': {},
      },
    },
  },
  inputs: {
    predictions: input('rows,classes', 'real', { differentiable: true, about: 'Logits, one a label.' }),
    targets: input('rows,classes', 'binary', { about: '1 where the label is present, else 0.' }),
    weight: input('classes', 'real', {
      optional: true,
      about: 'Multiplies the terms of each label; the mean still divides by their number.',
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
