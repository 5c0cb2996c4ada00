/**
 * Connectionist temporal classification (CTC): minus the logarithm of the probability of all alignments of a
 * labelling, and its derivative, by the forward-backward algorithm (Graves et al. 2006,
 * doi:10.1145/1143844.1143891). The recursion runs along time and labels at once, which a formula over axes cannot
 * express, so it is implemented here, in float64 and in logarithms.
 */
import { elementsOf, type Node } from './ir.ts'
import { type Operand, type Sizes, strideOf } from './strides.ts'

/** One row: log-probabilities by time and state. The states are blank, label, blank, label, ..., blank. */
interface Row {
  readonly at: (time: number, state: number) => number
  readonly place: (time: number, state: number) => number
  readonly times: number
  readonly states: number
  /** Whether a state can be reached without the blank before it: it is a label, and differs from the previous one. */
  readonly skips: (state: number) => boolean
}

/**
 * Writes the loss of every row; Infinity if no alignment fits into the time steps.
 *
 * @param node `axis` is time, `to` the classes
 * @param operands log-probabilities, labels, input lengths, target lengths, blank
 */
export function ctcLosses(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachRow(node, operands, sizes, (row, index) => {
    result[index] = -totalOf(row, forward(row))
  })
}

/**
 * Writes the derivative of every row's loss with respect to each log-probability, which is minus the share of the
 * alignments that pass through it: d -ln p / d ln y_tk = -sum over states s with label k of alpha_ts beta_ts / p.
 * It is zero beyond the row's time steps, and where no alignment fits.
 */
export function ctcGradient(node: Node, operands: readonly Operand[], sizes: Sizes, result: FloatArray) {
  forEachRow(node, operands, sizes, (row) => {
    const before = forward(row)
    const total = totalOf(row, before)
    if (total === Number.NEGATIVE_INFINITY) return
    const behind = backward(row)
    for (let time = 0; time < row.times; time++) {
      for (let state = 0; state < row.states; state++) {
        const at = time * row.states + state
        result[row.place(time, state)] -= Math.exp(before[at] + behind[at] - total)
      }
    }
  })
}

type FloatArray = Float32Array | Float64Array

/** ln of the probability of all ways to be in a state at a time, including what is emitted there. */
function forward({ at, times, states, skips }: Row): Float64Array {
  const alpha = new Float64Array(times * states).fill(Number.NEGATIVE_INFINITY)
  for (let state = 0; state < Math.min(2, states) && times > 0; state++) alpha[state] = at(0, state)
  for (let time = 1; time < times; time++) {
    const before = (time - 1) * states
    for (let state = 0; state < states; state++) {
      const stay = alpha[before + state]
      const step = state > 0 ? alpha[before + state - 1] : Number.NEGATIVE_INFINITY
      const skip = skips(state) ? alpha[before + state - 2] : Number.NEGATIVE_INFINITY
      alpha[time * states + state] = logAdd3(stay, step, skip) + at(time, state)
    }
  }
  return alpha
}

/** ln of the probability of all ways to continue from a state at a time to the end. */
function backward({ at, times, states, skips }: Row): Float64Array {
  const beta = new Float64Array(times * states).fill(Number.NEGATIVE_INFINITY)
  for (let state = Math.max(0, states - 2); state < states && times > 0; state++)
    beta[(times - 1) * states + state] = 0
  for (let time = times - 2; time >= 0; time--) {
    const behind = (time + 1) * states
    const from = (state: number) => beta[behind + state] + at(time + 1, state)
    for (let state = 0; state < states; state++) {
      const step = state + 1 < states ? from(state + 1) : Number.NEGATIVE_INFINITY
      const skip = state + 2 < states && skips(state + 2) ? from(state + 2) : Number.NEGATIVE_INFINITY
      beta[time * states + state] = logAdd3(from(state), step, skip)
    }
  }
  return beta
}

/**
 * An alignment ends in the last label or in the blank after it. With no time steps, only the empty labelling is
 * possible.
 */
function totalOf({ times, states }: Row, alpha: Float64Array): number {
  if (times === 0) return states === 1 ? 0 : Number.NEGATIVE_INFINITY
  const last = times * states - 1
  return logAdd3(
    alpha[last],
    states > 1 ? alpha[last - 1] : Number.NEGATIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  )
}

/** ln(e^a + e^b + e^c), also where it is nearly 0; NaN is propagated. */
function logAdd3(a: number, b: number, c: number): number {
  const [low, high] = [Math.min(a, b), Math.max(a, b)]
  const [middle, largest] = [Math.min(high, c), Math.max(high, c)]
  if (largest === Number.NEGATIVE_INFINITY) return largest
  // An infinite logarithm has no distance from itself.
  if (largest === Number.POSITIVE_INFINITY) return Number.NaN
  return largest + Math.log1p(Math.exp(low - largest) + Math.exp(middle - largest))
}

/** Lengths beyond the arrays are clipped; the validation has already rejected them. */
function forEachRow(
  node: Node,
  [logits, labels, inputLengths, targetLengths, blanks]: readonly Operand[],
  sizes: Sizes,
  visit: (row: Row, index: number) => void,
) {
  const [time, classes, batch] = [node.axis!, node.to!, inputLengths.axes]
  const listed = labels.axes.find((axis) => !batch.includes(axis))!
  const stride = (operand: Operand, axis: string) => strideOf(sizes, operand.axes, axis)
  const blank = blanks.data[0]
  for (let index = 0; index < elementsOf(batch, sizes); index++) {
    const first = index * stride(logits, batch[0])
    const label = (state: number) =>
      state % 2 === 0
        ? blank
        : labels.data[index * stride(labels, batch[0]) + ((state - 1) / 2) * stride(labels, listed)]
    const place = (moment: number, state: number) =>
      first + moment * stride(logits, time) + label(state) * stride(logits, classes)
    visit(
      {
        at: (moment, state) => logits.data[place(moment, state)],
        place,
        times: Math.min(inputLengths.data[index], sizes[time]),
        states: 2 * Math.min(targetLengths.data[index], sizes[listed]) + 1,
        skips: (state) => state % 2 === 1 && state > 1 && label(state) !== label(state - 2),
      },
      index,
    )
  }
}
