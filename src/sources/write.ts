/** A loss as source. */
import type { SourceRequest, Target, WriteOptions, WrittenSource } from './contract.ts'
import { freeName } from './names.ts'
import { sourceProgram } from './program.ts'

/**
 * @throws CannotWrite, InvalidName, ProgramTooLarge
 * @example
 * writeSource(c, { loss: huber, params: { delta: 1 } }).text // '/* huber: ...'
 */
export function writeSource(target: Target, request: SourceRequest): WrittenSource {
  const options = optionsOf(target, request)
  const { programOf = sourceProgram } = target
  const text = target.write(programOf(request), options)
  const { name } = options
  return { text, name, mediaType: target.mediaType, fileName: `${name}${target.extension}` }
}

function optionsOf(target: Target, { loss, options = {} }: SourceRequest): WriteOptions {
  const [precision] = target.precisions
  return {
    precision,
    dialect: target.dialects[0] ?? '',
    table: 't',
    columns: {},
    ...options,
    name: freeName(options.name ?? loss.name.replace(/^.*\//, ''), target.taken ?? []),
  }
}
