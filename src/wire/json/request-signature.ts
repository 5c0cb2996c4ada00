/**
 * Interns request structures: bodies that differ only in the numbers of their tensors have the same signature
 * (everything else, as one text), and get the same object.
 */
import type { DecodedTensor } from '../define.ts'
import { cacheIdOf } from './parse-cache.ts'

/** Maximum number of cached structures, and the maximum length of a signature. */
const MEMORY = { structures: 512, characters: 8192 } as const

const remembered = new Map<string, object>()

/**
 * One object for all bodies with the same structure; undefined if the signature is too long to cache.
 *
 * @example
 * internSignature(body.tensors, body.options) === internSignature(next.tensors, next.options) // true
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

/** Undefined if a name would make the text ambiguous. */
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

/** JSON has no -0. A cached value is replaced by its number instead of being written out. */
function spelled(_: string, value: unknown): unknown {
  const number = cacheIdOf(value)
  if (number !== undefined) return { remembered: number }
  return Object.is(value, -0) ? '-0' : value
}
