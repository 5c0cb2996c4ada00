/** What a body is that its Content-Type does not say: asked where it cannot be read, so that the message may name it. */

const [OPEN_OBJECT, BLANK] = [0x7b, 0x20]

/**
 * What to send instead, where the first bytes tell.
 *
 * @param type the body's media type
 * @example
 * mistaken(Buffer.from('{"predictions": [1]}'), 'application/x-safetensors')
 * // 'this looks like JSON: send it as Content-Type: application/json'
 */
export function sniffFormat(bytes: Uint8Array, type: string): string | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return 'this looks like gzip: say so by Content-Encoding: gzip'
  const other = isSafetensors(bytes)
    ? { name: 'safetensors', type: 'application/x-safetensors' }
    : isJson(bytes)
      ? { name: 'JSON', type: 'application/json' }
      : undefined
  if (other === undefined || other.type === type) return undefined
  return `this looks like ${other.name}: send it as Content-Type: ${other.type}`
}

/** A header's length as 64 bits, and its brace; text holds no zeros. */
function isSafetensors(bytes: Uint8Array): boolean {
  return bytes[7] === 0 && bytes[8] === OPEN_OBJECT
}

function isJson(bytes: Uint8Array): boolean {
  const first = bytes.find((byte) => byte > BLANK)
  return first === OPEN_OBJECT
}
