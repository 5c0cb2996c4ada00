/** Dependence analysis: which programs may be batched by concatenating rows. */
import { describe, expect, it } from 'vitest'
import { isIndependentAlong, isValueIndependentAlong } from '../../src/language/coupling.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import json from '../../src/wire/json/index.ts'

const scope = {
  inputs: {
    x: { type: 'real', axes: ['rows', 'classes'] },
    y: { type: 'index', axes: ['rows'] },
    w: { type: 'real', axes: ['classes'] },
  },
  absent: [],
  params: { s: { kind: 'scalar' } },
  axes: ['rows', 'classes'],
} as const

const programOf = (formula: string, wants: readonly string[] = ['x']) => lower(parse(formula), scope, wants)

describe('independent rows', () => {
  it.each([
    'sum(x * x, classes)',
    '-log(pick(softmax(x, classes), y, classes))',
    'x * w + s',
    'sort(x, classes)',
    'cumsum(x, classes)',
    'shift(x, 1, classes)',
    'conv(x, [1, 2, 1], classes) * window_mean(x, 3, classes)',
    'sum(solve_lower(w * w[classes -> others] + 1, x, classes, others), others)',
    'diag(x * x[classes -> others], classes, others)',
    'soft_dtw((x - x[classes -> others])^2, 1, classes, others)',
    'sum(x * x[classes -> others], others)',
    'max(x, classes) * size(classes) + index(classes)',
  ])('%s', (formula) => expect(isIndependentAlong(programOf(formula), 'rows')).toBe(true))
})

describe('coupled rows', () => {
  it.each([
    'x - mean(x, rows)',
    'x / max(x, rows)',
    'x * size(rows)',
    'x * index(rows)',
    'sum(x * x[rows -> others], others)',
    'x * (sum(x[rows -> others], others) > 0 ? size(others) : 1)',
    'sort(x, rows)',
    'cumsum(x, rows)',
    'gather(x, y, rows)',
    'shift(x, 1, rows)',
    'gather(x, index(rows) + 2, rows)',
    'conv(x, [1, 2, 1], rows)',
    'window_mean(x, 3, rows)',
    'solve_lower(x * x[rows -> others], sum(x, classes), rows, others)',
    'soft_dtw(x, 1, rows, classes)',
    'pick(x, 0, rows)',
    'sum(x * x, rows)',
    's * s',
  ])('%s', (formula) => expect(isIndependentAlong(programOf(formula), 'rows')).toBe(false))

  it('if the gradient of a shared input is requested, even though the losses of rows are independent', () => {
    const program = programOf('x * w', ['x', 'w'])
    expect(isIndependentAlong(program, 'rows')).toBe(false)
    expect(isValueIndependentAlong(program, 'rows')).toBe(true)
  })
})

const catalog = await loadCatalog()

describe('the catalog', () => {
  const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 1e9, maxCost: 1e12 })
  const cases = catalog.losses.flatMap((loss) => loss.examples.map((example, i) => ({ loss, example, i })))
  it.each(cases)(
    '$loss.name has the dependence that it declares, for its example $i',
    ({ loss, example }) => {
      const body = JSON.stringify({ ...example.inputs, ...(example.params && { params: example.params }) })
      const decoded = json.decode(Buffer.from(body), { maxElements: 1e6, maxTensors: 20 })
      expect(plans(catalog.resolve(loss.name)!, decoded).couples).toBe(loss.couples)
    },
  )
})
