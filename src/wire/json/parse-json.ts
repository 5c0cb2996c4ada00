/** JSON bodies without tensors, parsed as strictly as those with tensors. */
import { type Json, JsonReader } from './reader.ts'

/**
 * @throws Problem `malformed-json`
 * @example
 * parseJson(Buffer.from('{"name": "acme/x"}')) // { name: 'acme/x' }
 */
export function parseJson(bytes: Uint8Array): Json {
  const reader = new JsonReader(bytes)
  const value = reader.value()
  reader.end()
  return value
}
