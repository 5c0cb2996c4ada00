/**
 * Fuzzing: any definition or formula gets a result or a problem, never a 5xx or a hang, and blocks no other request.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { FormulaError } from '../../src/language/ast.ts'
import { parse } from '../../src/language/parse.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'

let server: Kept
beforeAll(async () => {
  server = await startKeeper()
})
afterAll(() => server.close())

const WORDS = [
  'x',
  'y',
  'rows',
  'classes',
  '...',
  '__proto__',
  'constructor',
  'toString',
  'sum',
  'max',
  'pick',
  'softmax',
  'given',
  'index',
  'size',
  'sort',
  'lgamma',
  'if',
  'lambda',
  'eval',
  'process',
  '(',
  ')',
  '[',
  ']',
  '->',
  ',',
  '?',
  ':',
  '+',
  '-',
  '*',
  '/',
  '^',
  '**',
  '<',
  '<=',
  '==',
  '!=',
  '=',
  '\n',
  ' ',
  '#',
  '.',
  '1e999',
  '-0',
  '0',
  '1e-400',
  '９',
  'х',
  'ⅹ',
  '−',
  '×',
  '²',
  '\u202e',
  '\u0000',
  '"',
  "'",
  '\\',
  ';',
  'and',
  'or',
  'not',
  'true',
  'nan',
  'inf',
  'x.y',
  'np.abs(x)',
  '💥',
]
const soup = fc.array(fc.constantFrom(...WORDS), { maxLength: 60 }).map((words) => words.join(''))
const text = fc.oneof(
  soup,
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
)

it('the parser accepts a text or reports where it is wrong', () => {
  fc.assert(
    fc.property(text, (source) => {
      try {
        parse(source)
      } catch (error) {
        expect(error).toBeInstanceOf(FormulaError)
        expect((error as FormulaError).line).toBeGreaterThan(0)
        expect((error as FormulaError).detail.length).toBeLessThan(2000)
      }
    }),
    { numRuns: 5000 },
  )
})

const names = fc.oneof(
  fc.constantFrom('x', 'y', 'inputs', 'params', '__proto__', 'constructor', 'formula', 'hasOwnProperty'),
  fc.string({ maxLength: 8 }),
)
const leaf = fc.oneof(
  text,
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom('rows', '...', 'real', 'number'),
)
const tree = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie('node'), { maxLength: 4 }),
    fc.dictionary(names, tie('node'), { maxKeys: 4 }),
  ),
})).node
/** Documents that are nearly valid: one part of a valid one is replaced. */
const nearly = fc
  .tuple(
    fc.constantFrom('name', 'inputs', 'params', 'formula', 'denominator', 'examples', 'references', 'about'),
    tree,
  )
  .map(([member, value]) => ({ ...ROBUST, [member]: value }))

it('a document becomes a loss, or a problem with a pointer', () => {
  fc.assert(
    fc.property(fc.oneof(tree, nearly), (document) => {
      try {
        checkDefinition(JSON.parse(JSON.stringify(document ?? null)), '/definition')
      } catch (error) {
        expect(error).toBeInstanceOf(Problem)
        expect((error as Problem).status).toBeLessThan(500)
      }
    }),
    { numRuns: 2000 },
  )
})

it('the routes reject invalid documents, and keep serving', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(tree, nearly), text, async (document, formula) => {
      const answers = await Promise.all([
        server.send('POST', '/v1/losses', document ?? null),
        server.send('POST', '/v1/losses:evaluate', {
          definition: document,
          x: [1],
          predictions: [1],
          targets: [0],
        }),
        server.send('POST', '/v1/losses:evaluate', {
          formula,
          x: [[1, 2]],
          y: [1],
          axes: { x: 'rows,classes' },
        }),
      ])
      for (const { status, body } of answers) expect(status, JSON.stringify(body)).toBeLessThan(500)
    }),
    { numRuns: 150 },
  )
  expect((await server.send('POST', '/v1/losses/l1', { predictions: [1], targets: [0] })).status).toBe(200)
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

it('bytes that are not JSON are rejected', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
      for (const path of ['/v1/losses', '/v1/losses:evaluate']) {
        const headers = { 'content-type': 'application/json' }
        const response = await fetch(server.url + path, { method: 'POST', headers, body: Buffer.from(bytes) })
        expect(response.status).toBeGreaterThanOrEqual(400)
        expect(response.status).toBeLessThan(500)
      }
    }),
    { numRuns: 150 },
  )
})
