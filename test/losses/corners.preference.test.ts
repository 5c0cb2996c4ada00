/** Corner cases of the preference losses, with numbers computed by hand. */
import { describeCorners } from '../support/corners.ts'

const one = { policy_chosen: [0], policy_rejected: [0], reference_chosen: [0], reference_rejected: [0] }

describeCorners([
  [
    'a pair that is surely right costs next to nothing, one that is surely wrong is linear',
    'dpo',
    {
      policy_chosen: [-1, -5001],
      policy_rejected: [-501, -1],
      reference_chosen: [-1, -1],
      reference_rejected: [-1, -1],
    },
    {},
    {
      loss: [Math.exp(-50), 500],
      policy_chosen: [-0.1 * Math.exp(-50), -0.1],
      policy_rejected: [0.1 * Math.exp(-50), 0.1],
    },
  ],
  [
    'a pair exactly at the margin rests',
    'dpo',
    { ...one, policy_rejected: [-8] },
    { variant: 'hinge', beta: 0.125 },
    { loss: [0], policy_chosen: [0], policy_rejected: [0] },
  ],
  [
    'without swapped labels robust is sigmoid',
    'dpo',
    one,
    { variant: 'robust' },
    { loss: [Math.LN2], policy_chosen: [-0.05], policy_rejected: [0.05] },
  ],
])
