/** How the function of a loop source is called: the same order of arguments in every language. */
import { elementsOf, sizesWithRenamedAxes } from '../../../src/language/ir.ts'
import type { Code } from '../../../src/sources/code.ts'
import { type LoopArray, type LoopSource, writeLoops } from '../../../src/sources/loops.ts'
import { sourceProgram } from '../../../src/sources/program.ts'
import { SYNTAX as TYPESCRIPT } from '../../../src/sources/targets/typescript.ts'
import type { Case, Reduction, Unit } from '../cases.ts'
import { fromHex, toHex } from '../doubles.ts'
import type { Outcome } from './runner.ts'

/** Arguments do not depend on the language, and some have functions that TypeScript lacks. */
const called = ([x]: readonly Code[]) => x!
const SYNTAX = {
  ...TYPESCRIPT,
  ops: { ...TYPESCRIPT.ops, erf: called, lgamma: called, digamma: called, polygamma: called },
}

export type LoopCall = LoopSource & {
  readonly unit: Unit
  readonly sizesOf: (one: Case) => Record<string, number>
}

export function loopCall(unit: Unit): LoopCall {
  const source = sourceProgram(unit.request)
  return {
    ...writeLoops(source, SYNTAX),
    unit,
    sizesOf: (one) => sizesWithRenamedAxes(source.program, one.sizes),
  }
}

/** The reductions of loop sources, in the order of their enumerations. */
export const REDUCTIONS = ['none', 'sum', 'mean'] as const

/** The reductions that a case is run with. */
export function reductionsOf({ reduced }: Case): readonly (typeof REDUCTIONS)[number][] {
  return REDUCTIONS.filter((reduction) => reduction === 'none' || reduced.has(reduction))
}

/**
 * A call as words, one for each array of doubles: the sizes, the inputs, the parameters, the numbers of elements of the
 * outputs and of the scratch memory, and the place of the reduction.
 */
export function wordsOf(call: LoopCall, one: Case, reduction: (typeof REDUCTIONS)[number]): string[] {
  const sizes = call.sizesOf(one)
  const length = ({ axes }: LoopArray) => elementsOf(axes, sizes)
  const scratch = call.scratch.reduce((total, array) => total + length(array), 0)
  const words = [
    call.sizes.map(({ axis }) => sizes[axis]!),
    ...call.inputs.map(({ of }) => one.inputs[of]!),
    call.params.map(({ value }) => value),
    call.outputs.map(length),
    [scratch],
    [REDUCTIONS.indexOf(reduction)],
  ]
  return words.map((numbers) => toHex(numbers) || '-')
}

/** The result and the outputs of each call of a case. */
export function outcomeOf(call: LoopCall, one: Case, calls: readonly LoopResult[]): Outcome {
  const gradients = ({ outputs }: LoopResult) =>
    Object.fromEntries(
      call.outputs.flatMap(({ role, of }, place) => (role === 'gradient' ? [[of, outputs[place]!]] : [])),
    )
  const [none, ...others] = calls
  const values = none!.outputs[call.outputs.findIndex(({ role }) => role === 'values')]!
  const reductions = reductionsOf(one).slice(1) as Reduction[]
  const reduced = reductions.map((reduction, place) => {
    const found = others[place]!
    return [reduction, { loss: found.result, gradients: gradients(found) }] as const
  })
  return { values, gradients: gradients(none!), reduced: new Map(reduced) }
}

/** What one call returns, and the arrays that it fills. */
export interface LoopResult {
  readonly result: number
  readonly outputs: readonly Float64Array[]
}

/** The lines that a call has printed. */
export function resultOf([result, ...outputs]: readonly string[]): LoopResult {
  const arrays = outputs.map((line) => fromHex(line === '-' ? '' : line))
  return { result: fromHex(result!)[0]!, outputs: arrays }
}
