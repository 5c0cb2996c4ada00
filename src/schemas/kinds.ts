/** Holds an input's numbers to what its kind says they mean, and brings them into the memory that programs read. */

import type { Precision } from '../engines/define.ts'
import { pointerTo, problemAt } from '../errors.ts'
import type { Kind } from '../losses/define.ts'
import type { DecodedTensor } from '../wire/define.ts'
import { isInteger, type NumericArray } from './tensor.ts'

interface Range {
  readonly fits: (x: number) => boolean
  readonly words: string
}

/** NaN passes: whether it is welcome is the `nonfinite` policy's affair. */
const RANGES: Readonly<Partial<Record<Kind, Range>>> = {
  positive: { fits: (x) => !(x < 0), words: 'must be >= 0' },
  nonnegative: { fits: (x) => !(x < 0), words: 'must be >= 0' },
  probability: { fits: (x) => !(x < 0 || x > 1), words: 'must lie in [0, 1]' },
  simplex: { fits: (x) => !(x < 0 || x > 1), words: 'must lie in [0, 1]' },
  sign: { fits: (x) => x === 1 || x === -1 || Number.isNaN(x), words: 'must be -1 or 1' },
  binary: { fits: (x) => x === 0 || x === 1 || Number.isNaN(x), words: 'must be 0 or 1' },
}

/**
 * Real numbers in the precision of the job.
 *
 * @throws Problem `invalid-value` naming the first element that does not fit the kind
 */
export function realNumbers(
  name: string,
  tensor: DecodedTensor,
  kind: Kind,
  precision: Precision,
): NumericArray {
  const range = RANGES[kind]
  if (range !== undefined) {
    const wrong = tensor.data.findIndex((x) => !range.fits(x))
    if (wrong >= 0) {
      throw problemAt(
        'invalid-value',
        pointerTo(name, tensor.shape, wrong),
        `${range.words}, got ${tensor.data[wrong]}`,
      )
    }
  }
  const Wanted = precision === 'float64' ? Float64Array : Float32Array
  return tensor.data instanceof Wanted ? tensor.data : Wanted.from(tensor.data)
}

/**
 * Class indices as int32.
 *
 * @param classes how many there are; undefined where labels only have to be equal or different
 * @param ignored the one label outside the range that is allowed
 * @throws Problem `label-out-of-range`, or `dtype-unsupported` when the tensor holds real numbers
 */
export function classIndices(
  name: string,
  tensor: DecodedTensor,
  classes: number | undefined,
  ignored: number | undefined,
): Int32Array {
  if (tensor.typed && !isInteger(tensor.dtype)) {
    throw problemAt(
      'dtype-unsupported',
      `/${name}`,
      `class indices need an integer dtype, got ${tensor.dtype}`,
    )
  }
  const fits = (x: number) =>
    Number.isInteger(x) &&
    x >= -(2 ** 31) &&
    x < 2 ** 31 &&
    (classes === undefined || (x >= 0 && x < classes))
  const wrong = tensor.data.findIndex((x) => !fits(x) && x !== ignored)
  if (wrong >= 0) throw wrongLabel(pointerTo(name, tensor.shape, wrong), tensor.data[wrong], classes, ignored)
  return tensor.data instanceof Int32Array ? tensor.data : Int32Array.from(tensor.data)
}

function wrongLabel(
  pointer: string,
  label: number,
  classes: number | undefined,
  ignored: number | undefined,
) {
  const range = classes === undefined ? 'must be an integer' : `must be an integer from 0 to ${classes - 1}`
  const exception = ignored === undefined ? '' : ` (or ${ignored}, which is ignored)`
  return problemAt('label-out-of-range', pointer, `${range}${exception}, got ${label}`)
}
