/** What the targets in TypeScript share: how tightly operators bind, numbers, and words that are taken. */

export const [CHOICE, OR, AND, EQUAL, ORDER, SUM, PRODUCT, SIGN] = [2, 3, 4, 8, 9, 11, 12, 14] as const

export const JAVASCRIPT_WORDS: readonly string[] =
  'break case catch class const continue debugger default delete do else enum export extends false finally for function if import in instanceof new null return super switch this throw true try typeof var void while with yield let static implements interface package private protected public await async of any boolean number string symbol type Math Number eval arguments undefined NaN Infinity'.split(
    ' ',
  )

export function javascriptNumber(value: number): string {
  if (Number.isNaN(value)) return 'Number.NaN'
  if (!Number.isFinite(value)) return value < 0 ? 'Number.NEGATIVE_INFINITY' : 'Number.POSITIVE_INFINITY'
  return Object.is(value, -0) ? '-0' : String(value)
}
