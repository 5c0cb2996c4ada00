/** What array sources with a custom gradient are composed of, in any language. */
import { type ArrayLines, type ArrayNames, type ArraySyntax, argumentNames, writeArrays } from './arrays.ts'
import type { SourceProgram } from './contract.ts'

export interface GradientParts {
  readonly source: SourceProgram
  readonly names: ArrayNames
  readonly loss: string
  readonly value: ArrayLines
  readonly gradient: ArrayLines
  /** What each value adds to the denominator of the mean; absent if that is 1. */
  readonly shares: ArrayLines | undefined
  /** The inputs that have a gradient. */
  readonly wanted: readonly string[]
}

/**
 * @param reserved names of the frame, in addition to those of the syntax
 * @throws CannotWrite
 */
export function gradientParts(
  source: SourceProgram,
  syntax: ArraySyntax,
  reserved: readonly string[],
): GradientParts {
  const { program } = source
  const names = argumentNames(source, [...syntax.reserved, ...reserved], 'upstream')
  const loss = names.names.take('loss')
  const { axes } = program.nodes[program.value]
  const lines = (node: number, own: readonly string[], of: string) => ({ node, axes: own, name: of })
  const wanted = source.inputs.flatMap((input) => (input.name in program.gradients ? [input.name] : []))
  const gradients = wanted.map((of) => {
    return lines(program.gradients[of], program.inputs[of].axes, names.names.take(`grad_${of}`))
  })
  const denominators = program.denominators
  const shares =
    denominators === undefined
      ? undefined
      : writeArrays(source, syntax, names, [lines(denominators, axes, names.names.take('shares'))])
  const value = writeArrays(source, syntax, names, [lines(program.value, axes, loss)])
  const gradient = writeArrays(source, syntax, names, gradients)
  return { source, names, loss, value, gradient, shares, wanted }
}

/** The parameters that must be tensors. */
export function tensorParams({ value, gradient, shares }: GradientParts): readonly string[] {
  return [...new Set([value, gradient, shares].flatMap((lines) => lines?.asArrays ?? []))]
}

/**
 * Where sizes are read: the name of each, the argument that has it, and at which dimension. Each function reads those that it
 * needs itself, because its names are its own.
 */
export function sizesRead(
  { source, names }: GradientParts,
  { sizes }: ArrayLines,
): readonly (readonly [name: string, argument: string, dimension: number])[] {
  return [...sizes].map(([axis, name]) => {
    const owner = source.inputs.find(({ axes }) => axes.includes(axis))!
    return [name, names.inputs.get(owner.name)!, owner.axes.indexOf(axis)] as const
  })
}
