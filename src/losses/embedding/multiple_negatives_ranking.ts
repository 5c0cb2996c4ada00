/** In-batch negatives: each anchor must find its positive among all positives of the batch. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'multiple_negatives_ranking',
  family: 'embedding',
  couples: 'batch',
  about:
    "For pairs that belong together (question and answer, text and image), without labels: the other rows' positives are the negatives, and larger batches teach more. With symmetric: true it is the CLIP loss. Avoid it if a batch contains a pair twice, or positives of different rows with the same meaning: they are pushed apart. With labels use supcon.",
  aliases: { clip: { symmetric: true } },
  presets: {
    torch: {
      names: {
        'sentence_transformers.losses.MultipleNegativesRankingLoss': {},
        'sentence_transformers.losses.CachedMultipleNegativesRankingLoss': {},
        'sentence_transformers.losses.MultipleNegativesSymmetricRankingLoss': { symmetric: true },
        'open_clip.loss.ClipLoss': { symmetric: true },
      },
      note: 'Additional hard negatives per row are not supported: use info_nce. scale is a constant; CLIP learns it.',
    },
  },
  inputs: {
    anchor: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter. A zero row has cosine 0 to all others and gradient 0.',
    }),
    positive: input('rows,dim', 'real', {
      differentiable: true,
      about: 'The embedding that each anchor should find; a negative for all other anchors.',
    }),
  },
  params: Type.Object({
    scale: Type.Number({
      exclusiveMinimum: 0,
      default: 20,
      description: 'Multiplies the cosines: the inverse of a temperature.',
    }),
    symmetric: Type.Boolean({
      default: false,
      description: 'Averages with the opposite direction, in which positives find their anchors.',
    }),
  }),
  formula: `
    length_a = norm(anchor, dim)
    length_b = norm(positive, dim)
    a = length_a < 1e-12 ? 0 : anchor / length_a
    b = length_b < 1e-12 ? 0 : positive / length_b
    s = scale * sum(a * b[rows -> others], dim)
    there = -pick(log_softmax(s, others), index(rows), others)
    back = -pick(log_softmax(s, rows), index(others), rows)[others -> rows]
    symmetric ? (there + back) / 2 : there`,
  denominator: 'size(rows) > 1 ? 1 : 0',
  references: [
    'Henderson et al. 2017, Efficient Natural Language Response Suggestion for Smart Reply, arXiv:1705.00652',
    'Radford et al. 2021 (CLIP), arXiv:2103.00020',
    'sentence_transformers.losses.MultipleNegativesRankingLoss',
  ],
  examples: [
    {
      inputs: {
        anchor: [
          [1, 0],
          [0, 1],
        ],
        positive: [
          [2, 0],
          [3, 0],
        ],
      },
      params: { scale: 1 },
      loss: [0.6931471805599453, 0.6931471805599453],
      from: 'by hand: both positives are alike, so ln 2',
    },
    {
      inputs: {
        anchor: [
          [1, 0],
          [0, 1],
        ],
        positive: [
          [2, 0],
          [3, 0],
        ],
      },
      params: { scale: 1, symmetric: true },
      loss: [0.5032044340390841, 1.003204434039084],
      from: 'by hand: backwards ln(1 + 1/e) and ln(e + 1)',
    },
  ],
})
