/** Lovasz loss: the convex surrogate of the Jaccard index that agrees with it on every hard prediction. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'
import { hardMaskInput, ignoredClass, MASKED_REGIONS, pixelMask } from '../regions.ts'

export default defineLoss({
  name: 'lovasz',
  family: 'segmentation',
  couples: 'group',
  about:
    'Optimizes the Jaccard index (IoU) itself, per row (image) and class; for fine-tuning segmentation models. Far from the solution its gradient is sparse: start with cross-entropy or dice, and do not train from scratch with it alone. An empty region (an absent class) costs its largest error with mode hinge (0 once all its logits are below -1) and counts in the mean; with mode softmax it is left out of the sum and the mean.',
  inputs: {
    predictions: input('rows,classes,...', 'real', { differentiable: true, about: 'Logits.' }),
    targets: hardMaskInput,
    mask: pixelMask,
  },
  params: Type.Object({
    mode: oneOf(['hinge', 'softmax'], {
      default: 'hinge',
      description:
        'hinge: each class is a separate region, and errors are hinges; softmax: classes are mutually exclusive, errors are those of the probabilities, and classes that do not occur in a row are left out.',
    }),
    ignore_index: ignoredClass,
  }),
  // The errors in descending order, each times the increase of the Jaccard distance when its pixel becomes wrong, too
  // (Berman et al., algorithm 1). With k pixels wrong, the intersection is the rest of the region, and the union has grown by
  // the false positives. The previous step is the same without this pixel, so no array has to be shifted. Ignored pixels
  // come last, with error 0.
  formula: `${MASKED_REGIONS}
    p = softmax(scores, classes)
    right = mode == hinge ? x * (2 * true_region - 1) : true_region * p + (1 - true_region) * (1 - p)
    wrong = mode == hinge ? max(1 - right, 0) : true_region * (1 - p) + (1 - true_region) * p
    error = kept ? wrong : 0
    worst_first = order(kept ? (mode == hinge ? right : -wrong) : -log(0), ...)
    found = gather(inside, worst_first, ...)
    extra = gather(outside, worst_first, ...)
    region = sum(inside, ...)
    intersection = region - cumsum(found, ...)
    union = region + cumsum(extra, ...)
    union_before = union - extra
    distance_before = union_before > 0 ? 1 - (intersection + found) / union_before : 0
    growth = union > 0 ? 1 - intersection / union - distance_before : 0
    total = sum(gather(error, worst_first, ...) * growth, ...)
    mode == softmax and region == 0 ? 0 : total`,
  denominator: 'mode == softmax ? (region == 0 ? 0 : 1) : max(kept ? 1 : 0, ...)',
  references: [
    'Berman et al. 2018, The Lovasz-Softmax loss, arXiv:1705.08790',
    'segmentation_models_pytorch.losses.LovaszLoss(per_image=True): the mean of a row is over its own classes first',
  ],
  examples: [
    {
      inputs: { predictions: [[[2, -0.5, -2]]], targets: [[[1, 1, 0]]] },
      loss: [[0.75]],
      gradients: { predictions: [[[0, -0.5, 0]]] },
      from: 'by hand: one hinge of 1.5, whose pixel takes the Jaccard distance from 0 to 1/2',
    },
    {
      inputs: { predictions: [[[2, -0.5, -2, 'NaN']]], targets: [[[1, 1, 0, 1]]], mask: [[1, 1, 1, 0]] },
      loss: [[0.75]],
      gradients: { predictions: [[[0, -0.5, 0, 0]]] },
      from: 'by hand: the same, with a pixel that is masked, whatever it contains',
    },
    {
      inputs: {
        predictions: [
          [
            [0, 5],
            [0, 1],
          ],
        ],
        targets: [[0, -100]],
      },
      params: { mode: 'softmax' },
      loss: [[0.5, 0]],
      from: 'by hand: half of the only pixel that is not ignored; the second class is absent',
    },
  ],
})
