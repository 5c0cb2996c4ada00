/** Text of strangers in sources: names, comments and values of any kind change nothing but what they name. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { customLoss } from '../../src/losses/custom.ts'
import { InvalidName, type Target } from '../../src/sources/contract.ts'
import { DIALECTS } from '../../src/sources/dialects.ts'
import { TARGETS } from '../../src/sources/targets.ts'
import { writeSource } from '../../src/sources/write.ts'
import { depth } from '../support/depth.ts'

const FORMULA = 'log1p(((predictions - targets) / scale)^2)'
const inputs = { predictions: { differentiable: true }, targets: {} }
const params = { scale: { type: 'number', default: 2 } } as const

/** What ends something in one of the languages, begins something, or is nearly that. */
const FRAGMENTS = [
  '*/',
  '/*',
  '//',
  '--',
  '"""',
  "'''",
  '"',
  "'",
  '`',
  ';',
  '\\',
  '\\u002a/',
  '\\u000a',
  '??/',
  '#',
  '# type: ignore',
  '*',
  '/',
  '\n',
  '\r',
  '\t',
  '\u0000',
  '\u0085',
  '\u2028',
  '\u2029',
  '\u202e',
  '\ufeff',
  '\ud800',
  `$${'{x}'}`,
  '$0',
  '$&',
  ' DROP TABLE t ',
  'import os',
  'x = 1',
  ']]>',
  '-- ',
  '"""\nimport os\n"""',
  'é',
  '😀',
]
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 4, unit: 'grapheme' })), {
    maxLength: 8,
  })
  .map((parts) => parts.join(''))

/** Source without its comments, as the compiler of its language takes them away: the first end is the end. */
const withoutComments: Readonly<Record<string, (text: string) => string>> = {
  '.py': (text) => text.replaceAll(/"""[\s\S]*?"""/g, ''),
  '.c': (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, ''),
  '.java': (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, ''),
  '.ts': (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, ''),
  '.js': (text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, ''),
  '.go': (text) => text.replaceAll(/^\/\/.*$/gm, ''),
  '.rs': (text) => text.replaceAll(/^\/\/.*$/gm, ''),
  '.sql': (text) => text.replaceAll(/^--.*$/gm, ''),
}
const codeOf = (target: Target, text: string) =>
  withoutComments[target.extension]!(text)
    .replaceAll(/\n\s*\n/g, '\n')
    .trim()

describe.each(TARGETS.map((target) => [target.name, target] as const))('%s', (_, target) => {
  const plain = codeOf(
    target,
    writeSource(target, { loss: customLoss({ inputs, params, formula: FORMULA }), params: { scale: 2 } })
      .text,
  )

  it('has the same code, whatever the comments of the formula and the text about it contain', () => {
    fc.assert(
      fc.property(hostile, hostile, (comment, about) => {
        const oneLine = comment.replaceAll(/[\n\r]/g, ' ')
        const formula = `# ${oneLine}\n${FORMULA} # ${oneLine}`
        const loss = customLoss({ about, inputs, params, formula })
        const { text } = writeSource(target, { loss, params: { scale: 2 } })
        expect(codeOf(target, text)).toBe(plain)
      }),
      { numRuns: depth(100, 300) },
    )
  })
})

describe.each(DIALECTS.map((dialect) => [dialect.name, dialect] as const))('SQL of %s', (name, dialect) => {
  const sql = TARGETS.find((target) => target.name === 'sql')!
  const loss = customLoss({ inputs, params, formula: FORMULA })
  const write = (table: string, predictions: string, targets: string) => {
    const columns = { predictions: [predictions], targets: [targets] }
    return writeSource(sql, { loss, params: { scale: 2 }, options: { dialect: name, table, columns } }).text
  }
  const [mark] = dialect.quote('x', 'table')
  const quotedNames = new RegExp(`${mark}(?:[^${mark}]|${mark}${mark})*${mark}`, 'g')

  /** With a mark in place of each name in quotes. */
  const skeleton = (text: string) => codeOf(sql, text).replaceAll(quotedNames, '?')

  /** A harmless name that takes as much room: lines break by their lengths. */
  const asLong = (name: string) => 'x'.repeat(dialect.quote(name, 'column').length - 2)

  it('has names within their quotes, or refuses them', () => {
    let written = 0
    fc.assert(
      fc.property(hostile, hostile, hostile, (table, a, b) => {
        try {
          const text = write(table.replaceAll('.', ''), a, b)
          expect(skeleton(text)).toBe(skeleton(write('t', asLong(a), asLong(b))))
          written++
        } catch (error) {
          if (!(error instanceof InvalidName)) throw error
        }
      }),
      { numRuns: depth(1200, 2000) },
    )
    expect(written).toBeGreaterThan(20)
  })

  it('adds no column of a name that it reads, in whatever case', () => {
    const text = write('t', 'LOSS', 'gradient_predictions')
    for (const added of ['loss', 'gradient_predictions']) {
      expect(text).toContain(`AS ${dialect.quote(`${added}_`, 'loss')}`)
      expect(text).not.toContain(`AS ${dialect.quote(added, 'loss')}`)
    }
  })
})
