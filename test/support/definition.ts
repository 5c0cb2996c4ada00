/**
 * The reference result of a batch: the interpreter's float64 values and gradients, whatever the precision of the
 * batch.
 */
import type { Batch } from '../../src/engines/contract.ts'
import { type Interpreted, interpret } from '../../src/language/interpret.ts'
import type { NumericArray } from '../../src/tensor.ts'

/** Value and gradients in float64. */
export function definition(batch: Batch): Interpreted {
  return interpret(batch.program, argumentsOf(batch))
}

/** The numbers of a batch, as the interpreter takes them. */
export function argumentsOf({ sizes, inputs, scalars, cotangent }: Batch) {
  const wide = Object.entries(inputs).map(([name, [data]]) => {
    return [name, data instanceof Int32Array ? data : Float64Array.from(data!)] as const
  })
  return {
    sizes,
    inputs: Object.fromEntries<NumericArray>(wide),
    scalars,
    cotangent: Float64Array.from(cotangent[0]!),
  }
}
