/**
 * Patterns of paths: `*` and `?` stand for characters of a name, `**` for any part of a path. All places of the pattern
 * that a path may have reached are followed at once. A regular expression would try them one after the other, which
 * takes minutes for a pattern with many stars.
 */

/** A character, or what may stand in its place. `within` is a folder that `folders` has entered. */
type Token = { readonly is: string } | 'one' | 'name' | 'all' | 'folders' | 'within'

/**
 * @example
 * const matches = pathMatcher('sales/**' + '/*.parquet')
 * matches('sales/2026/may.parquet') // true
 */
export function pathMatcher(pattern: string): (path: string) => boolean {
  const tokens = tokensOf(pattern.replace(/^(\.\/)+/, ''))
  return (path) => {
    let places = reach(tokens, [0])
    for (const character of path) places = reach(tokens, [...places].flatMap(step(tokens, character)))
    return places.has(tokens.length)
  }
}

function tokensOf(pattern: string): Token[] {
  return [...pattern.matchAll(/\*\*\/|\*\*|\*|./gsu)].flatMap(([part]): Token[] => {
    if (part === '**/') return ['folders', 'within']
    if (part === '**') return ['all']
    if (part === '*') return ['name']
    return part === '?' ? ['one'] : [{ is: part }]
  })
}

/** Also the places behind tokens that stand for nothing. */
function reach(tokens: readonly Token[], places: readonly number[]): Set<number> {
  const reached = new Set(places)
  for (const place of reached) {
    const token = tokens[place]
    if (token === 'name' || token === 'all' || token === 'folders') reached.add(place + 1)
    if (token === 'folders') reached.add(place + 2)
  }
  return reached
}

function step(tokens: readonly Token[], character: string): (place: number) => number[] {
  const isSlash = character === '/'
  return (place) => {
    const token = tokens[place]
    if (token === 'all') return [place]
    if (token === 'name') return isSlash ? [] : [place]
    if (token === 'one') return isSlash ? [] : [place + 1]
    if (token === 'within') return isSlash ? [place, place + 1] : [place]
    return typeof token === 'object' && token.is === character ? [place + 1] : []
  }
}
