/** Supervised contrastive loss: all rows of an anchor's class against the whole batch. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input, oneOf } from '../define.ts'
import { L2_NORMALIZED } from '../formula-snippets.ts'

export default defineLoss({
  name: 'supcon',
  family: 'embedding',
  couples: 'batch',
  about:
    'Contrastive learning with labels: each row should be closer to the rows of its class than to all others. It needs large batches with several rows per class; a row whose class has no other row does not count. With exactly two views of each sample, nt_xent contrasts each pair with negatives only.',
  presets: {
    torch: {
      names: { 'pytorch_metric_learning.losses.SupConLoss': {} },
      params: { one_class: 'skip' },
      note: 'The mean is over rows that have positives. pytorch-metric-learning also leaves out rows whose loss rounds to 0; here the denominator never depends on the embeddings.',
    },
  },
  inputs: {
    embeddings: input('rows,dim', 'real', {
      differentiable: true,
      about:
        'Embeddings; their length does not matter. A zero row has cosine 0 to all others and gradient 0.',
    }),
    labels: input('rows', 'class', { about: 'Rows with equal labels are positives of each other.' }),
  },
  params: Type.Object({
    temperature: Type.Number({ exclusiveMinimum: 0, default: 0.1, description: 'Divides the cosines.' }),
    one_class: oneOf(['count', 'skip'], {
      default: 'count',
      description:
        'A batch of a single class, which has no negatives: count spreads its rows apart, as in the paper; skip gives it loss 0, as pytorch-metric-learning does.',
    }),
  }),
  // The paper's L_out: -1/|P| sum over positives p of ln( e^s_ip / sum over all others a of e^s_ia ).
  formula: `${L2_NORMALIZED}
    s = sum(z * z[rows -> others], dim) / temperature
    other = index(rows) != index(rows)[rows -> others]
    positive = other and labels == labels[rows -> others]
    all = logsumexp(other ? s : -1e30, others)
    positives = sum(positive ? 1 : 0, others)
    mixed = max(max(labels == labels[rows -> others] ? 0 : 1, others), rows) > 0
    count = one_class == count or mixed ? positives : 0
    count > 0 ? sum(positive ? all - s : 0, others) / count : 0`,
  denominator: 'count > 0 ? 1 : 0',
  references: [
    'Khosla et al. 2020, Supervised Contrastive Learning, arXiv:2004.11362',
    'pytorch_metric_learning.losses.SupConLoss',
  ],
  examples: [
    {
      inputs: {
        embeddings: [
          [1, 0],
          [1, 0],
          [0, 1],
        ],
        labels: [0, 0, 1],
      },
      params: { temperature: 1 },
      loss: [0.31326168751822286, 0.31326168751822286, 0],
      from: 'by hand: ln(e + 1) - 1 for both rows of class 0',
    },
  ],
})
