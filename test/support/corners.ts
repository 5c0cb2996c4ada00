/** Compares losses with values computed by hand where formulas that are right on paper fail in floating point. */
import { describe, it } from 'vitest'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from './close.ts'
import { evaluate, nested, openInterpreter } from './evaluate.ts'

/** What is shown, the loss, its inputs and parameters, and the unreduced loss with the gradients of its sum. */
export type Corner = readonly [
  what: string,
  loss: string,
  inputs: Readonly<Record<string, unknown>>,
  params: Params,
  want: { readonly loss: unknown; readonly [input: string]: unknown },
]

/** Tests every row, in float64. */
export function describeCorners(rows: readonly Corner[]) {
  describe('at a corner', async () => {
    const catalog = await loadCatalog()
    const engine = await openInterpreter()
    it.each(rows)('%s', async (_, name, inputs, params, { loss, ...gradients }) => {
      const tensors = Object.entries(inputs).map(([input, value]) => [input, nested(value)] as const)
      const options = { reduction: 'none', params }
      const answer = await evaluate(engine, catalog.find(name)!, new Map(tensors), options)
      // No absolute tolerance: the small numbers are the point.
      const exact = { relative: 1e-12, absolute: 0 }
      expectClose(answer.loss.data, flat(loss), { ...exact, what: 'loss' })
      for (const [input, gradient] of Object.entries(gradients)) {
        expectClose(answer.gradients.get(input)!.data, flat(gradient), { ...exact, what: input })
      }
    })
  })
}

const flat = (value: unknown): number[] => [value].flat(9).map(Number)
