/** Numbers as text. */

/** The shortest decimal that is the same float32. */
export function shortest(value: number): string {
  for (let digits = 1; digits < 10; digits++) {
    const text = String(Number(value.toPrecision(digits)))
    if (Math.fround(Number(text)) === value) return /[.e]/.test(text) ? text : `${text}.0`
  }
  return String(value)
}
