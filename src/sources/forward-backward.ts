/**
 * What the array targets have in common whose library differentiates: the value and the gradient are two functions of the
 * same inputs. The library calls the second one with the gradient of what comes after, and may differentiate it again.
 */
import { type ArrayLines, type ArrayNames, type ArraySyntax, argumentNames, writeArrays } from './arrays.ts'
import type { SourceProgram } from './contract.ts'

export interface ForwardBackward {
  readonly names: ArrayNames
  readonly value: ArrayLines
  readonly gradient: ArrayLines
  readonly loss: string
  /** Absent if the denominator of the mean is the number of values. */
  readonly shares: string | undefined
  /** In the order of the inputs. */
  readonly gradients: readonly { readonly of: string; readonly name: string }[]
}

/** @param cotangent the name of the gradient of what comes after */
export function forwardBackward(
  source: SourceProgram,
  syntax: ArraySyntax,
  reserved: readonly string[],
  cotangent: string,
): ForwardBackward {
  const { program } = source
  const names = argumentNames(source, [...syntax.reserved, ...reserved], cotangent)
  const { axes } = program.nodes[program.value]
  const loss = names.names.take('loss')
  const shares = program.denominators === undefined ? undefined : names.names.take('shares')
  const gradients = source.inputs.flatMap(({ name }) => {
    return name in program.gradients ? [{ of: name, name: names.names.take(`grad_${name}`) }] : []
  })
  const value = writeArrays(source, syntax, names, [
    { node: program.value, axes, name: loss },
    ...(shares === undefined ? [] : [{ node: program.denominators!, axes, name: shares }]),
  ])
  const gradient = writeArrays(
    source,
    syntax,
    names,
    gradients.map(({ of, name }) => ({ node: program.gradients[of], axes: program.inputs[of].axes, name })),
  )
  return { names, value, gradient, loss, shares, gradients }
}
