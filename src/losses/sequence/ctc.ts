/** Connectionist temporal classification (CTC): the loss of a sequence whose alignment is not known. */
import { Type } from '@sinclair/typebox'
import { defineLoss, input } from '../define.ts'

export default defineLoss({
  name: 'ctc',
  family: 'sequence',
  couples: 'group',
  about:
    'For transcripts without timing (speech, handwriting): minus the log-probability of all alignments of the labels with the time steps. It assumes that the steps are independent of each other and that there are not more labels than steps. If the order is free, or with a decoder that sees its own output, use cross_entropy on a sequence-to-sequence model.',
  presets: {
    torch: {
      names: { 'torch.nn.functional.ctc_loss': {}, 'torch.nn.CTCLoss': {} },
      note: 'Predictions have shape [rows, time, classes]; PyTorch expects [time, rows, classes]. The gradient of an impossible alignment is 0; PyTorch returns NaN.',
    },
    keras: {
      names: { 'keras.losses.CTC': {}, 'keras.losses.ctc': {} },
      reduction: 'batchmean',
      note: 'Keras has no length arguments; label 0 is both blank and padding. An impossible alignment has loss Infinity; Keras returns 708, 1e5 or infinity, depending on the backend.',
    },
    optax: {
      names: { 'optax.losses.ctc_loss': {}, 'optax.ctc_loss': {} },
      reduction: 'none',
      note: "Lengths replace optax's paddings. An impossible alignment has loss Infinity; optax returns about 1e5.",
    },
  },
  advice: [
    {
      task: 'sequence',
      because: 'It sums over all alignments of the labels with the time steps.',
      unless: 'there can be more labels than time steps, or their order is free.',
    },
  ],
  inputs: {
    predictions: input('rows,time,classes', 'logprob', {
      differentiable: true,
      about:
        'Log-probabilities of the classes at each step. Logits work as well, because they are normalized.',
    }),
    targets: input('rows,labels', 'class', {
      paddedTo: 'target_lengths',
      except: 'blank',
      about: 'Class indices without the blank. Everything after the length is ignored.',
    }),
    input_lengths: input('rows', 'count', { atMost: 'time', about: 'Number of time steps of each row.' }),
    target_lengths: input('rows', 'count', { atMost: 'labels', about: 'Number of labels of each row.' }),
  },
  params: Type.Object({
    blank: Type.Integer({
      minimum: 0,
      default: 0,
      placeOf: 'classes',
      description: 'The class that means no label.',
    }),
    zero_infinity: Type.Boolean({
      default: false,
      description: 'Whether labels that do not fit into the time steps cost 0 instead of Infinity.',
    }),
  }),
  // The recursion over time and labels is an op of its own (language/ctc.ts). The normalization does not change
  // log-probabilities; through it the gradient is softmax minus the share of the alignments, like PyTorch's. Steps
  // beyond a row's length are masked before.
  formula: `
    heard = index(time) < input_lengths ? predictions : 0
    loss = ctc(log_softmax(heard, classes), targets, input_lengths, target_lengths, blank, time, classes)
    zero_infinity and not is_finite(loss) ? 0 : loss`,
  meanPer: 'target_lengths',
  references: [
    'Graves et al. 2006, Connectionist temporal classification, doi:10.1145/1143844.1143891',
    'torch.nn.functional.ctc_loss',
    'optax.losses.ctc_loss',
  ],
  examples: [
    {
      inputs: {
        predictions: [
          [
            [0, 0],
            [0, 0],
          ],
        ],
        targets: [[1]],
        input_lengths: [2],
        target_lengths: [1],
      },
      loss: [0.28768207245178085],
      from: 'by hand: three of the four paths of two steps read as the label, -ln 3/4',
    },
  ],
})
