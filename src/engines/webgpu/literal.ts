/** Numbers as WGSL writes them. */

/**
 * A number that WGSL reads as this float32.
 *
 * @example
 * literal(0.1) // '0.10000000149011612f'
 */
export function literal(value: number): string {
  const rounded = Math.fround(value)
  if (!Number.isFinite(rounded)) throw new RangeError(`${value} has no literal`)
  const text = String(rounded)
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`
}
