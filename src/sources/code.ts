/** Pieces of source text that know how tightly they bind, so that parentheses stand only where they are needed. */

/** An expression as text. */
export interface Code {
  readonly text: string
  /** The precedence of its outermost operator: a higher one binds more tightly. */
  readonly binds: number
  /** Whether it is a number of the host language, and not an array. */
  readonly isNumber?: boolean
}

/** Names, numbers and calls. */
export const ATOM = 100

export const atom = (text: string): Code => ({ text, binds: ATOM })

/**
 * A number. No operator between two values takes its sign away, but what binds to the end of it does: `-2.0.abs()` and `-2.0 ** x` are
 * the negative of what was meant.
 */
export const numeral = (text: string): Code => ({ text, binds: text.startsWith('-') ? ATOM - 1 : ATOM })

/** The text, in parentheses if it binds less tightly than its surroundings demand. */
export function within({ text, binds }: Code, demanded: number): string {
  return binds < demanded ? `(${text})` : text
}

/** What an op becomes, given its arguments. */
export type Rule = (args: readonly Code[]) => Code

/** `a + b`, for an operator that associates to the left. */
export const infix =
  (operator: string, binds: number): Rule =>
  ([a, b]) => ({ text: `${within(a, binds)} ${operator} ${within(b, binds + 1)}`, binds })

/** `-a`. Twice the same sign would be another operator in C. */
export const prefix =
  (operator: string, binds: number): Rule =>
  ([a]) => {
    const inner = within(a, binds)
    return { text: inner.startsWith(operator) ? `${operator}(${inner})` : `${operator}${inner}`, binds }
  }

/** `name(a, b)`, with more arguments behind these. */
export const call =
  (name: string, ...more: readonly string[]): Rule =>
  (args) =>
    atom(`${name}(${[...args.map(({ text }) => text), ...more].join(', ')})`)

/** `a.name(b)`. */
export const method =
  (name: string): Rule =>
  ([self, ...args]) =>
    atom(`${within(self, ATOM)}.${name}(${args.map(({ text }) => text).join(', ')})`)

/** Text with `$0`, `$1` in place of the arguments, each in parentheses unless it is an atom. */
export const template =
  (text: string, binds = ATOM): Rule =>
  (args) => ({ text: text.replaceAll(/\$(\d)/g, (_, place) => within(args[Number(place)], ATOM)), binds })

/** Each line, indented. */
export function indented(lines: readonly string[], indent: string): string[] {
  return lines.map((line) => (line === '' ? '' : `${indent}${line}`))
}

/** `test ? yes : no`, which is grouped from the right. */
export const conditional =
  (binds: number): Rule =>
  ([test, yes, no]) => ({
    text: `${within(test, binds + 1)} ? ${within(yes, binds + 1)} : ${within(no, binds)}`,
    binds,
  })

/** A paragraph in lines of at most this many characters. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
