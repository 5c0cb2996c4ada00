/** What no list of formulas has: random ones are written, run, and held to the definition. */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import type { Batch } from '../../src/engines/contract.ts'
import { customLoss, type InputDefinition } from '../../src/losses/custom.ts'
import { sourceProgram } from '../../src/sources/program.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { writeSource } from '../../src/sources/write.ts'
import { depth } from '../support/depth.ts'
import { alongAxes, expectNear } from '../support/random.ts'
import { type Unit, usualUnitOf } from './cases.ts'
import { typescript } from './runners/typescript.ts'

const INPUTS: Readonly<Record<string, InputDefinition>> = {
  x: { axes: 'rows,columns', differentiable: true },
  y: { axes: 'rows,columns', differentiable: true },
  v: { axes: 'rows', differentiable: true },
  u: { axes: 'columns', differentiable: true },
  i: { axes: 'rows', kind: 'class', places: 'columns' },
}

/** A loss of the inputs that the formula mentions, on ordinary inputs. */
function unitOf(formula: string, name: string): Unit {
  const mentions = (word: string) => new RegExp(`\\b${word}\\b`).test(formula)
  const inputs = Object.fromEntries(Object.entries(INPUTS).filter(([input]) => mentions(input)))
  const params = mentions('s') ? { s: { type: 'number', default: 0.75 } as const } : {}
  const unit = usualUnitOf(customLoss({ inputs, params, formula }, name))
  return { ...unit, cases: unit.cases.slice(0, 1) }
}

/** What the definition is computed for. */
function batchOf({ request, cases: [one], label }: Unit): Batch {
  const { program, params } = sourceProgram(request)
  const { sizes, inputs } = one!
  return {
    programKey: label,
    program,
    precision: 'float64',
    sizes,
    inputs: Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, [data]])),
    scalars: Object.fromEntries(params.map(({ name, value }) => [name, value])),
    cotangent: [Float64Array.of(1)],
  }
}

describe('random formulas', () => {
  it("give the service's numbers in TypeScript", async () => {
    const target = TARGETS.find(({ name }) => name === 'typescript')!
    let count = 0
    await fc.assert(
      fc.asyncProperty(alongAxes, async (formula) => {
        const id = `random_${count++}`
        const unit = unitOf(formula, id)
        const { text, name } = writeSource(target, { ...unit.request, options: { precision: 'float64' } })
        const [outcomes] = await typescript.run([{ unit, id, name, text }], 'float64')
        expectNear(outcomes![0]!, batchOf(unit), formula)
      }),
      { numRuns: depth(60, 600) },
    )
  }, 600_000)
})
