/** Softmax over cosines with a margin for the true class: ArcFace and CosFace. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'margin_softmax',
  family: 'embedding',
  couples: 'row',
  about:
    'Classifies embeddings by their cosines with one vector per class, and requires a margin for the true class. Embeddings of a class become so concentrated that unseen classes can be told apart (faces, products). arcface adds the margin to the angle, cosface subtracts it from the cosine; with margin 0 both are a normalized softmax. If classes have only a few rows, use a pair loss such as multi_similarity; for plain classification, cross_entropy.',
  aliases: {
    arcface: { kind: 'arcface', margin: 0.5, scale: 64 },
    cosface: { kind: 'cosface', margin: 0.35, scale: 64 },
  },
  presets: {
    torch: {
      names: {
        'pytorch_metric_learning.losses.ArcFaceLoss': { kind: 'arcface', margin: 0.4991641660703783 },
        'pytorch_metric_learning.losses.CosFaceLoss': { kind: 'cosface', margin: 0.35 },
        'pytorch_metric_learning.losses.NormalizedSoftmaxLoss': { kind: 'cosface', margin: 0, scale: 20 },
      },
      note: 'weight has shape [classes, dim]; in pytorch-metric-learning it is [dim, classes]. margin is in radians; ArcFaceLoss takes degrees, 28.6 by default.',
    },
  },
  advice: [
    {
      task: 'embedding',
      wish: 'margins',
      because: 'Each class has a learned direction, and the right class must win by an angular margin.',
      unless: 'there are few training classes, and they have nothing in common with those at test time.',
    },
  ],
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter. A zero row has cosine 0 to all others and gradient 0.',
    }),
    weight: input('classes,dim', 'real', {
      differentiable: true,
      about: 'One vector per class; its length does not matter.',
    }),
    targets: input('rows', 'class', { about: 'Class indices.' }),
  },
  params: Type.Object({
    kind: oneOf(['arcface', 'cosface'], {
      default: 'arcface',
      description: 'arcface: cos(angle + margin); cosface: cos(angle) - margin.',
    }),
    margin: Type.Number({
      minimum: 0,
      maximum: 2,
      default: 0.5,
      description: 'In radians (arcface) or as a cosine (cosface).',
    }),
    scale: Type.Number({ exclusiveMinimum: 0, default: 64, description: 'Multiplies the cosines.' }),
  }),
  // cos(angle + m) = cos angle cos m - sin angle sin m needs no arc cosine, whose slope is infinite at 1. Beyond pi
  // - m it would rise again; there cos angle - m sin m continues to fall, as in the authors' code. Where the angle
  // is 0, the sine, a length, has gradient 0.
  formula: `
    length_x = norm(embeddings, dim)
    length_w = norm(weight, dim)
    x = length_x < 1e-12 ? 0 : embeddings / length_x
    w = length_w < 1e-12 ? 0 : weight / length_w
    c = sum(x * w, dim)
    own = pick(c, targets, classes)
    sine = safe_sqrt(relu((1 - own) * (1 + own)))
    added = own * cos(margin) - sine * sin(margin)
    arc = own > -cos(margin) ? added : own - margin * sin(margin)
    held = kind == arcface ? arc : own - margin
    logits = scale * (index(classes) == targets ? held : c)
    -pick(log_softmax(logits, classes), targets, classes)`,
  references: [
    'Deng et al. 2019, ArcFace, arXiv:1801.07698',
    'Wang et al. 2018, CosFace, arXiv:1801.09414',
    'pytorch_metric_learning.losses.ArcFaceLoss',
    'pytorch_metric_learning.losses.CosFaceLoss',
  ],
  examples: [
    {
      inputs: {
        embeddings: [[2, 0]],
        weight: [
          [3, 0],
          [0, 1],
        ],
        targets: [0],
      },
      params: { kind: 'cosface', margin: 0.5, scale: 2 },
      loss: [0.31326168751822286],
      from: 'by hand: logits 2 (1 - 1/2) and 0, so ln(1 + 1/e)',
    },
    {
      inputs: {
        embeddings: [[0, 2]],
        weight: [
          [3, 0],
          [0, 1],
        ],
        targets: [0],
      },
      params: { kind: 'arcface', margin: 0.5235987755982988, scale: 2 },
      loss: [3.048587351573742],
      from: 'by hand: angles of 90 + 30 and 0 degrees, logits -1 and 2, so ln(1 + e^3)',
    },
  ],
})
