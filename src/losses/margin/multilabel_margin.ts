/** Hinge loss of every present label against every absent label. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'multilabel_margin',
  family: 'margin',
  couples: 'row',
  about:
    'For any number of labels per row: every present label must score 1 higher than every absent one. It learns an order, not a threshold; if each label needs its own yes or no, use multilabel_soft_margin. Its cost grows with the square of the number of classes.',
  presets: {
    torch: {
      names: { 'torch.nn.functional.multilabel_margin_loss': {}, 'torch.nn.MultiLabelMarginLoss': {} },
    },
  },
  advice: [
    {
      task: 'multilabel',
      wish: 'margins',
      because: 'Every listed class must outscore every other class by a margin.',
      unless: 'there are hundreds of classes: the number of pairs grows with their square.',
    },
  ],
  inputs: {
    predictions: input('rows,classes', 'real', { differentiable: true, about: 'Scores, one per class.' }),
    targets: input('rows,classes', 'index_list', {
      about:
        'The classes that are present. The first -1 ends the list. A class that is listed twice counts twice.',
    }),
  },
  params: noParams,
  // The list becomes a count per class, so that a pair is a present class and an absent one: the sum over present j
  // and absent i of [1 - (x_j - x_i)]+, divided by the number of classes.
  formula: `
    end = min(targets < 0 ? index(classes) : size(classes), classes)
    listed = (index(classes) < end ? targets : -1)[classes -> places]
    count = sum(listed == index(classes) ? 1 : 0, places)
    short = relu(1 - predictions + predictions[classes -> others])
    pair = count > 0 and count[classes -> others] == 0 ? count * short : 0
    sum(sum(pair, others), classes) / size(classes)`,
  references: ['torch.nn.functional.multilabel_margin_loss'],
  examples: [
    {
      inputs: { predictions: [[0.5, 0.25, 0.75, 1]], targets: [[3, 0, -1, 1]] },
      loss: [0.75],
      gradients: { predictions: [[-0.5, 0.5, 0.5, -0.5]] },
      from: 'by hand: (0.25 + 0.75 for class 3, 0.75 + 1.25 for class 0, and the -1 ends the list) / 4',
    },
  ],
})
