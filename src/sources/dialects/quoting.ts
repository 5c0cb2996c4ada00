/** Names of tables and columns, which come from strangers. */
import { InvalidName } from '../contract.ts'

/** What a name never is, but an attempt to leave its quotes: ends of statements, comments, escapes, controls. */
const HOSTILE = /[\p{Cc}\p{Cf}\u2028\u2029;\\]|--|\/\*/u

/**
 * A name in double quotes, or in what the dialect has in their place; a quote within it is doubled.
 *
 * @param longest in bytes
 * @throws InvalidName
 */
export function quoted(name: string, of: string, quote: string, longest: number): string {
  if (name.trim() === '') throw new InvalidName(of, 'a name must not be empty')
  if (HOSTILE.test(name))
    throw new InvalidName(of, 'a name must not contain controls, ";", "\\", "--" or "/*"')
  if (new TextEncoder().encode(name).length > longest)
    throw new InvalidName(of, `a name has at most ${longest} bytes here`)
  return `${quote}${name.replaceAll(quote, quote + quote)}${quote}`
}
