/** Triplet loss: closer to the positive than to the negative, by a margin. */
import { Type } from '@sinclair/typebox'
import { defineLoss, dependsOnParam, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'triplet_margin',
  family: 'embedding',
  couples: 'row',
  about:
    'For embeddings: an anchor must be closer to its positive than to its negative by a margin. Most triplets soon have loss 0, so choose hard ones, or let triplet_batch find them. If only pairs are known, use contrastive.',
  aliases: ['triplet'],
  presets: {
    torch: {
      names: {
        'torch.nn.functional.triplet_margin_loss': {},
        'torch.nn.TripletMarginLoss': {},
        'torch.nn.functional.triplet_margin_with_distance_loss': {},
        'torch.nn.TripletMarginWithDistanceLoss': {},
        'sentence_transformers.losses.TripletLoss': { margin: 5, epsilon: 0 },
      },
    },
    optax: {
      names: { 'optax.losses.triplet_margin_loss': {} },
      params: { epsilon_mode: 'sum' },
      reduction: 'none',
      note: 'Distances are those of the absolute differences; optax takes powers of signed differences, which cancel for an odd norm_degree.',
    },
  },
  inputs: {
    anchor: input('rows,dim', 'real', {
      differentiable: true,
      about: 'Embeddings. The difference of two distances that overflow (float32: beyond 1e19) is NaN.',
    }),
    positive: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings of the same class.' }),
    negative: input('rows,dim', 'real', { differentiable: true, about: 'Embeddings of another class.' }),
  },
  params: Type.Object({
    margin: Type.Number({ exclusiveMinimum: 0, default: 1, description: 'In units of the distance.' }),
    p: Type.Number({
      exclusiveMinimum: 0,
      default: 2,
      structural: true,
      description: 'Order of the norm (distance lp).',
      ...dependsOnParam('distance', 'lp'),
    }),
    epsilon: Type.Number({
      minimum: 0,
      default: 1e-6,
      description:
        'Added to every difference (lp), or the minimum of the product of lengths (cosine; with 0, a zero vector gives NaN).',
      ...dependsOnParam('distance', 'lp', 'cosine'),
    }),
    epsilon_mode: oneOf(['difference', 'sum'], {
      default: 'difference',
      description:
        'Of distance lp. difference: epsilon is added to every difference, as in PyTorch; sum: to the sum of the powers, under the root, as in optax.',
      ...dependsOnParam('distance', 'lp'),
    }),
    swap: Type.Boolean({
      default: false,
      description: 'Uses the distance between positive and negative if it is the smaller one.',
    }),
    distance: oneOf(['lp', 'cosine', 'sqeuclidean'], {
      default: 'lp',
      description: 'lp: the p-norm; cosine: 1 - cosine; sqeuclidean: squared Euclidean.',
    }),
  }),
  // PyTorch adds epsilon to each difference, so that the norm has a gradient where anchor and positive coincide.
  // With epsilon 0 the gradient of a norm is 0 at 0, for every p: the powers, whose slopes are infinite or 0 *
  // infinite there, are left out.
  formula: `
    by_difference = epsilon_mode == difference
    shift = by_difference ? epsilon : 0
    below = by_difference ? 0 : epsilon
    euclidean = p == 2 and by_difference
    ap = anchor - positive + shift
    an = anchor - negative + shift
    pn = positive - negative + shift
    sum_ap = sum(ap == 0 ? 0 : abs(ap)^p, dim) + below
    lp_ap = euclidean ? norm(ap, dim) : sum_ap == 0 ? 0 : sum_ap^(1 / p)
    sum_an = sum(an == 0 ? 0 : abs(an)^p, dim) + below
    lp_an = euclidean ? norm(an, dim) : sum_an == 0 ? 0 : sum_an^(1 / p)
    sum_pn = sum(pn == 0 ? 0 : abs(pn)^p, dim) + below
    lp_pn = euclidean ? norm(pn, dim) : sum_pn == 0 ? 0 : sum_pn^(1 / p)
    a = norm(anchor, dim)
    b = norm(positive, dim)
    c = norm(negative, dim)
    cos_ap = 1 - sum(anchor * positive, dim) / max(a * b, epsilon)
    cos_an = 1 - sum(anchor * negative, dim) / max(a * c, epsilon)
    cos_pn = 1 - sum(positive * negative, dim) / max(b * c, epsilon)
    sq_ap = sum((anchor - positive)^2, dim)
    sq_an = sum((anchor - negative)^2, dim)
    sq_pn = sum((positive - negative)^2, dim)
    near = distance == lp ? lp_ap : distance == cosine ? cos_ap : sq_ap
    far = distance == lp ? lp_an : distance == cosine ? cos_an : sq_an
    other = distance == lp ? lp_pn : distance == cosine ? cos_pn : sq_pn
    relu(near - (swap ? min(far, other) : far) + margin)`,
  references: [
    'Schroff et al. 2015, FaceNet, arXiv:1503.03832',
    'torch.nn.functional.triplet_margin_loss',
    'torch.nn.functional.triplet_margin_with_distance_loss',
  ],
  examples: [
    {
      inputs: { anchor: [[0, 0]], positive: [[3, 4]], negative: [[0, 2]] },
      params: { epsilon: 0 },
      loss: [4],
      gradients: { anchor: [[-0.6, 0.2]], positive: [[0.6, 0.8]], negative: [[0, -1]] },
      from: 'by hand: 5 - 2 + 1',
    },
  ],
})
