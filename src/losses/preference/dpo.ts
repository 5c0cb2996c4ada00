/** Direct preference optimization and its row-wise variants. */
import { Type } from '@sinclair/typebox'
import { defineLoss, dependsOnParam, input, oneOf } from '../define.ts'

export default defineLoss({
  name: 'dpo',
  family: 'preference',
  couples: 'row',
  about:
    'Teaches a language model to prefer the chosen one of two completions, measured against a frozen reference model, without a reward model. Use it with log-probabilities summed over the tokens of a completion (averaged for ipo). It needs a separate reference: if policy and reference are the same, only the starting point is measured. sigmoid sees only the difference of the two, so both log-probabilities may fall: watch them, or use nca_pair or apo_zero.',
  advice: [
    {
      task: 'preference',
      because:
        'It learns from preferences between two responses, without a reward model. The variants ipo and robust are for noisy preferences.',
      unless: 'you have rewards, or single responses rated good or bad.',
    },
  ],
  inputs: {
    policy_chosen: input('rows', 'logprob', {
      differentiable: true,
      about: 'ln p of the chosen completion under the model that is being trained.',
    }),
    policy_rejected: input('rows', 'logprob', {
      differentiable: true,
      about: 'ln p of the rejected completion under the model that is being trained.',
    }),
    reference_chosen: input('rows', 'logprob', {
      about: 'ln p of the chosen completion under the reference model.',
    }),
    reference_rejected: input('rows', 'logprob', {
      about: 'ln p of the rejected completion under the reference model.',
    }),
  },
  params: Type.Object({
    beta: Type.Number({
      exclusiveMinimum: 0,
      default: 0.1,
      description:
        'Reward per unit of log-probability: the larger, the closer the policy stays to the reference.',
    }),
    label_smoothing: Type.Number({
      minimum: 0,
      exclusiveMaximum: 0.5,
      default: 0,
      description: 'Expected share of pairs with swapped labels; sigmoid and robust only.',
      ...dependsOnParam('variant', 'sigmoid', 'robust'),
    }),
    variant: oneOf(['sigmoid', 'hinge', 'ipo', 'robust', 'nca_pair', 'sppo_hard', 'apo_zero', 'apo_down'], {
      default: 'sigmoid',
      description: "The loss of a pair of rewards. The names are those of TRL's loss_type.",
    }),
  }),
  // chosen and rejected are the log-ratios of the two completions, m is their difference. With label_smoothing s,
  // sigmoid is the expected loss if a share s of the labels is swapped (conservative DPO), and robust the unbiased
  // estimate of the loss without swaps.
  formula: `
    chosen = policy_chosen - reference_chosen
    rejected = policy_rejected - reference_rejected
    m = chosen - rejected
    z = beta * m
    s = label_smoothing
    variant == sigmoid ? (1 - s) * softplus(-z) + s * softplus(z)
      : variant == hinge ? relu(1 - z)
      : variant == ipo ? (m - 1 / (2 * beta))^2
      : variant == robust ? ((1 - s) * softplus(-z) - s * softplus(z)) / (1 - 2 * s)
      : variant == nca_pair ? softplus(-beta * chosen) + (softplus(beta * chosen) + softplus(beta * rejected)) / 2
      : variant == sppo_hard ? (chosen - 1 / (2 * beta))^2 + (rejected + 1 / (2 * beta))^2
      : variant == apo_zero ? sigmoid(-beta * chosen) + sigmoid(beta * rejected)
      : sigmoid(beta * chosen) + sigmoid(-z)`,
  references: [
    'Rafailov et al. 2023, Direct Preference Optimization, arXiv:2305.18290',
    'Mitchell 2023, A note on DPO with noisy preferences (label_smoothing with sigmoid)',
    'Zhao et al. 2023, SLiC-HF, arXiv:2305.10425 (hinge)',
    'Azar et al. 2023, A General Theoretical Paradigm to Understand Learning from Human Preferences, arXiv:2310.12036 (ipo)',
    'Chowdhury et al. 2024, Provably Robust DPO, arXiv:2403.00409 (robust)',
    'Chen et al. 2024, Noise Contrastive Alignment, arXiv:2402.05369 (nca_pair)',
    'Wu et al. 2024, Self-Play Preference Optimization, arXiv:2405.00675 (sppo_hard)',
    "D'Oosterlinck et al. 2024, Anchored Preference Optimization, arXiv:2408.06266 (apo_zero, apo_down)",
    'trl.DPOTrainer (aot couples the batch, bco_pair keeps a running mean, exo_pair needs label_smoothing > 0: left out)',
  ],
  examples: [
    {
      inputs: {
        policy_chosen: [-5],
        policy_rejected: [-5],
        reference_chosen: [-5],
        reference_rejected: [-5],
      },
      loss: [0.6931471805599453],
      gradients: { policy_chosen: [-0.05], policy_rejected: [0.05] },
      from: 'by hand: ln 2 at the start, where policy and reference agree, and slope -beta / 2',
    },
    {
      inputs: {
        policy_chosen: [-3],
        policy_rejected: [-7],
        reference_chosen: [-4],
        reference_rejected: [-6],
      },
      params: { variant: 'ipo' },
      loss: [9],
      gradients: { policy_chosen: [-6], policy_rejected: [6] },
      from: 'by hand: (2 - 1 / 0.2)^2',
    },
  ],
})
