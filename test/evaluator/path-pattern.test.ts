/** Patterns of paths mean what the same patterns mean in a shell, and none takes long. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { pathMatcher } from '../../src/evaluator/path-pattern.ts'

/** The meaning, as a regular expression, which is slow for patterns with many stars. */
function expressionOf(pattern: string): RegExp {
  const text = pattern.replaceAll(/\*\*\/|\*\*|\*|\?|[^*?]+/g, (part) => {
    if (part === '**/') return '(?:.*/)?'
    if (part === '**') return '.*'
    if (part === '*') return '[^/]*'
    return part === '?' ? '[^/]' : part.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  })
  return new RegExp(`^${text}$`)
}

it.each([
  ['*.csv', 'a.csv', true],
  ['*.csv', 'a/b.csv', false],
  ['./*.csv', 'a.csv', true],
  ['sales/**/*.csv', 'sales/a.csv', true],
  ['sales/**/*.csv', 'sales/x/y/a.csv', true],
  ['sales/**/*.csv', 'salesa.csv', false],
  ['**', 'any/thing', true],
  ['?.csv', 'ä.csv', true],
  ['?.csv', '/.csv', false],
  ['', 'a', false],
])('%s and %s: %s', (pattern, path, expected) => {
  expect(pathMatcher(pattern)(path)).toBe(expected)
})

it('any pattern matches what its regular expression matches', () => {
  const part = fc.constantFrom('a', 'b', '/', '.', '*', '**', '**/', '?')
  const name = fc.array(fc.constantFrom('a', 'b', '/', '.'), { maxLength: 8 })
  let matched = 0
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), name, (parts, path) => {
      const pattern = parts
        .join('')
        .replaceAll(/\*{3,}/g, '**')
        .replace(/^(\.\/)+/, '')
      const isMatch = pathMatcher(pattern)(path.join(''))
      expect(isMatch, `${pattern} ${path.join('')}`).toBe(expressionOf(pattern).test(path.join('')))
      if (isMatch) matched++
    }),
    { numRuns: 5000 },
  )
  expect(matched).toBeGreaterThan(100)
})

it('a pattern with many stars ends at once', () => {
  expect(pathMatcher('**a'.repeat(300))('a'.repeat(299))).toBe(false)
  expect(pathMatcher('**a'.repeat(300))('a'.repeat(300))).toBe(true)
})
