/** How the function of a loop source is called: the same order of arguments in every language. */
import { elementsOf, sizesWithRenamedAxes } from '../../../src/language/ir.ts'
import { type LoopArray, type LoopSource, writeLoops } from '../../../src/sources/loops.ts'
import { sourceProgram } from '../../../src/sources/program.ts'
import { SYNTAX } from '../../../src/sources/targets/typescript.ts'
import type { Case, Unit } from '../cases.ts'
import { fromHex, toHex } from '../doubles.ts'
import type { Outcome } from './runner.ts'

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

/**
 * A case as words, one for each array of doubles: the sizes, the inputs, the parameters, and the numbers of elements of
 * the outputs and of the scratch memory.
 */
export function wordsOf(call: LoopCall, one: Case): string[] {
  const sizes = call.sizesOf(one)
  const length = ({ axes }: LoopArray) => elementsOf(axes, sizes)
  const scratch = call.scratch.reduce((total, array) => total + length(array), 0)
  const words = [
    call.sizes.map(({ axis }) => sizes[axis]!),
    ...call.inputs.map(({ of }) => one.inputs[of]!),
    call.params.map(({ value }) => value),
    call.outputs.map(length),
    [scratch],
  ]
  return words.map((numbers) => toHex(numbers) || '-')
}

/** The outputs of a case, one line each. */
export function outcomeOf(call: LoopCall, lines: readonly string[]): Outcome {
  const arrays = lines.map((line) => fromHex(line === '-' ? '' : line))
  const found = (role: LoopArray['role']) =>
    call.outputs.flatMap((output, place) =>
      output.role === role ? [[output.of, arrays[place]!] as const] : [],
    )
  return { values: found('values')[0]![1], gradients: Object.fromEntries(found('gradient')) }
}
