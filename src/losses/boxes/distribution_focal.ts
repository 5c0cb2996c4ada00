/** Distribution focal loss: cross-entropy on the two bins around a real-valued target. */
import { defineLoss, input, noParams } from '../define.ts'

export default defineLoss({
  name: 'distribution_focal',
  family: 'boxes',
  couples: 'row',
  about:
    'A distance is predicted as a distribution over bins 0, 1, 2 ... The two bins around the target share it in proportion to how close they are, and pay cross-entropy. Use it for the sides of boxes that are blurred or hidden (GFL, YOLOv8), together with an IoU loss on the expected box. Targets are in bins, not in pixels: divide pixels by the stride first. A target beyond the last bin counts as the last bin.',
  inputs: {
    predictions: input('rows,bins', 'real', {
      differentiable: true,
      about: 'Logits, one row per side of a box.',
    }),
    targets: input('rows', 'nonnegative', { about: 'Distances in bins, from 0 to the number of bins - 1.' }),
  },
  params: noParams,
  // With y between bins i and i + 1, -(i + 1 - y) ln p_i - (y - i) ln p_{i+1}: each bin has weight 1 - |y - bin|,
  // but at least 0. A bin of weight 0 does not count, even if its logarithm is -inf.
  formula: `
    y = min(targets, size(bins) - 1)
    weight = relu(1 - abs(y - index(bins)))
    log_p = log_softmax(predictions, bins)
    -sum(weight > 0 ? weight * log_p : 0, bins)`,
  references: [
    'Li et al. 2020, Generalized Focal Loss, arXiv:2006.04388',
    'mmdet.models.losses.DistributionFocalLoss',
  ],
  examples: [
    {
      inputs: { predictions: [[0, 0, 0, 1.0986122886681098]], targets: [2.25] },
      loss: [1.5171063970610277],
      gradients: { predictions: [[0.16666666666666666, 0.16666666666666666, -0.5833333333333333, 0.25]] },
      from: 'by hand: softmax (1, 1, 1, 3) / 6; ln 6 - ln 3 / 4',
    },
  ],
})
