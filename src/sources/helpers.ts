/** Functions that a source brings along if it calls them. */

/** The helpers whose names occur in the lines, and those that they need themselves, each followed by an empty line. */
export function helpersIn(
  lines: readonly string[],
  helpers: Readonly<Record<string, readonly string[]>>,
): string[] {
  const needed = new Set<string>()
  const visit = (text: string) => {
    for (const [name, own] of Object.entries(helpers)) {
      if (needed.has(name) || !new RegExp(`\\b${name}\\b`).test(text)) continue
      needed.add(name)
      visit(own.join('\n'))
    }
  }
  visit(lines.join('\n'))
  return Object.keys(helpers)
    .filter((name) => needed.has(name))
    .flatMap((name) => [...helpers[name], ''])
}
