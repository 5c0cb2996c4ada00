/** A loss that is another name for one of the catalog is found and proved to be; one that only looks like it is not. */
import { describe, expect, it } from 'vitest'
import { analyze } from '../../src/analysis/analyze.ts'
import { NormalForms } from '../../src/analysis/normal-form.ts'
import { Scalars } from '../../src/analysis/scalars.ts'
import { compile, elementName } from '../../src/analysis/subject.ts'
import { evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { customLoss, type Definition } from '../../src/losses/custom.ts'
import type { Loss, Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { randomElementFormula, randomLikelyFormula } from '../support/attack.ts'
import { elementLoss } from '../support/broken-proofs.ts'
import { depth } from '../support/depth.ts'
import { defaultsOf, randomFrom } from '../support/sample.ts'

const { losses: catalog } = await loadCatalog()
const real = (axes: string) => ({ axes, kind: 'real', differentiable: true }) as const
const ELEMENT: Definition['inputs'] = { predictions: real('...'), targets: real('...') }
const ROW: Definition['inputs'] = {
  predictions: real('rows,classes'),
  targets: { axes: 'rows', kind: 'class' },
}
const MARGIN: Definition['inputs'] = { predictions: real('...'), targets: { axes: '...', kind: 'sign' } }

function equivalentTo(loss: Loss, among: readonly Loss[] = catalog) {
  const question = { loss, params: {}, of: 'predictions', domain: {}, sizes: {}, catalog: among }
  return analyze(question, 6000, ['equivalent_to']).properties.equivalent_to
}

type Case = readonly [
  inputs: Definition['inputs'],
  formula: string,
  loss: string,
  params: Params,
  factor: number,
]

/** Formula -> the loss of the catalog that it is a multiple of. */
const SAME: readonly Case[] = [
  [ELEMENT, '(predictions - targets)^2', 'mse', {}, 1],
  [ELEMENT, '3 * (targets - predictions)^2', 'mse', {}, 3],
  [ELEMENT, '0.3 * abs(targets - predictions)', 'l1', {}, 0.3],
  [ELEMENT, 'predictions^2 - 2 * predictions * targets + targets^2', 'mse', {}, 1],
  [
    ELEMENT,
    'e = predictions - targets\nabs(e) <= 1.345 ? e^2 / 2 : 1.345 * (abs(e) - 0.6725)',
    'huber',
    { delta: 1.345 },
    1,
  ],
  [ELEMENT, 'd = targets - predictions\nmax(0.75 * d, -0.25 * d)', 'quantile', { quantile: 0.75 }, 1],
  [ELEMENT, 'd = targets - predictions\n3 * relu(d) + relu(-d)', 'quantile', { quantile: 0.75 }, 4],
  [ELEMENT, 'exp(predictions) - targets * predictions', 'poisson_nll', {}, 1],
  [ELEMENT, 'log1p(exp(predictions)) - targets * predictions', 'binary_cross_entropy_with_logits', {}, 1],
  [MARGIN, 'relu(1 - predictions * targets)', 'hinge', {}, 1],
  [MARGIN, '2 * log(1 + exp(-predictions * targets))', 'soft_margin', {}, 2],
  [ROW, 'logsumexp(predictions, classes) - pick(predictions, targets, classes)', 'cross_entropy', {}, 1],
  [ROW, '-log(pick(softmax(predictions, classes), targets, classes))', 'cross_entropy', {}, 1],
]

/** Looks like a loss of the catalog, and is none. */
const OTHER: readonly [Definition['inputs'], string][] = [
  [ELEMENT, '(predictions - targets)^2 + 0.000001'],
  [ELEMENT, 'abs(predictions - targets) < 9.99 ? abs(predictions - targets) : 9.99'],
  [ELEMENT, '-abs(predictions - targets)'],
  [ELEMENT, 'abs(predictions - targets)^1.9'],
  [ROW, 'logsumexp(predictions, classes)'],
]

describe('a formula', () => {
  it.each(SAME)('with %j, %s, is %s with %j times %f', (inputs, formula, loss, params, factor) => {
    const own = customLoss({ inputs, formula }, 'own')
    const found = equivalentTo(
      own,
      catalog.filter(({ name }) => name === loss),
    )
    expect(found, JSON.stringify(found)).toMatchObject({
      verdict: 'proved',
      evidence: { loss, params, factor: expect.closeTo(factor, 9) },
    })
    expect(equivalentTo(own)).toMatchObject({ verdict: 'proved' })
  })

  it.each(OTHER)('with %j, %s, is no other loss, which two points show', (inputs, formula) => {
    const found = equivalentTo(customLoss({ inputs, formula }, 'own'))
    expect(found, JSON.stringify(found)).toMatchObject({ verdict: 'refuted' })
    const { nearest } = found!.evidence as { nearest?: { points: object[]; ratios: number[] } }
    if (nearest !== undefined) expect(nearest.ratios[0]).not.toBeCloseTo(nearest.ratios[1]!, 12)
  })
})

describe('a loss of the catalog', () => {
  it.each([
    ['half_squared', 'mse', 0.5],
    ['smooth_l1', 'huber', 1],
    ['l1', 'quantile', 2],
  ])('%s is %s times %f', (name, other, factor) => {
    const loss = catalog.find((one) => one.name === name)!
    const only = catalog.filter((one) => one.name === other)
    const question = {
      loss,
      params: defaultsOf(loss),
      of: 'predictions',
      domain: {},
      sizes: {},
      catalog: only,
    }
    const found = analyze(question, 4000, ['equivalent_to']).properties.equivalent_to
    expect(found, JSON.stringify(found)).toMatchObject({
      verdict: 'proved',
      evidence: { loss: other, factor: expect.closeTo(factor, 12) },
    })
  })
})

describe('normal forms', () => {
  const scalars = new Scalars()
  const [x, y] = ['x', 'y'].map((name) => scalars.variable(name)) as [number, number]
  const one = scalars.constant(1)
  const make = (op: Parameters<Scalars['make']>[0], ...args: number[]) => scalars.make(op, args)
  const negative = make('neg', x)

  it.each([
    ['softplus(-x) = softplus(x) - x', make('softplus', negative), make('sub', make('softplus', x), x)],
    ['1 - sigmoid(x) = sigmoid(-x)', make('sub', one, make('sigmoid', x)), make('sigmoid', negative)],
    [
      'tanh(x) = 2 sigmoid(2 x) - 1',
      make('tanh', x),
      make('sub', make('mul', scalars.constant(2), make('sigmoid', make('add', x, x))), one),
    ],
    ['sqrt(x)^2 = x', make('square', make('sqrt', x)), x],
    ['e^(x + y) = e^x e^y', make('exp', make('add', x, y)), make('mul', make('exp', x), make('exp', y))],
    [
      'e^(ln(x) / 2) = sqrt(x)',
      make('exp', make('mul', scalars.constant(0.5), make('log', x))),
      make('sqrt', x),
    ],
    [
      '(x + y)^2',
      make('square', make('add', x, y)),
      scalars.sum([
        make('square', x),
        make('square', y),
        make('mul', scalars.constant(2), make('mul', x, y)),
      ]),
    ],
    ['x / (x y) = 1 / y', make('div', x, make('mul', x, y)), make('div', one, y)],
    [
      'lse(x, y) = x + softplus(y - x)',
      scalars.logsumexp([x, y]),
      make('add', x, make('softplus', make('sub', y, x))),
    ],
    ['|x y| for -x', make('abs', make('mul', negative, y)), make('abs', make('mul', x, y))],
  ])('know that %s', (_, a, b) => {
    expect(new NormalForms(scalars).areEqual(a, b)).toBe(true)
  })

  it.each([
    ['|x| and x', make('abs', x), x],
    ['sqrt(x^2) and x', make('sqrt', make('square', x)), x],
    ['max(x, y) and min(x, y)', make('max', x, y), make('min', x, y)],
    ['floor(x) and round(x)', make('floor', x), make('round', x)],
    ['x < y and y < x', make('lt', x, y), make('lt', y, x)],
  ])('do not take %s for the same', (_, a, b) => {
    expect(new NormalForms(scalars).areEqual(a, b)).toBe(false)
  })

  it('are never equal for formulas that differ at a point', () => {
    let equal = 0
    for (let seed = 1; seed <= depth(1500, 3000); seed++) {
      const random = randomFrom(seed)
      const texts = [0, 1].map(() =>
        seed % 3 === 0 ? randomLikelyFormula(random) : randomElementFormula(random, 2),
      )
      const own = new Scalars()
      const roots = texts.map((text) =>
        compile({ loss: elementLoss(text), params: {}, sizes: {} }).root(own, (input, place) =>
          own.variable(elementName(input, place)),
        ),
      )
      const ratio = new NormalForms(own).ratio(roots[0]!, roots[1]!)
      if (ratio === undefined) continue
      equal++
      const factor = Number(ratio.top) / Number(ratio.bottom)
      const tapes = roots.map((root) => tapeOf(own, [root]))
      for (let i = 0; i < 10; i++) {
        const at = new Map([
          ['x.0', 4 * random() - 2],
          ['y.0', 4 * random() - 2],
        ])
        const [a, b] = tapes.map((tape) => evaluate(tape, (name) => at.get(name)!)[tape.roots[0]!]!) as [
          number,
          number,
        ]
        if (!Number.isFinite(a) || !Number.isFinite(b)) continue
        expect(Math.abs(a - factor * b), `${texts.join(' and ')} at ${[...at.values()]}`).toBeLessThan(
          1e-7 * Math.max(1, Math.abs(a)),
        )
      }
    }
    expect(equal).toBeGreaterThan(depth(2, 5))
  })
})
