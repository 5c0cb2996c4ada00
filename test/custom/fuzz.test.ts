/**
 * Fuzzing: any definition or formula gets a result or a problem, never a 5xx or a hang, and blocks no other request.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HOSTILE } from '../../load/formulas.ts'
import { Problem } from '../../src/errors.ts'
import type { Parameter } from '../../src/language/arguments.ts'
import { FormulaError } from '../../src/language/ast.ts'
import { FUNCTIONS } from '../../src/language/functions.ts'
import { lower } from '../../src/language/lower.ts'
import { LIMITS, parse } from '../../src/language/parse.ts'
import { KINDS } from '../../src/losses/define.ts'
import { namesIn } from '../../src/losses/name-uses.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { type Kept, ROBUST, startKeeper } from '../support/custom.ts'
import { depth, IS_THOROUGH, sampled } from '../support/depth.ts'
import { SCOPE } from '../support/formulas.ts'
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
    { numRuns: depth(400, 5000) },
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
    { numRuns: depth(200, 2000) },
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
    { numRuns: depth(60, 150) },
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
    { numRuns: depth(60, 150) },
  )
})

/** Usually one of the first, sometimes one of the others. */
const mostly = (usual: readonly string[], others: readonly string[]) =>
  fc.oneof(
    { weight: 15, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )

/** Arguments that usually fit each parameter. */
const ARGUMENTS = {
  axis: mostly(['classes', 'rows'], ['others', '...', 'x']),
  axes: mostly(['classes', 'rows', 'rows, classes'], ['classes, classes', 'others']),
  place: mostly(['i', '0', 'index(classes)', 'index(rows)', 'i - 1'], ['1e9', '0.5', 'x']),
  length: mostly(['1', '3', '4'], ['0', '2000', 's', '1.5']),
  weights: mostly(['[1, -2, 1]', '[s, 0.5]', '[1/4, 1/2, 1/4]'], ['[]', 's', '[x]']),
  order: mostly(['0', '2', '6'], ['7', 's', '1e99']),
} satisfies Partial<Record<Parameter, fc.Arbitrary<string>>>

/** Formulas that are usually valid, with every function, operator and kind of name. */
const formula = fc.letrec<{ leaf: string; call: string; operation: string; any: string; truth: string }>(
  (tie) => ({
    leaf: mostly(
      ['x', 'y', 'v', 't', 's', '0.5', '3', '1e308', '1e-320', '1e999', 'index(classes)', 'size(rows)'],
      ['f', '__proto__', 'constructor'],
    ),
    call: fc.constantFrom(...FUNCTIONS.entries()).chain(([name, { parameters }]) => {
      const args = parameters.map((parameter) => {
        if (parameter === 'number' || parameter === 'number?') return tie('any')
        return parameter === 'truth' ? tie('truth') : ARGUMENTS[parameter]
      })
      return fc.tuple(...args).map((texts) => `${name}(${texts.join(', ')})`)
    }),
    operation: fc.oneof(
      fc
        .tuple(tie('any'), fc.constantFrom('+', '-', '*', '/', '^', '**'), tie('any'))
        .map((parts) => `(${parts.join(' ')})`),
      tie('any').map((inner) => `-${inner}`),
      fc.tuple(tie('truth'), tie('any'), tie('any')).map(([test, yes, no]) => `(${test} ? ${yes} : ${no})`),
      fc
        .tuple(tie('any'), fc.constantFrom('classes -> k', 'rows -> others', 'k -> classes'))
        .map(([inner, axes]) => `(${inner})[${axes}]`),
      fc.tuple(tie('any'), tie('any')).map(([a, b]) => `f(${a}, ${b})`),
      tie('any').map((inner) => `sum(${inner}, classes)`),
    ),
    truth: fc.oneof(
      fc
        .tuple(tie('any'), fc.constantFrom('<', '<=', '==', '!='), tie('any'))
        .map((parts) => `(${parts.join(' ')})`),
      fc.constantFrom('true', 'given(v)', 'is_index(i)', 'not true', 'x'),
    ),
    any: fc.oneof({ maxDepth: 4, depthSize: 'small' }, tie('leaf'), tie('call'), tie('operation')),
  }),
)
const functionBody = mostly(
  ['a * b', 'max(a, b)', 'a + s', 'a > b ? a : x'],
  ['f(b, a)', 'a[rows -> others]'],
)
const lines = fc
  .tuple(functionBody, fc.array(formula.any, { maxLength: 2 }), formula.any)
  .map(([body, named, value]) => [
    `f(a, b) = ${body}`,
    ...named.map((text, place) => `e${place} = ${text}`),
    `${value}${named.map((_, place) => ` + e${place}`).join('')} + 0 * x`,
  ])

const TENSORS = {
  x: [
    [0.5, -1, 2],
    [3, 0, 1],
  ],
  y: [
    [1, 2, 3],
    ['NaN', 1e-30, 3e38],
  ],
  v: [0.25, -4],
  i: [2, 0],
  t: 0.5,
}
const AXES = { x: 'rows,classes', y: 'rows,classes', v: 'rows', i: 'rows', t: '' }
const options = fc.record(
  {
    reduction: fc.constantFrom('none', 'mean', 'sum', 'batchmean'),
    hessian: fc.constantFrom('none', 'diagonal'),
    explain: fc.boolean(),
    nonfinite: fc.constantFrom('propagate', 'null', 'error'),
    gradients: fc.constantFrom<boolean | string[]>(true, false, ['x']),
    layout: fc.constantFrom('row', 'class_major'),
  },
  { requiredKeys: [] },
)

/** Only the tensors and parameters that the formula uses, because unused ones are rejected. */
function requestOf(text: readonly string[]) {
  const names = namesOf(text.join('\n'))
  const kept = <T extends object>(record: T) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => names.has(name)))
  return { ...kept(TENSORS), axes: kept(AXES), params: kept({ s: 1.5 }) }
}

function namesOf(text: string): ReadonlySet<string> {
  try {
    return namesIn(parse(text))
  } catch {
    return new Set('xyvits')
  }
}

it('a random tree gets a result, or an error with a valid position', async () => {
  const seen = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(lines, options, fc.boolean(), async (text, chosen, isListed) => {
      const request = { formula: isListed ? text : text.join('\n'), ...requestOf(text), ...chosen }
      const { status, body } = await server.send('POST', '/v1/losses:evaluate', request)
      seen.set(status, (seen.get(status) ?? 0) + 1)
      expect([200, 422], JSON.stringify(body)).toContain(status)
      if (status === 200) expect(typeof body.finite).toBe('boolean')
      for (const { pointer, line, column } of body.errors ?? []) {
        if (!/^\/formula(\/\d+)?$/.test(pointer)) continue
        expect(pointer).toBe(isListed ? `/formula/${line - 1}` : '/formula')
        expect(column).toBeLessThanOrEqual(text[line - 1]!.length + 1)
      }
    }),
    { numRuns: depth(100, 600), seed: 20261129 },
  )
  // If most formulas were invalid, this test would check little.
  expect(seen.get(200)).toBeGreaterThan(depth(25, 150))
  expect(seen.get(422)).toBeGreaterThan(depth(25, 150))
}, 300_000)

const DIGITS = '9'.repeat(4000)
it.each([
  ['deep brackets', `${'('.repeat(2000)}x${')'.repeat(2000)}`],
  ['deep calls', `${'exp('.repeat(1000)}x${')'.repeat(1000)}`],
  ['deep choices', `${'x > 0 ? '.repeat(300)}1${' : 0'.repeat(300)}`],
  ['deep renames', `x${'[a -> b]'.repeat(500)}`],
  ['a wide sum', `x${' + x'.repeat(1000)}`],
  ['a wide call', `max(${'x, '.repeat(1000)}x)`],
  ['a wide signature', `f(${Array.from({ length: 500 }, (_, i) => `a${i}`).join(', ')}) = 1\nf(x)`],
  ['calls in calls', `f(a) = a * a\n${'f('.repeat(50)}x${')'.repeat(50)}`],
  [
    'functions of functions',
    `${Array.from({ length: 60 }, (_, i) => `f${i + 1}(a) = ${i === 0 ? 'a * a' : `f${i}(f${i}(a))`}\n`).join('')}f60(x)`,
  ],
  ['an open signature', `f(${'('.repeat(2000)}`],
  ['a huge number', `x * ${DIGITS}`],
  ['a tiny number', `x * 0.${'0'.repeat(4000)}1`],
  ['a huge exponent', 'x * 1e999999999'],
  ['a long name', 'x'.repeat(4096)],
  ['empty lines', '\n'.repeat(4095)],
  ['a comment', `#${'x'.repeat(4000)}`],
])('%s is parsed or rejected at once', (_, text) => {
  try {
    lower(parse(text), SCOPE, ['x'])
  } catch (error) {
    expect(error).toBeInstanceOf(FormulaError)
  }
})

it('lists of lines are accepted or rejected, whatever they contain', async () => {
  const item = fc.oneof(text, leaf, fc.constantFrom<unknown>('x', '', 'y = x', 'f(a) = a', 'x\ny', [], {}))
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 6 }), async (formula) => {
      const inline = await server.send('POST', '/v1/losses:evaluate', { formula, x: [1] })
      const defined = {
        definition: { inputs: { x: { differentiable: true } }, formula, denominator: formula },
        x: [1],
      }
      for (const { status, body } of [inline, await server.send('POST', '/v1/losses:evaluate', defined)])
        expect([200, 422], JSON.stringify(body)).toContain(status)
    }),
    { numRuns: depth(60, 150) },
  )
  for (const formula of [
    [],
    Array(5000).fill(''),
    Array(100_000).fill('x'),
    ['x'.repeat(5000)],
    [`${DIGITS} * x`],
  ]) {
    const { status } = await server.send('POST', '/v1/losses:evaluate', { formula, x: [1] })
    expect([200, 413, 422]).toContain(status)
  }
})

it('axes are accepted or rejected, whatever they contain', async () => {
  const part = fc.constantFrom(
    'rows',
    'classes',
    '...',
    '3',
    '2',
    'others=rows',
    'rows=classes',
    'classes=rows',
    'a=a',
    'a=3',
    'b=2',
    'x',
    '__proto__',
    'constructor=rows',
    'toString',
    '',
    'r\u043ews',
    '=',
    '3=rows',
    '...=rows',
    'a=...',
    'a=b=c',
  )
  const axes = fc.array(part, { maxLength: 4 }).map((parts) => parts.join(','))
  const tensor = fc.constantFrom<unknown>(
    1,
    [1, 2],
    [
      [1, 2],
      [3, 4],
    ],
    [
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ],
    [
      [[1], [2]],
      [[3], [4]],
    ],
    [],
  )
  await fc.assert(
    fc.asyncProperty(axes, axes, tensor, tensor, async (first, second, x, y) => {
      const declared = { x: first, y: second }
      const request = { formula: 'x * y', axes: declared, x, y }
      const inputs = { x: { axes: first, differentiable: true }, y: { axes: second } }
      for (const body of [request, { definition: { inputs, formula: 'x * y' }, x, y }]) {
        const answer = await server.send('POST', '/v1/losses:evaluate', body)
        expect([200, 422], JSON.stringify(answer.body)).toContain(answer.status)
      }
    }),
    {
      numRuns: depth(150, 400),
      examples: [
        [
          'rows',
          '__proto__,rows',
          1,
          [
            [1, 2],
            [3, 4],
          ],
        ],
        [
          'constructor=rows,rows',
          'a=toString',
          [1, 2],
          [
            [1, 2],
            [3, 4],
          ],
        ],
      ],
    },
  )
})

it('inputs with any kinds and axes, in any order, are evaluated or rejected', async () => {
  const axes = fc.constantFrom(
    '',
    '...',
    'rows',
    'rows,classes',
    'classes',
    'rows,4',
    'rows,others=rows',
    'rows,...',
  )
  const input = fc.record(
    {
      axes,
      kind: fc.constantFrom(...Object.keys(KINDS)),
      differentiable: fc.boolean(),
      optional: fc.boolean(),
      places: fc.constantFrom('classes', 'rows', 'others'),
    },
    { requiredKeys: [] },
  )
  const tensor = fc.constantFrom<unknown>(
    1,
    0.5,
    [0, 1],
    [1, 0],
    [
      [0, 1],
      [1, 0],
    ],
    [
      [0.5, 0.25],
      [1, 3],
    ],
    [[0, 1, 2, 3]],
    undefined,
  )
  const formulas = fc.constantFrom(
    'a',
    'a * b',
    'given(b) ? b : a',
    'sum(a, classes)',
    'pick(a, b, classes)',
    'is_index(b) ? a : b',
    '3',
  )
  const seen = new Set<number>()
  await fc.assert(
    fc.asyncProperty(
      input,
      input,
      tensor,
      tensor,
      formulas,
      options,
      async (first, second, a, b, formula, chosen) => {
        const definition = { inputs: { b: first, a: second }, formula }
        const { status, body } = await server.send('POST', '/v1/losses:evaluate', {
          definition,
          a,
          b,
          ...chosen,
        })
        seen.add(status)
        expect([200, 422], JSON.stringify(body)).toContain(status)
      },
    ),
    { numRuns: 800 },
  )
  expect([...seen].sort()).toEqual([200, 422])
}, 120_000)

it('numbers that no dtype can represent are rejected', async () => {
  for (const number of ['1e400', '-1e400', DIGITS, `0.${'0'.repeat(5000)}1`, '1e-400']) {
    const body = `{"formula": "x * s", "params": {"s": ${number}}, "x": [${number}]}`
    const { status } = await server.send('POST', '/v1/losses:evaluate', body)
    expect([200, 400, 422], number).toContain(status)
  }
  expect(parse(`x * ${'9'.repeat(LIMITS.bytes - 4)}`).statements).toHaveLength(1)
})

const nested = (depth: number, open: string, close: string) => `${open.repeat(depth)}1${close.repeat(depth)}`
/** JSON texts, because some of them have no equivalent in JavaScript. */
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
/** A definition with every possible member. */
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

it('a definition in which one member is replaced by anything becomes a loss, or a problem', () => {
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

it('any member of a body may be replaced by anything, in both formats', async () => {
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
  for (const text of sampled(STRANGE, 3)) {
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

const MSE_TERM = { loss: 'mse', weight: 1, params: {}, inputs: { predictions: 'x', targets: 'y' } }
const FORMULA = { formula: '(x - y)^2 * s', axes: { x: 'rows', y: 'rows' }, params: { s: 1 } }
const TENSOR = { shape: [2], dtype: 'float32', data: [1, 2] }
const QUESTION = { of: 'x', domain: { x: [0, 1] }, budgetMs: 20 }
/** Bodies with every member of a route. */
const BODIES: readonly (readonly [string, object])[] = [
  [
    '/v1/losses:evaluate',
    { ...FORMULA, x: TENSOR, y: [1, 2], reduction: 'mean', gradients: ['x'], explain: true },
  ],
  [
    '/v1/losses:evaluate',
    { definition: { ...ROBUST, examples: [] }, predictions: [1], targets: [2], hessian: 'none' },
  ],
  [
    '/v1/losses:check',
    { ...FORMULA, x: TENSOR, y: [1, 2], of: 'x', gradients: ['x'], sample_weight: [1, 1] },
  ],
  ['/v1/losses/mse:check', { predictions: [1, 2], targets: [1, 2], of: 'predictions', reduction: 'sum' }],
  ['/v1/losses:constant', { ...FORMULA, ...QUESTION, y: TENSOR, sample_weight: [1, 1], classes: 2 }],
  ['/v1/losses/mse:constant', { targets: [1, 2], of: 'predictions', domain: {}, budgetMs: 20, params: {} }],
  ['/v1/losses/cross_entropy:constant', { targets: [0, 1], classes: 2, params: {}, budgetMs: 20 }],
  ['/v1/losses:analyze', { ...FORMULA, ...QUESTION, sizes: { rows: 1 }, properties: ['convex'] }],
  ['/v1/losses:analyze', { loss: 'mse', properties: ['convex'], budgetMs: 20 }],
  [
    '/v1/losses:source',
    { ...FORMULA, target: 'sql', dialect: 'duckdb', table: 't', name: 'n', columns: { x: 'a' } },
  ],
  [
    '/v1/losses:source',
    { ...FORMULA, target: 'torch', precision: 'float32', gradients: ['x'], optional: [], per_class: [] },
  ],
  ['/v1/losses:compose', { terms: [MSE_TERM], x: TENSOR, y: [1, 2], gradients: ['x'], nonfinite: 'null' }],
  ['/v1/losses', WHOLE],
]
/** The same values everywhere, so that the test is the same each time. */
const ODD = [
  'null',
  'true',
  '0',
  '-1',
  '1e400',
  '""',
  '"x"',
  '"NaN"',
  '"toString"',
  '[]',
  '[[]]',
  '[1]',
  '[null]',
  '["x"]',
  '[[1,2],[3]]',
  '{}',
  '{"a":1}',
  '{"x":null}',
  '{"x":[]}',
  '{"toString":[1]}',
  '{"shape":[0],"dtype":"float32","data":[]}',
  '{"shape":[-1],"dtype":"x","data":null}',
  nested(60, '[', ']'),
  nested(60, '{"a":', '}'),
]

it.each(BODIES)(
  '%s %j is computed or rejected, whatever one of its members is',
  async (path, whole) => {
    for (const [place, member] of [...Object.keys(whole), 'toString'].entries()) {
      for (const text of ODD.filter((_, i) => IS_THOROUGH || (place + i) % 2 === 0)) {
        const body = JSON.stringify({ ...whole, [member]: '@' }).replace('"@"', () => text)
        await expectRefused(path, body, HEADERS.json)
      }
    }
  },
  60_000,
)

const INHERITED = Object.getOwnPropertyNames(Object.prototype)

it.each(INHERITED)('a tensor or an input called %s is rejected', async (name) => {
  const tensors = `"x":[1],"${name}":[3]`
  for (const body of [
    `{"formula":"x^2 * ${name}",${tensors}}`,
    `{"formula":"x^2",${tensors}}`,
    `{"formula":"x^2 * ${name}"}`,
  ]) {
    for (const verb of ['evaluate', 'check', 'constant', 'analyze', 'source']) {
      const sent = verb === 'source' ? body.replace('{', '{"target":"numpy",') : body
      const { status } = await server.send('POST', `/v1/losses:${verb}`, sent)
      expect([400, 422], `${verb} ${body}`).toContain(status)
    }
  }
  const alone = await server.send('POST', '/v1/losses:analyze', { formula: `x^2 * ${name}` })
  expect(alone.body.errors).toEqual([
    { pointer: '/formula', detail: `"${name}" is not allowed as a name: choose another name` },
  ])
})

it('the metadata of safetensors may contain any text', async () => {
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
    { numRuns: depth(40, 150) },
  )
})

it('bodies that are nested too deeply or too long are rejected', async () => {
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

it.each(Object.entries(HOSTILE))('%s is computed or rejected quickly', async (_, make) => {
  for (let seed = 1; seed <= 2; seed++) {
    const { path, body } = make(seed)
    await expectRefused(path, body, HEADERS.json)
  }
})
