/** What stands above a source: what it is, and the formula that it was written from. */
import { wrapped } from './code.ts'
import type { SourceProgram } from './contract.ts'

/** The lines of the comment, without the marks of a comment. */
export function headerLines({ loss, fixed }: SourceProgram, notes: readonly string[] = []): string[] {
  const about = loss.about === '' ? [] : ['', ...wrapped(loss.about, 100)]
  const chosen = Object.entries(fixed).map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
  const denominator =
    loss.denominator === undefined
      ? []
      : [
          '',
          'What each value adds to the denominator of the mean:',
          '',
          ...formulaLines(loss.denominator.source),
        ]
  return [
    `${loss.name}: value and gradient, written by lossd from its formula.`,
    ...about,
    '',
    ...formulaLines(loss.formula.source),
    ...denominator,
    ...(chosen.length === 0 ? [] : ['', `Written for ${chosen.join(', ')}.`]),
    ...(notes.length === 0 ? [] : ['', ...notes.flatMap((note) => wrapped(note, 100))]),
  ]
}

function formulaLines(source: string): string[] {
  const lines = source.split(/[\r\n\u2028\u2029]/).filter((line) => line.trim() !== '')
  const indent = Math.min(...lines.map((line) => line.length - line.trimStart().length))
  return lines.map((line) => `    ${line.slice(indent).trimEnd()}`)
}

/** Controls, which may end a line, and marks that turn the direction of text. */
const INVISIBLE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu

/**
 * A line of a comment, without what would end a comment, or begin something in it, in any of the languages. The text of
 * a formula comes from a stranger.
 */
export function commentSafe(line: string): string {
  return line
    .replaceAll(INVISIBLE, ' ')
    .replaceAll('\\', '\\\\')
    .replaceAll('*/', '* /')
    .replaceAll('/*', '/ *')
    .replaceAll('"""', "'''")
}
