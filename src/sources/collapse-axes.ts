/** Inputs with other axes between named ones are seen with one axis in their place: which ones, and how values get theirs back. */
import type { SourceProgram } from './contract.ts'

/** Inputs of which a part of the shape is seen as one axis. */
export function flattenedInputs({ inputs, program }: SourceProgram) {
  const isPlain = program.nodes.every(({ axes, axis, op }) => {
    return axis === undefined && op !== 'index' && axes.every((own) => own === '...')
  })
  return isPlain ? [] : inputs.filter(({ axes }) => axes.includes('...'))
}

/** The part of an input's shape that values have in place of `...`; undefined if nothing is flattened. */
export function valueShape(source: SourceProgram) {
  const { axes } = source.program.nodes[source.program.value]
  const owner = flattenedInputs(source)[0]
  if (owner === undefined || !axes.includes('...')) return undefined
  const from = owner.axes.indexOf('...')
  return { of: owner.name, from, until: from + 1 - owner.axes.length, axes }
}
