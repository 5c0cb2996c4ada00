/** A loss as source. */
import type { SourceRequest, Target, WriteOptions, WrittenSource } from './contract.ts'
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
  return { text, mediaType: target.mediaType, fileName: `${options.name}${target.extension}` }
}

function optionsOf(target: Target, { loss, options = {} }: SourceRequest): WriteOptions {
  const [precision] = target.precisions
  return {
    precision,
    dialect: target.dialects[0] ?? '',
    name: loss.name.replace(/^.*\//, ''),
    table: 't',
    columns: {},
    ...options,
  }
}
