/**
 * Objects that come again with every request, letter by letter, as the definition of an own loss does: read once, and
 * recognised by their bytes afterwards.
 */
import type { Json, JsonReader } from './reader.ts'

interface Known {
  readonly bytes: Uint8Array
  readonly value: Json
}

/** Values that are remembered, and the longest one that is. */
const MEMORY = { values: 16, bytes: 65_536 } as const

/** The latest first. */
let known: Known[] = []

/** Numbers for what is remembered, so that it need not be written out to be told apart. */
const numbers = new WeakMap<object, number>()
let count = 0

/**
 * Reads a value. The same bytes give the same object, which nobody may change.
 *
 * @throws Problem `malformed-json`
 */
export function repeatedValue(reader: JsonReader): Json {
  reader.peek()
  // An object ends with its own bracket: what begins with it is it.
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

/** The number of a value that is remembered; undefined for any other. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === 'object' && value !== null ? numbers.get(value) : undefined
}
