/** Every function of the language on every engine: values and gradients equal the definition. */
import { afterAll, beforeAll, describe, it } from 'vitest'
import type { Engine } from '../../src/engines/contract.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import type { NumericArray, Precision } from '../../src/tensor.ts'
import { CONSTANT, SMOOTH } from '../support/calls.ts'
import { expectClose } from '../support/close.ts'
import { IS_THOROUGH } from '../support/depth.ts'
import { availableEngines } from '../support/engines.ts'
import { SCOPE } from '../support/formulas.ts'
import { randomFrom } from '../support/sample.ts'

const [rows, columns] = [5, 7]
const random = randomFrom(8)
const numbers = (count: number) => Float32Array.from({ length: count }, () => 4 * random() - 2)
const all: Readonly<Record<string, Float32Array | Int32Array>> = {
  x: numbers(rows * columns),
  y: numbers(rows * columns),
  v: numbers(rows),
  i: Int32Array.of(2, 0, 6, 3, 3),
}

function inPrecision(data: NumericArray, precision: Precision): NumericArray {
  return precision === 'float64' && data instanceof Float32Array ? Float64Array.from(data) : data
}

/** float64 is computed of the same numbers, which float32 holds exactly. */
const RELATIVE = { float32: 2e-5, float64: 1e-13 } as const

const engines = (await availableEngines()).filter(({ isEmulated }) => IS_THOROUGH || !isEmulated)

describe.each(engines)('$name', ({ open, precisions }) => {
  let engine: Engine
  beforeAll(async () => {
    engine = await open()
  })
  afterAll(() => engine.close())

  const calls = [...SMOOTH, ...CONSTANT]
  it.each(calls.flatMap((text) => precisions.map((precision) => [text, precision] as const)))(
    '%s in %s',
    async (text, precision) => {
      const program = lower(parse(text), SCOPE, ['x', 'y', 'v'])
      const inputs = Object.fromEntries(
        Object.keys(program.inputs).map((name) => [name, inPrecision(all[name]!, precision)]),
      )
      const [sizes, scalars] = [{ rows, columns }, { s: 1.75 }]
      const want = interpret(program, { sizes, scalars, inputs })
      const got = await engine.run({
        programKey: `every function: ${text}`,
        program,
        precision,
        sizes,
        scalars,
        inputs: Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, [data]])),
        cotangent: [inPrecision(Float32Array.of(1), precision) as Float32Array | Float64Array],
      })
      const relative = RELATIVE[precision]
      expectClose(got.values, want.values, { relative })
      for (const [name, data] of Object.entries(want.gradients))
        expectClose(got.gradients[name]!, data, { relative, what: name })
    },
  )
})
