/** Adaptive softmax: cross-entropy over a vocabulary whose rare words share small projections. */
import { Type } from '@sinclair/typebox'
import { defineLoss, type InputSpec, input, type Params } from '../define.ts'

/** The formula has a few lines per cluster. */
const MAX_CUTOFFS = 16

export default defineLoss({
  name: 'adaptive_log_softmax',
  family: 'multiclass',
  couples: 'row',
  about:
    'For vocabularies of tens of thousands of words, sorted from frequent to rare. The frequent classes are in the head. Each cluster of rarer classes has a smaller projection, and the head only chooses the cluster. This saves parameters, but here no time, because every cluster is computed for every row. With few classes, or equally frequent ones, use linear_cross_entropy.',
  presets: {
    torch: {
      names: { 'torch.nn.AdaptiveLogSoftmaxWithLoss': {} },
      note: "PyTorch's module owns the weights and returns log-probabilities. Here the weights are inputs (head.weight, tail[i][0].weight, tail[i][1].weight), and the result is the module's `loss`.",
    },
  },
  inputs: {
    hidden: input('rows,features', 'real', {
      differentiable: true,
      about:
        'The input of the last layer. Its products with the weights must not overflow (float32: 3.4e38), otherwise the result is NaN.',
    }),
    head: input('head_size,features', 'real', {
      differentiable: true,
      about: 'Weights of the classes below the first cutoff, then one row per cluster.',
    }),
    tails: input('list of [size,features] pairs', 'real', {
      differentiable: true,
      about:
        'One pair per cluster, sent as tails_0_projection [width, features] and tails_0_weight [classes of the cluster, width], tails_1_projection ...',
    }),
    targets: input('rows', 'class', { about: 'Class indices, from frequent to rare.' }),
  },
  params: Type.Object({
    cutoffs: Type.Array(Type.Integer({ minimum: 1 }), {
      maxItems: MAX_CUTOFFS,
      default: [],
      description:
        'First class of each cluster, in ascending order. Empty: an ordinary softmax over the head.',
    }),
  }),
  formula: formulaFor([]),
  expand: (params) => {
    const cutoffs = increasing(params)
    return { inputs: inputsFor(cutoffs), formula: formulaFor(cutoffs) }
  },
  references: [
    'Grave et al. 2017, Efficient softmax approximation for GPUs, arXiv:1609.04309',
    'torch.nn.AdaptiveLogSoftmaxWithLoss',
  ],
  examples: [
    {
      inputs: { hidden: [[0]], head: [[1], [2], [3]], targets: [2] },
      loss: [1.0986122886681098],
      from: 'by hand: three equal logits, ln 3',
    },
    {
      inputs: {
        hidden: [[0]],
        head: [[1], [2], [3]],
        tails_0_projection: [[1]],
        tails_0_weight: [[4], [5]],
        targets: [3],
      },
      params: { cutoffs: [2] },
      loss: [1.791759469228055],
      from: 'by hand: one of three in the head, one of two in the cluster, ln 6',
    },
  ],
})

/** @throws RangeError if they are not in ascending order */
function increasing({ cutoffs }: Params): readonly number[] {
  const list = cutoffs as readonly number[]
  const wrong = list.findIndex((cutoff, i) => i > 0 && cutoff <= list[i - 1])
  if (wrong > 0) throw new RangeError(`must increase, got ${list[wrong]} after ${list[wrong - 1]}`)
  return list
}

/** Axes of a known size are named by it. The last cluster ends where its weights end. */
function inputsFor(cutoffs: readonly number[]): Record<string, InputSpec> {
  const real = (axes: string, about: string) => input(axes, 'real', { differentiable: true, about })
  const head = headOf(cutoffs)
  const tails = cutoffs.flatMap((_, i) => [
    [`tails_${i}_projection`, real(`width_${i},features`, `Projection of cluster ${i}.`)] as const,
    [`tails_${i}_weight`, real(`${sizeOf(cutoffs, i)},width_${i}`, `Weights of cluster ${i}.`)] as const,
  ])
  const places = { axis: cutoffs.length === 0 ? 'head_size' : 'last', offset: cutoffs.at(-1) ?? 0 }
  return {
    hidden: real('rows,features', 'The input of the last layer.'),
    head: real(`${head},features`, 'Weights of the frequent classes, then one row per cluster.'),
    ...Object.fromEntries(tails),
    targets: input('rows', 'class', { about: 'Class indices, from frequent to rare.', places }),
  }
}

/** The head has one output for each class below the first cutoff, and one for each cluster. */
function headOf(cutoffs: readonly number[]): string {
  return cutoffs.length === 0 ? 'head_size' : `${cutoffs[0] + cutoffs.length}`
}

function sizeOf(cutoffs: readonly number[], cluster: number): string {
  return cluster === cutoffs.length - 1 ? 'last' : `${cutoffs[cluster + 1] - cutoffs[cluster]}`
}

/** p(class) = p(cluster) p(class | cluster). A class that is not in a cluster adds nothing there. */
function formulaFor(cutoffs: readonly number[]): string {
  const head = headOf(cutoffs)
  const first = cutoffs[0] ?? 0
  const clusters = cutoffs.map((low, i) => {
    const [size, high] = [sizeOf(cutoffs, i), i + 1 < cutoffs.length ? cutoffs[i + 1] : undefined]
    const isHere = high === undefined ? `targets >= ${low}` : `targets >= ${low} and targets < ${high}`
    return `
    narrow_${i} = sum(hidden * tails_${i}_projection, features)
    log_p_${i} = log_softmax(sum(narrow_${i} * tails_${i}_weight, width_${i}), ${size})
    own_${i} = sum(index(${size}) == targets - ${low} ? log_p_${i} : 0, ${size})
    part_${i} = ${isHere} ? pick(log_p, ${first + i}, ${head}) + own_${i} : 0`
  })
  const frequent =
    cutoffs.length === 0
      ? 'pick(log_p, targets, head_size)'
      : `targets < ${first} ? pick(log_p, targets, ${head}) : 0`
  return `
    log_p = log_softmax(sum(hidden * head, features), ${head})${clusters.join('')}
    frequent = ${frequent}
    -(${['frequent', ...cutoffs.map((_, i) => `part_${i}`)].join(' + ')})`
}
