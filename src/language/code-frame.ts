/** Quotes a line of a text, with a caret under a position. */

interface Place {
  readonly line: number
  readonly column: number
  readonly source: string
}

/** Maximum number of characters shown of a long line. */
const WIDTH = 80
const INDENT = '  '

/**
 * @example
 * codeFrame({ line: 1, column: 4, source: 'x +* y' })
 * //   x +* y
 * //      ^
 */
export function codeFrame({ line, column, source }: Place): string {
  const whole = source.split('\n')[line - 1] ?? ''
  const { text, before } = clipped(shown(whole), column - 1)
  const blank = text.slice(0, before).replaceAll(/[^\t]/g, ' ')
  return `${INDENT}${text}\n${INDENT}${blank}^`
}

/** Removes characters that control a terminal or change the direction of writing. */
function shown(line: string): string {
  return line.replaceAll(/[^\P{C}\t]/gu, (letter) => '\ufffd'.repeat(letter.length)).trimEnd()
}

/** The part of a long line around a position, and how many characters come before the position in it. */
function clipped(line: string, place: number): { text: string; before: number } {
  if (line.length <= WIDTH) return { text: line, before: place }
  const start = Math.max(0, Math.min(place - WIDTH / 2, line.length - WIDTH))
  const end = start + WIDTH
  const left = start > 0 ? '... ' : ''
  const right = end < line.length ? ' ...' : ''
  return { text: `${left}${line.slice(start, end)}${right}`, before: left.length + place - start }
}
