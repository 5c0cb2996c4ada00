/**
 * Content sniffing: recognizes a body whose Content-Type is wrong. Used only when a body cannot be parsed, so that
 * the error message can name its real format.
 */
import type { Format } from './define.ts'

/**
 * A hint about what to send instead, if the first bytes tell.
 *
 * @param sent the format that the request declares
 * @example
 * wrongFormatHint(Buffer.from('{"predictions": [1]}'), safetensors, formats)
 * // 'this looks like JSON: send it with Content-Type: application/json'
 */
export function wrongFormatHint(
  bytes: Uint8Array,
  sent: Format,
  formats: readonly Format[],
): string | undefined {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b)
    return 'this looks like gzip: send it with Content-Encoding: gzip'
  if (sent.recognizes(bytes)) return undefined
  const found = formats.find((format) => format.recognizes(bytes))
  return found && `this looks like ${found.title}: send it with Content-Type: ${found.mediaTypes[0]}`
}
