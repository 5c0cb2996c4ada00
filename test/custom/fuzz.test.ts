/**
 * Fuzzing: any definition or formula gets a result or a problem, never a 5xx or a hang, and blocks no other request.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HOSTILE } from '../../load/formulas.ts'
import { Problem } from '../../src/errors.ts'
import { FormulaError } from '../../src/language/ast.ts'
import { parse } from '../../src/language/parse.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'
import { f32, safetensors, safetensorsFrom } from '../support/server.ts'

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

const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`
/** JSON texts, because some of them are no values in JavaScript. */
const STRANGE = [
  'null',
  'true',
  '-1',
  '-0',
  '1.5',
  '1e999',
  '-1e-999',
  '9'.repeat(400),
  '""',
  '"x"',
  '"__proto__"',
  '"constructor"',
  '"\\ud800"',
  '"\\u0000"',
  '"х ²−×"',
  `"${'x'.repeat(5000)}"`,
  '[]',
  '[[]]',
  '[null]',
  '[1,[2]]',
  '{}',
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"toString":1,"hasOwnProperty":1,"valueOf":1,"then":1}',
  '{"length":4294967295}',
  nested(60, '[', ']'),
  nested(60, '{"a":', '}'),
]
/** A definition with every member there is. */
const WHOLE = {
  ...ROBUST,
  inputs: {
    predictions: { axes: 'rows,classes', kind: 'real', differentiable: true, optional: false, about: 'x' },
    targets: { axes: 'rows', kind: 'class', places: 'classes' },
  },
  params: {
    scale: { type: 'number', exclusiveMinimum: 0, maximum: 9, default: 1, description: 'x' },
    mode: { enum: ['soft', 'hard'], default: 'soft' },
    deep: { type: ['number', 'null'], default: null },
  },
  formula: 'mode == soft ? -pick(log_softmax(predictions / scale, classes), targets, classes) : 0',
  denominator: '1',
  examples: [
    {
      inputs: { predictions: [[0, 0]], targets: [0] },
      params: {},
      reduction: 'none',
      loss: [0.6931471805599453],
      gradients: { predictions: [[-0.5, 0.5]] },
    },
  ],
  references: ['x'],
}

/** The document as JSON with each of its members, at any depth, replaced in turn. */
function* replaced(text: string): Generator<string> {
  for (let wanted = 1; ; wanted++) {
    let visited = 0
    const document = JSON.stringify(WHOLE, (_, value) => (visited++ === wanted ? '@' : value))
    if (visited <= wanted) return
    yield document.replace('"@"', () => text)
  }
}

it('each member of a definition may be anything: it is a loss, or a problem', () => {
  expect(() => checkDefinition(WHOLE, '')).not.toThrow()
  for (const text of STRANGE) {
    for (const document of replaced(text)) {
      try {
        checkDefinition(JSON.parse(document), '')
      } catch (error) {
        expect(error, document.slice(0, 300)).toBeInstanceOf(Problem)
        expect((error as Problem).status).toBeLessThan(500)
      }
    }
  }
})

const HEADERS = {
  json: { 'content-type': 'application/json' },
  tensors: { 'content-type': 'application/x-safetensors' },
}

/** A safetensors file whose options are these JSON texts. */
function withMetadata(texts: Readonly<Record<string, string>>): Buffer {
  const x = { dtype: 'F32', shape: [2], data_offsets: [0, 8] }
  return safetensorsFrom(JSON.stringify({ __metadata__: texts, x }), f32(1, 2))
}

async function expectRefused(path: string, body: string | Buffer, headers: Record<string, string>) {
  const response = await fetch(server.url + path, { method: 'POST', headers, body: body as string })
  const text = await response.text()
  expect(response.status, `${path} ${String(body)} -> ${text}`.slice(0, 2000)).toBeLessThan(500)
}

it('each member of a body may be anything, in both formats', async () => {
  const members = [
    'formula',
    'definition',
    'axes',
    'params',
    'x',
    'reduction',
    'gradients',
    'hessian',
    'terms',
  ]
  for (const text of STRANGE) {
    for (const member of members) {
      const body = `{"formula":"abs(x) * s","x":[[1,2],[3,4]],"params":{"s":1},"${member}":${text}}`
      await expectRefused('/v1/losses:evaluate', body, HEADERS.json)
    }
    for (const document of replaced(text)) await expectRefused('/v1/losses', document, HEADERS.json)
    for (const member of members.filter((member) => member !== 'x')) {
      const body = withMetadata({ formula: '"abs(x)"', [member]: text })
      await expectRefused('/v1/losses:evaluate', body, HEADERS.tensors)
    }
  }
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})

it('the metadata of safetensors may be any text', async () => {
  const x = { dtype: 'F32', shape: [2], bytes: f32(1, 2) }
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('formula', 'definition', 'axes', 'params'),
      fc.oneof(text, tree),
      async (member, value) => {
        const body = safetensors({ x }, { formula: 'abs(x)', [member]: value ?? null })
        await expectRefused('/v1/losses:evaluate', body, HEADERS.tensors)
      },
    ),
    { numRuns: 150 },
  )
})

it('what is deep or wide is refused', async () => {
  const wide = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x${i}`, {}]))
  const documents = [
    nested(20_000, '[', ']'),
    `{"definition":${nested(20_000, '{"inputs":', '}')}}`,
    `{"formula":"${'('.repeat(2000)}x${')'.repeat(2000)}","x":[1]}`,
    `{"formula":"${'-'.repeat(4000)}x","x":[1]}`,
    `{"formula":"${'x?'.repeat(1000)}","x":[1]}`,
    `{"formula":"${'x^'.repeat(1000)}x","x":[1]}`,
    `{"formula":"x * ${'9'.repeat(3000)}","x":[1]}`,
    `{"formula":"x","x":${nested(3000, '[', ']')}}`,
    JSON.stringify({ definition: { inputs: wide, formula: 'x0' }, x0: [1] }),
    JSON.stringify({ definition: { inputs: { x: {} }, params: wide, formula: 'x' }, x: [1] }),
    JSON.stringify({ definition: { ...ROBUST, examples: Array(5000).fill(null) }, x: [1] }),
    JSON.stringify({ formula: Array.from({ length: 1500 }, (_, i) => `a${i} = 1`).join('\n'), x: [1] }),
  ]
  for (const document of documents) {
    for (const path of ['/v1/losses:evaluate', '/v1/losses', '/v1/losses:compose'])
      await expectRefused(path, document, HEADERS.json)
  }
})

it.each(Object.entries(HOSTILE))('%s is computed or refused soon', async (_, make) => {
  for (let seed = 1; seed <= 2; seed++) {
    const { path, body } = make(seed)
    const started = performance.now()
    await expectRefused(path, body, HEADERS.json)
    expect(performance.now() - started).toBeLessThan(10_000)
  }
})
