/**
 * Content sniffing: recognizes a body whose Content-Type is wrong. Used only when a body cannot be parsed, so that
 * the error message can name its real format.
 */

const [OPEN_OBJECT, BLANK] = [0x7b, 0x20]

/**
 * A hint about what to send instead, if the first bytes tell.
 *
 * @param type the body's media type
 * @example
 * sniffFormat(Buffer.from('{"predictions": [1]}'), 'application/x-safetensors')
 * // 'this looks like JSON: send it with Content-Type: application/json'
 */
export function wrongFormatHint(bytes: Uint8Array, type: string): string | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    return 'this looks like gzip: send it with Content-Encoding: gzip'
  const other = isSafetensors(bytes)
    ? { name: 'safetensors', type: 'application/x-safetensors' }
    : isJson(bytes)
      ? { name: 'JSON', type: 'application/json' }
      : undefined
  if (other === undefined || other.type === type) return undefined
  return `this looks like ${other.name}: send it with Content-Type: ${other.type}`
}

/** A 64-bit header length and an opening brace. Text contains no zero bytes. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes[7] === 0 && bytes[8] === OPEN_OBJECT
}

function isJson(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => byte > BLANK)
  return first === OPEN_OBJECT
}
