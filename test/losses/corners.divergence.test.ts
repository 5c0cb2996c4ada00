/** Corner cases of the divergence losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const inf = Number.POSITIVE_INFINITY

describeCorners([
  [
    // optax: 5.2e-7 in float32.
    'generalized_kl_div keeps its digits near the optimum: e^d - 1 - d',
    'generalized_kl_div',
    { predictions: [[1e-3]], targets: [[1]] },
    {},
    { loss: [5.001667083416681e-7], predictions: [Math.expm1(1e-3)] },
  ],
  [
    'generalized_kl_div of a target of 0 is what is predicted, also where that is nothing',
    'generalized_kl_div',
    { predictions: [[0, -inf]], targets: [[0, 0]] },
    {},
    { loss: [1], predictions: [1, 0] },
  ],
  [
    'generalized_kl_div does not overflow before e^x does',
    'generalized_kl_div',
    { predictions: [[700]], targets: [[1e-300]] },
    {},
    { loss: [Math.exp(700)], predictions: [Math.exp(700)] },
  ],
  [
    // torchmetrics: 6e-8 in float32.
    'js_div keeps its digits near equality',
    'js_div',
    { predictions: [[0.5 + 2 ** -12, 0.5 - 2 ** -12]], targets: [[0.5, 0.5]] },
    {},
    { loss: [2.980232446011184e-8] },
  ],
  [
    // torchmetrics: gradient NaN, NaN, NaN.
    'js_div rests where both are 0',
    'js_div',
    { predictions: [[0, 0.5, 0.5]], targets: [[0, 0.5, 0.5]] },
    {},
    { loss: [0], predictions: [0, 0, 0], targets: [0, 0, 0] },
  ],
  [
    // torchmetrics: gradient NaN, NaN. The slope at 0 is infinite; its stand-in is large and right in sign.
    'js_div where one is 0 and the other is not',
    'js_div',
    { predictions: [[0, 1]], targets: [[0.5, 0.5]] },
    {},
    {
      loss: [(Math.log(4 / 3) + Math.log(4 / 3) / 2) / 2],
      predictions: [(Math.log(1e-37) - 1 - Math.log(4 / 3)) / 2, 0],
    },
  ],
  [
    // torch's kl_div: 7.69e-6 in float32.
    'distillation_kl keeps its digits where the student is near',
    'distillation_kl',
    { student: [[0, 2 ** -7]], teacher: [[0, 0]] },
    {},
    { loss: [7.629375128775311e-6] },
  ],
  [
    'distillation_kl: a class that the teacher masks is only taken from',
    'distillation_kl',
    { student: [[0, 0]], teacher: [[0, -inf]] },
    {},
    { loss: [Math.LN2], student: [-0.5, 0.5] },
  ],
  [
    'distillation_kl: a class that both mask is not there',
    'distillation_kl',
    { student: [[0, -inf, 0]], teacher: [[0, -inf, 0]] },
    { temperature: 4 },
    { loss: [0], student: [0, 0, 0] },
  ],
  [
    'distillation_kl is linear where the student is surely wrong',
    'distillation_kl',
    { student: [[0, 1e4]], teacher: [[1e4, 0]] },
    {},
    { loss: [1e4], student: [-1, 1] },
  ],
])
