/** Doubles as text that every language reads exactly: sixteen hexadecimal digits of their bits each. */

export function toHex(numbers: ArrayLike<number>): string {
  const bytes = Buffer.alloc(8 * numbers.length)
  for (let i = 0; i < numbers.length; i++) bytes.writeDoubleBE(numbers[i]!, 8 * i)
  return bytes.toString('hex')
}

export function fromHex(text: string): Float64Array {
  const bytes = Buffer.from(text, 'hex')
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleBE(8 * i))
}
