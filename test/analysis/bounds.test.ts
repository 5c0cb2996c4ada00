/** Bounds of slopes and curvatures are those of the literature, and no sample exceeds them. */
import { describe, expect, it } from 'vitest'
import { analyze } from '../../src/analysis/analyze.ts'
import { clockOf } from '../../src/analysis/clock.ts'
import { interval } from '../../src/analysis/interval.ts'
import { piecesOf } from '../../src/analysis/pieces.ts'
import { FORMATS, largestError } from '../../src/analysis/rounding.ts'
import { Scalars } from '../../src/analysis/scalars.ts'
import { boundsOver, rangeOf } from '../../src/analysis/shape.ts'
import { compile, elementName, subjectOf } from '../../src/analysis/subject.ts'
import { enclose, evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { customLoss } from '../../src/losses/custom.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { randomElementFormula, randomLikelyFormula } from '../support/attack.ts'
import { elementLoss } from '../support/broken-proofs.ts'
import { defaultsOf, randomFrom } from '../support/sample.ts'

const catalog = await loadCatalog()

function boundOf(name: string, property: string): number {
  const loss = catalog.find(name)!
  const of = Object.keys(loss.inputs).find((input) => loss.inputs[input]!.differentiable)!
  const question = { loss, params: defaultsOf(loss), of, domain: {}, sizes: {} }
  const found = analyze(question, 4000, [property]).properties[property]!
  expect(found, JSON.stringify(found)).toMatchObject({ verdict: 'proved' })
  return Number(found.evidence.bound)
}

describe('a loss of rows', () => {
  it.each([
    // The gradient is p - e_y, the second derivative diag(p) - p p'.
    ['cross_entropy', 'lipschitz', Math.SQRT2],
    ['cross_entropy', 'smooth', 0.5],
    ['crammer_singer', 'lipschitz', Math.SQRT2],
    ['multiclass_perceptron', 'lipschitz', Math.SQRT2],
    ['categorical_hinge', 'lipschitz', Math.SQRT2],
    ['multi_margin', 'lipschitz', Math.sqrt(20) / 5],
  ])('%s is %s with the bound %f', (name, property, bound) => {
    expect(boundOf(name, property)).toBeGreaterThanOrEqual(bound)
    expect(boundOf(name, property)).toBeLessThan(bound * (1 + 1e-9))
  })
})

describe('a lower bound', () => {
  it.each(['huber', 'smooth_l1', 'mse', 'l1', 'quantile', 'log_cosh', 'hinge', 'squared_hinge', 'expectile'])(
    'of %s is 0',
    (name) => {
      expect(boundOf(name, 'bounded_below')).toBeCloseTo(0, 12)
    },
  )
})

describe('bounds over a part of a piece', () => {
  it('contain value and slope at every point of it', () => {
    let parts = 0
    for (let seed = 1; seed <= 150; seed++) {
      const random = randomFrom(seed)
      const text = seed % 2 === 0 ? randomLikelyFormula(random) : randomElementFormula(random)
      const scalars = new Scalars()
      const compiled = compile({ loss: elementLoss(text), params: {}, sizes: {} })
      const root = compiled.root(scalars, (input, place) => scalars.variable(elementName(input, place)))
      const y = 4 * random() - 2
      const line = {
        tape: tapeOf(scalars, [root]),
        variable: 'x.0',
        lo: -3,
        hi: 3,
        box: new Map([['y.0', interval(y, y)]]),
      }
      const pieces = piecesOf(line, clockOf(200))
      for (const piece of pieces?.pieces ?? []) {
        const [a, b] = [random(), random()]
          .map((share) => piece.lo + share * (piece.hi - piece.lo))
          .sort((one, other) => one - other) as [number, number]
        const whole = ([0, 1] as const).map((order) => boundsOver(pieces!, piece, order, a, b))
        for (let i = 0; i <= 8; i++) {
          const at = Math.min(b, a + ((b - a) * i) / 8)
          parts++
          for (const order of [0, 1] as const) {
            const point = boundsOver(pieces!, piece, order, at, at)
            if (point.partial || whole[order]!.partial) continue
            expect(point.hi, `${text}, ${order}, at ${at}, y = ${y}`).toBeGreaterThanOrEqual(whole[order]!.lo)
            expect(point.lo, `${text}, ${order}, at ${at}, y = ${y}`).toBeLessThanOrEqual(whole[order]!.hi)
          }
        }
      }
      if (pieces === undefined) continue
      const { bounds, least } = rangeOf(pieces, 0, clockOf(50))
      if (Number.isFinite(least.value)) expect(least.value).toBeGreaterThanOrEqual(bounds.lo)
    }
    expect(parts).toBeGreaterThan(500)
  })
})

describe('the gradient of many variables', () => {
  const rows = { axes: 'rows,classes', kind: 'real', differentiable: true } as const
  it.each([
    'logsumexp(x * x, classes)',
    'max(x, classes) - mean(x, classes)',
    'sum(abs(x), classes) * 0.5 + logsumexp(3 * x, classes)',
    'norm(x + 3, classes) + sum(softplus(x), classes)',
    'sum(softmax(x, classes) * index(classes), classes)',
    'exp(0.1 * max(x, classes)) + log1p(sum(x^2, classes))',
  ])('of %s is never longer than its bound', (formula) => {
    const loss = customLoss({ inputs: { x: rows }, formula }, 'own')
    const domain = { x: [-2, 2] as const }
    const question = { loss, params: {}, of: 'x', domain, sizes: { classes: 3 } }
    const { lipschitz, smooth } = analyze(question, 3000, ['lipschitz', 'smooth']).properties
    expect(lipschitz!.verdict, JSON.stringify(lipschitz)).toBe('proved')
    const [{ scalars, root, by }] = subjectOf(question).cases as [ReturnType<typeof subjectOf>['cases'][0]]
    const tape = tapeOf(scalars, [root])
    const random = randomFrom(3)
    const valueAt = (at: readonly number[]) =>
      evaluate(tape, (name) => at[by.indexOf(name)]!)[tape.roots[0]!]!
    for (let i = 0; i < 400; i++) {
      const a = by.map(() => 4 * random() - 2)
      const step = by.map(() => 1e-4 * (random() - 0.5))
      const b = a.map((x, k) => Math.max(-2, Math.min(2, x + step[k]!)))
      const distance = Math.hypot(...b.map((x, k) => x - a[k]!))
      const rise = Math.abs(valueAt(b) - valueAt(a))
      expect(rise).toBeLessThanOrEqual(Number(lipschitz!.evidence.bound) * distance + 1e-12)
      if (smooth!.verdict !== 'proved') continue
      const c = a.map((x, k) => 2 * b[k]! - x)
      const bend = Math.abs(valueAt(a) + valueAt(c) - 2 * valueAt(b))
      expect(bend).toBeLessThanOrEqual(Number(smooth!.evidence.bound) * distance ** 2 + 1e-12)
    }
  })
})

describe('bounds of rounding', () => {
  it.each(['mse', 'huber', 'log_cosh', 'binary_cross_entropy_with_logits'])(
    'hold for %s as float32 computes it',
    (name) => {
      const loss = catalog.find(name)!
      const params = defaultsOf(loss)
      const question = { loss, params, of: 'predictions', domain: {}, sizes: {} }
      const [{ box }] = subjectOf(question).cases as [ReturnType<typeof subjectOf>['cases'][0]]
      const scalars = new Scalars(false)
      const root = compile(question).root(scalars, (input, place) =>
        scalars.variable(elementName(input, place)),
      )
      const tape = tapeOf(scalars, [root])
      const error = largestError(tape, box, FORMATS.float32, clockOf(500))
      expect(error).toBeLessThan(1e-4)
      const random = randomFrom(8)
      for (let i = 0; i < 300; i++) {
        const at = new Map([...box].map(([key, { lo, hi }]) => [key, Math.fround(lo + (hi - lo) * random())]))
        const exact = enclose(tape, new Map([...at].map(([key, x]) => [key, interval(x, x)])))[
          tape.roots[0]!
        ]!
        const rounded = roundedValue(tape, at)
        const off = Math.max(exact.lo - rounded, rounded - exact.hi)
        expect(off).toBeLessThanOrEqual(error * Math.max(1, Math.abs(exact.hi)))
      }
    },
  )
})

/** Each operation in float64, rounded to float32. */
function roundedValue(tape: ReturnType<typeof tapeOf>, at: ReadonlyMap<string, number>): number {
  const values: number[] = []
  for (const [id, node] of tape.nodes.entries()) {
    const single = { ...tape, nodes: [...tape.nodes.slice(0, id + 1)], roots: [id] }
    const found = evaluate(
      {
        ...single,
        nodes: single.nodes.map((own, place) =>
          place < id ? { ...own, op: 'constant' as const, args: [], value: values[place]! } : own,
        ),
      },
      (key) => at.get(key)!,
    )[id]!
    values.push(Math.fround(found))
    if (node.op === 'variable') values[id] = at.get(node.name!)!
  }
  return values[tape.roots[0]!]!
}
