/** Numbers are validated by kind, and the first invalid one is reported. NaN is left to the `nonfinite` policy. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import type { Kind } from '../../src/losses/define.ts'
import { realNumbers } from '../../src/schemas/input-kinds.ts'

type Numbers = Float32Array | Float64Array | Int32Array

/** The index of the rejected element; -1 if there is none. */
function refused(kind: Kind, data: Numbers): number {
  const tensor = { dtype: 'float32', shape: [data.length], data, encoding: 'nested', typed: false } as const
  try {
    realNumbers('x', tensor, kind, 'float32')
    return -1
  } catch (error) {
    expect(error).toBeInstanceOf(Problem)
    return Number(/\/x\/(\d+)/.exec((error as Problem).message)![1])
  }
}

const WELCOME: Readonly<Partial<Record<Kind, (x: number) => boolean>>> = {
  nonnegative: (x) => !(x < 0),
  positive: (x) => !(x < 0),
  probability: (x) => !(x < 0 || x > 1),
  simplex: (x) => !(x < 0 || x > 1),
  binary: (x) => Number.isNaN(x) || x === 0 || x === 1,
  sign: (x) => Number.isNaN(x) || x === -1 || x === 1,
}

const TINY = 2 ** -149
const corners = [0, -0, TINY, -TINY, 1, 1 + 2 ** -23, 1 - 2 ** -24, -1, Number.NaN, 3e38]
const number = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(0, 1) },
  fc.constantFrom(...corners, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.float(),
)

it.each(Object.entries(WELCOME) as [Kind, (x: number) => boolean][])(
  '%s: the first invalid element, in every type of array',
  (kind, isWelcome) => {
    fc.assert(
      fc.property(fc.array(number, { maxLength: 30 }), (given) => {
        for (const Type of [Float32Array, Float64Array, Int32Array]) {
          const data = Type.from(given)
          const first = [...data].findIndex((x) => !isWelcome(x))
          expect(refused(kind, data)).toBe(first)
        }
      }),
      { numRuns: 300 },
    )
  },
)
