/**
 * Checks that the numbers of an input are valid for its kind, and converts them into the arrays that programs read.
 */

import { type Problem, pointerTo, problemAt } from '../errors.ts'
import type { Kind } from '../losses/define.ts'
import { formatElement, isInteger, type NumericArray, type Precision } from '../tensor.ts'
import type { DecodedTensor } from '../wire/define.ts'

export interface Range {
  readonly low: number
  readonly high: number
  /** Whether only these two values are allowed. */
  readonly only: boolean
  readonly words: string
  /** For ranges that allow all values from 0 on: `high` as the bits of a float32. */
  readonly bits: number | undefined
}

/** NaN passes here; the `nonfinite` policy decides about it. */
const RANGES: Readonly<Partial<Record<Kind, Range>>> = {
  positive: fromZeroTo(Number.POSITIVE_INFINITY, 'must be >= 0'),
  nonnegative: fromZeroTo(Number.POSITIVE_INFINITY, 'must be >= 0'),
  probability: fromZeroTo(1, 'must be in [0, 1]'),
  simplex: fromZeroTo(1, 'must be in [0, 1]'),
  sign: { low: -1, high: 1, only: true, words: 'must be -1 or 1', bits: undefined },
  binary: { low: 0, high: 1, only: true, words: 'must be 0 or 1', bits: undefined },
}

/** The valid numbers of a kind; undefined if all are. */
export function rangeOfKind(kind: Kind): Range | undefined {
  return RANGES[kind]
}

function fromZeroTo(high: number, words: string): Range {
  const [bits] = new Uint32Array(Float32Array.of(high).buffer)
  return { low: 0, high, only: false, words, bits }
}

/**
 * The first invalid element from an index on, or -1. Written as a loop, because a function call for each of a
 * million numbers takes 5 ms.
 */
function misfit(data: NumericArray, { low, high, only, bits }: Range, from: number): number {
  if (only) return noneOfTwo(data, low, high, from)
  const start =
    data instanceof Float32Array && bits !== undefined && from === 0 ? plainUpTo(data, bits) : from
  for (let i = start; i < data.length; i++) {
    const x = data[i]
    if (x < low || x > high) return i
  }
  return -1
}

/** With one branch that is never taken, because nobody can predict which of the two numbers comes next. */
function noneOfTwo(data: NumericArray, low: number, high: number, from: number): number {
  for (let i = from; i < data.length; i++) {
    const distance = (data[i] - low) * (data[i] - high)
    if (distance !== 0 && !Number.isNaN(distance)) return i
  }
  return -1
}

/**
 * Fast path: how many numbers from the first one on are in a range that starts at 0. As unsigned integers, the bits
 * of non-negative float32 numbers have the order of the numbers, and negative numbers and NaN are larger than all
 * of them, so a single comparison is enough.
 *
 * @param most the bits of the upper end of the range
 */
function plainUpTo(data: Float32Array, most: number): number {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length)
  const whole = bits.length - 3
  let i = 0
  while (i < whole && bits[i] <= most && bits[i + 1] <= most && bits[i + 2] <= most && bits[i + 3] <= most)
    i += 4
  return i
}

/** The range of an integer: from `low` to below `high`, and the one allowed value outside of it. */
interface Places {
  readonly low: number
  readonly high: number
  readonly ignored: number | undefined
}

/** Like `misfit`: the first element that is not an integer in its range. */
function misplaced(data: NumericArray, { low, high, ignored }: Places, from: number): number {
  const isWhole = data instanceof Int32Array
  for (let i = from; i < data.length; i++) {
    const x = data[i]
    if (x >= low && x < high && (isWhole || Number.isInteger(x))) continue
    if (x !== ignored) return i
  }
  return -1
}

/** Whether an element is in a row that does not count, where any value is allowed. */
export type IsMasked = (element: number) => boolean

/**
 * The numbers, with invalid ones in rows that do not count replaced by `instead`.
 *
 * @param wrong index of the first invalid element
 * @param find finds the first invalid element from an index on, or returns -1
 * @param complain creates the problem for an invalid element that counts
 */
function forgiven(
  data: NumericArray,
  wrong: number,
  find: (from: number) => number,
  complain: (element: number) => Problem,
  isSilent: IsMasked | undefined,
  instead: number,
): NumericArray {
  const own = data.slice()
  for (let i = wrong; i >= 0; i = find(i + 1)) {
    if (isSilent === undefined || !isSilent(i)) throw complain(i)
    own[i] = instead
  }
  return own
}

/**
 * Real numbers for a job of this precision. Integers, and float32 in a float64 job, stay as they are: engines convert them while they
 * copy or read them, which is exact, or rounds as well.
 *
 * @param instead a hint about what to send instead
 * @throws Problem `invalid-value` for the first element that is invalid for the kind
 */
export function realNumbers(
  name: string,
  tensor: DecodedTensor,
  kind: Kind,
  precision: Precision,
  isSilent?: IsMasked,
  instead = '',
): NumericArray {
  const range = RANGES[kind]
  const wrong = range === undefined ? -1 : misfit(tensor.data, range, 0)
  const data = wrong < 0 ? tensor.data : withinRange(name, tensor, range!, wrong, isSilent, instead)
  return precision === 'float32' && data instanceof Float64Array ? new Float32Array(data) : data
}

function withinRange(
  name: string,
  { data, shape }: DecodedTensor,
  range: Range,
  wrong: number,
  isSilent: IsMasked | undefined,
  instead: string,
): NumericArray {
  const complain = (element: number) => {
    const detail = `${range.words}, got ${formatElement(data, element)}${instead && `; ${instead}`}`
    return problemAt('invalid-value', pointerTo(name, shape, element), detail)
  }
  const find = (from: number) => misfit(data, range, from)
  return forgiven(data, wrong, find, complain, isSilent, Math.min(range.high, 1))
}

/**
 * Checks that the corners of boxes are in order.
 *
 * @throws Problem `invalid-value` for the first coordinate that is less than its opposite
 */
export function checkBoxCorners(name: string, { data, shape }: DecodedTensor, isSilent?: IsMasked) {
  for (let i = 0; i < data.length; i++) {
    const isFar = i % 4 >= 2
    if (!isFar || !(data[i] < data[i - 2]) || isSilent?.(i)) continue
    const [far, near] = i % 4 === 2 ? ['x2', 'x1'] : ['y2', 'y1']
    const detail = `${far} must be >= ${near}, got ${formatElement(data, i)} after ${formatElement(data, i - 2)}`
    throw problemAt('invalid-value', pointerTo(name, shape, i), detail)
  }
}

/**
 * Class indices as int32.
 *
 * @param classes the number of classes; undefined if labels are only compared with each other
 * @param ignored the one allowed label outside of the range
 * @param instead a hint about what to send instead
 * @throws Problem `label-out-of-range`, or `dtype-unsupported` if the tensor contains real numbers
 */
export function classIndices(
  name: string,
  tensor: DecodedTensor,
  classes: number | undefined,
  ignored: number | undefined,
  isSilent?: IsMasked,
  instead = '',
): Int32Array {
  if (tensor.typed && !isInteger(tensor.dtype)) {
    throw problemAt(
      'dtype-unsupported',
      `/${name}`,
      `class indices require an integer dtype, got ${tensor.dtype}`,
    )
  }
  const [low, high] = classes === undefined ? [-(2 ** 31), 2 ** 31] : [0, Math.min(classes, 2 ** 31)]
  const places = { low, high, ignored }
  const wrong = misplaced(tensor.data, places, 0)
  const data = wrong < 0 ? tensor.data : inPlace(name, tensor, places, wrong, isSilent, instead)
  return data instanceof Int32Array ? data : Int32Array.from(data)
}

function inPlace(
  name: string,
  { data, shape }: DecodedTensor,
  places: Places,
  wrong: number,
  isSilent: IsMasked | undefined,
  instead: string,
): NumericArray {
  const complain = (element: number) =>
    wrongLabel(pointerTo(name, shape, element), formatElement(data, element), places, instead)
  return forgiven(data, wrong, (from) => misplaced(data, places, from), complain, isSilent, 0)
}

function wrongLabel(pointer: string, label: string, { low, high, ignored }: Places, instead: string) {
  const exception = ignored === undefined ? '' : ` (or ${ignored}, which is ignored)`
  const detail = `must be an integer from ${low} to ${high - 1}${exception}, got ${label}${instead && `; ${instead}`}`
  return problemAt('label-out-of-range', pointer, detail)
}
