import type { Kind } from '../../src/losses/define.ts'

/** Numbers that float32 holds exactly, and that are invalid for every kind with invalid numbers. */
export const MISFIT: Readonly<Partial<Record<Kind, number>>> = {
  class: 255,
  class_or_probability: 255,
  class_or_binary: 255,
  index_list: 255,
  count: -7,
  binary: 0.5,
  sign: 3,
  probability: -2,
  simplex: 7,
  nonnegative: -4,
  positive: -1,
}
