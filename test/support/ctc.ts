import type { Scope } from '../../src/language/lower.ts'

/** The inputs of ctc in a formula. */
export const CTC_SCOPE: Scope = {
  inputs: {
    x: { type: 'real', axes: ['rows', 'time', 'classes'] },
    labels: { type: 'index', axes: ['rows', 'labels'] },
    times: { type: 'index', axes: ['rows'] },
    lengths: { type: 'index', axes: ['rows'] },
  },
  absent: [],
  params: {},
  axes: ['rows', 'time', 'classes', 'labels'],
}
