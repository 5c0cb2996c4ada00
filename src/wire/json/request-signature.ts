/** Recognises bodies of equal structure: everything but the tensors' numbers, in one text. */
import type { DecodedTensor } from '../define.ts'
import { numberOf } from './repeated-value.ts'

/** Structures that are remembered, and the longest text of one that is. */
const MEMORY = { structures: 512, characters: 8192 } as const

const remembered = new Map<string, object>()

/**
 * One object for all bodies of a structure; undefined for one that is too long to remember.
 *
 * @example
 * structureOf(body.tensors, body.options) === structureOf(next.tensors, next.options) // true
 */
export function internSignature(
  tensors: ReadonlyMap<string, DecodedTensor>,
  options: ReadonlyMap<string, unknown>,
): object | undefined {
  const text = textOf(tensors, options)
  if (text === undefined || text.length > MEMORY.characters) return undefined
  const known = remembered.get(text)
  if (known !== undefined) return known
  const made = Object.freeze({ text })
  remembered.set(text, made)
  if (remembered.size > MEMORY.structures) remembered.delete(remembered.keys().next().value!)
  return made
}

/** Undefined where a name could be mistaken for something else. */
function textOf(
  tensors: ReadonlyMap<string, DecodedTensor>,
  options: ReadonlyMap<string, unknown>,
): string | undefined {
  let text = options.size === 0 ? '' : JSON.stringify([...options], spelled)
  for (const [name, { dtype, shape, encoding, typed }] of tensors) {
    if (!/^\w+$/.test(name)) return undefined
    text += `;${name} ${dtype} ${shape.join()} ${encoding} ${typed}`
  }
  return text
}

/** JSON has no -0; and what is remembered need not be written out. */
function spelled(_: string, value: unknown): unknown {
  const number = numberOf(value)
  if (number !== undefined) return { remembered: number }
  return Object.is(value, -0) ? '-0' : value
}
