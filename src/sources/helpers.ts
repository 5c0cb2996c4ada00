/** Functions that a source brings along if it calls them. */

/** Of any of the languages: a word in it is no call. */
const COMMENT = /^\s*(?:\/\/|\/\*|#|""")/

/** The helpers whose names occur in the lines, and those that they need themselves, each followed by an empty line. */
export function helpersIn(
  lines: readonly string[],
  helpers: Readonly<Record<string, readonly string[]>>,
): string[] {
  const needed = new Set<string>()
  const visit = (text: string) => {
    for (const [name, own] of Object.entries(helpers)) {
      if (needed.has(name) || !hasWord(text, name)) continue
      needed.add(name)
      visit(own.filter((line) => !COMMENT.test(line)).join('\n'))
    }
  }
  visit(lines.join('\n'))
  return Object.keys(helpers)
    .filter((name) => needed.has(name))
    .flatMap((name) => [...helpers[name], ''])
}

/** Most names do not occur at all, which needs no regular expression. */
function hasWord(text: string, word: string): boolean {
  return text.includes(word) && new RegExp(`\\b${word}\\b`).test(text)
}
