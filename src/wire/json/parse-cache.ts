/**
 * An LRU cache of parsed JSON values, keyed by their bytes. Some objects are repeated in every request, byte for
 * byte, such as the definition of a custom loss. They are parsed once.
 */
import type { Json, JsonReader } from './reader.ts'

interface Known {
  readonly bytes: Uint8Array
  readonly value: Json
}

/** Maximum number of cached values, and the maximum length of one. */
const MEMORY = { values: 16, bytes: 65_536 } as const

/** The most recently used first. */
let known: Known[] = []

/** Value -> its number, so that a signature can refer to it without writing it out. */
const numbers = new WeakMap<object, number>()
let count = 0

/**
 * Reads a value. The same bytes give the same object, which must not be modified.
 *
 * @throws Problem `malformed-json`
 */
export function parseCached(reader: JsonReader): Json {
  reader.peek()
  // An object ends with its own closing bracket, so if the bytes begin with a known object, they contain exactly
  // that object.
  const again = known.find(({ bytes }) => reader.startsWith(bytes))
  if (again === undefined) return readNew(reader)
  reader.goBack(reader.offset + again.bytes.length)
  if (known[0] !== again) known = [again, ...known.filter((other) => other !== again)]
  return again.value
}

function readNew(reader: JsonReader): Json {
  const { offset } = reader
  const value = reader.value()
  const isKept = typeof value === 'object' && value !== null && reader.offset - offset <= MEMORY.bytes
  if (isKept) {
    numbers.set(value, count++)
    known = [{ bytes: reader.copyFrom(offset), value }, ...known].slice(0, MEMORY.values)
  }
  return value
}

/** The number of a cached value; undefined for any other value. */
export function cacheIdOf(value: unknown): number | undefined {
  return typeof value === 'object' && value !== null ? numbers.get(value) : undefined
}
