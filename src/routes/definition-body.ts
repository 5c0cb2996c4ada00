/** JSON bodies that hold a definition, whose size is limited before anything looks at it. */
import { Problem } from '../errors.ts'
import { checkSize, MAX_DEFINITION_BYTES } from '../schemas/inline.ts'
import { parseJson } from '../wire/json/parse-json.ts'

/**
 * @throws Problem `payload-too-large`, `malformed-json`
 * @example
 * documentOf(Buffer.from('{"formula":"x^2"}')) // { formula: 'x^2' }
 */
export function documentOf(bytes: Uint8Array = new Uint8Array()): unknown {
  if (bytes.length > 2 * MAX_DEFINITION_BYTES) {
    throw new Problem(
      'payload-too-large',
      `a definition has at most ${MAX_DEFINITION_BYTES} bytes, got ${bytes.length}`,
    )
  }
  const document = parseJson(bytes)
  checkSize(JSON.stringify(document), '')
  return document
}
