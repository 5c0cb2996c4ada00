/** A bad number gets the same refusal in every precision, whichever of the other inputs are wider or narrower. */
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import type { NumericArray, Precision } from '../../src/tensor.ts'
import type { DecodedTensor } from '../../src/wire/define.ts'
import { check } from '../support/evaluate.ts'
import { MISFIT } from '../support/misfit.ts'
import { defaultsOf, sampleTensors } from '../support/sample.ts'

const { losses } = await loadCatalog()
const ROWS = 3

type Tensors = ReadonlyMap<string, DecodedTensor>

/** The dtype of the input with the bad number, and of all other real ones. */
const PAIRS: readonly (readonly [Precision, Precision])[] = [
  ['float32', 'float32'],
  ['float64', 'float64'],
  ['float64', 'float32'],
  ['float32', 'float64'],
]

function inDtype(
  tensor: DecodedTensor,
  dtype: Precision,
  change: (data: Float64Array) => void,
): DecodedTensor {
  const data = Float64Array.from(tensor.data)
  change(data)
  // Labels stay integers of their own dtype, if they still are integers.
  if (tensor.data instanceof Int32Array && data.every(Number.isInteger))
    return { ...tensor, data: Int32Array.from(data) }
  const all: NumericArray = dtype === 'float64' ? data : Float32Array.from(data)
  return { ...tensor, dtype, data: all, typed: true }
}

function spoiled(
  tensors: Tensors,
  name: string,
  [own, other]: readonly [Precision, Precision],
  bad: number,
): Tensors {
  const entries = [...tensors].map(([key, tensor]) => {
    const change = (data: Float64Array) => {
      if (key === name) data[data.length - 1] = bad
    }
    return [key, inDtype(tensor, key === name ? own : other, change)] as const
  })
  return new Map(entries)
}

function refusalOf(loss: Loss, tensors: Tensors, options: Readonly<Record<string, unknown>>): unknown {
  try {
    check(loss, tensors, options)
    return 'accepted'
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { code: error.code, detail: error.message, errors: error.options.errors }
  }
}

const cases = losses.flatMap((loss) => {
  const tensors = sampleTensors(loss, { seed: 5, rows: ROWS, bare: true })
  return [...tensors.keys()].flatMap((name) => {
    // Labels that are only compared with each other may be any integers.
    const misfit =
      name === 'labels' ? undefined : MISFIT[loss.inputs[name]?.kindFor(defaultsOf(loss)) ?? 'real']
    const isReal = !(tensors.get(name)!.data instanceof Int32Array)
    return [
      ...(misfit === undefined ? [] : [{ loss, tensors, name, bad: misfit, options: {} }]),
      ...(isReal ? [{ loss, tensors, name, bad: Number.NaN, options: { nonfinite: 'error' } }] : []),
    ]
  })
})

describe('a bad number is refused alike in all precisions', () => {
  it.each(cases.map((one) => [one.loss.name, one.name, one.bad, one] as const))(
    '%s: %s with %d',
    (_loss, _name, _bad, { loss, tensors, name, bad, options }) => {
      const refusals = PAIRS.map((pair) => refusalOf(loss, spoiled(tensors, name, pair, bad), options))
      expect(refusals[0]).not.toBe('accepted')
      for (const refusal of refusals) expect(refusal).toEqual(refusals[0])
    },
  )
})
