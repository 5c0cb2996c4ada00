/** Knowledge distillation: a student's softened distribution compared with its teacher's. */
import { Type } from '@sinclair/typebox'
import { classAxisParam, defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'distillation_kl',
  family: 'divergence',
  couples: 'row',
  about:
    "A small model learns the whole distribution of a large one, from the logits of both. A temperature above 1 shows more of the teacher's opinion of the wrong classes. The factor T^2 preserves the size of the gradient, so that the loss can be added to cross_entropy with true labels. Avoid it if the teacher provides only labels or has different classes.",
  presets: {
    torch: {
      names: { 'sentence_transformers.losses.DistillKLDivLoss': {} },
      note: "The divergence is summed over classes and averaged over rows. mmdet's KnowledgeDistillationKLDivLoss also divides by the number of classes.",
    },
  },
  inputs: {
    student: input('rows,classes,...', 'real', {
      differentiable: true,
      about: 'Logits of the model that learns.',
    }),
    teacher: input('rows,classes,...', 'real', {
      about: 'Logits of the model that it learns from; constant to the gradient.',
    }),
  },
  params: Type.Object({
    temperature: Type.Number({
      exclusiveMinimum: 0,
      default: 1,
      description: 'Divides the logits of both. The loss is multiplied by its square.',
    }),
    class_axis: classAxisParam,
  }),
  // T^2 sum_c t (ln t - ln s). The probabilities t and s both sum to 1, so adding s - t changes nothing, but turns
  // each term into t (e^-d - 1 + d) with d = ln t - ln s: of the order of d^2, where t d alone would cancel against
  // the other classes. If d is large, e^-d might overflow where t is tiny; a t of 0 leaves s, even if ln t is -inf.
  // If all logits are close, d is computed as their difference e minus the difference of the two logarithms of
  // sums, ln sum_c t e^-e.
  formula: `
    log_t = log_softmax(teacher / temperature, classes)
    log_s = log_softmax(student / temperature, classes)
    t = exp(log_t)
    s = exp(log_s)
    e = (teacher - student) / temperature
    shift = log1p(sum(t * expm1(-e), classes))
    close = max(abs(e), classes) < 0.5
    d = close ? e + shift : log_t - log_s
    near = t * exp_tail(-d)
    far = t * (d - 1) + s
    temperature^2 * sum(t == 0 ? s : abs(d) < 1 ? near : far, classes)`,
  references: [
    'Hinton et al. 2015, Distilling the Knowledge in a Neural Network, arXiv:1503.02531',
    'sentence_transformers.losses.DistillKLDivLoss',
  ],
  examples: [
    {
      inputs: { student: [[0, 0]], teacher: [[0, 2.1972245773362196]] },
      params: { temperature: 2 },
      loss: [0.5232481437645479],
      gradients: { student: [[0.5, -0.5]] },
      from: 'by hand: softmax (1/4, 3/4) against (1/2, 1/2), 4 (3/4 ln 3 - ln 2), slope T (s - t)',
    },
  ],
})
