/** What the literature says about losses of the catalog is what the analysis finds. */
import { describe, expect, it } from 'vitest'
import { analyze } from '../../src/analysis/analyze.ts'
import type { Verdict } from '../../src/analysis/verdict.ts'
import { customLoss } from '../../src/losses/custom.ts'
import type { Params } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { randomElementFormula, randomLikelyFormula } from '../support/attack.ts'
import { attackProofs, elementLoss } from '../support/broken-proofs.ts'
import { depth } from '../support/depth.ts'
import { defaultsOf, randomFrom } from '../support/sample.ts'

const catalog = await loadCatalog()

/** With time enough for a machine that does other things as well. */
function verdictOf(name: string, params: Params, property: string): Verdict {
  const loss = catalog.find(name)!
  const of = Object.keys(loss.inputs).find((input) => loss.inputs[input]!.differentiable)!
  const question = { loss, params: { ...defaultsOf(loss), ...params }, of, domain: {}, sizes: {} }
  return analyze(question, 12_000, [property]).properties[property]!
}

type Truth = readonly [loss: string, params: Params, property: string, verdict: string, evidence?: object]

const TRUTHS: readonly Truth[] = [
  // Huber 1964.
  ['huber', { delta: 1.345 }, 'convex', 'proved'],
  ['huber', { delta: 1.345 }, 'differentiable', 'proved'],
  ['huber', { delta: 1.345 }, 'lipschitz', 'proved', { bound: 1.345 }],
  ['huber', { delta: 1.345 }, 'bounded_influence', 'proved'],
  ['huber', { delta: 1.345 }, 'redescending', 'refuted'],
  ['huber', { delta: 1.345 }, 'efficiency', 'supported', { efficiency: expect.closeTo(0.95, 3) }],
  ['huber', {}, 'robust', 'proved', { breakdown: 0.5 }],
  ['huber', {}, 'smooth', 'proved', { bound: 1, largestStableStep: 2 }],
  ['huber', {}, 'minimum_at_target', 'proved'],
  ['l1', {}, 'estimates', 'proved', { of: 'median' }],
  ['l1', {}, 'differentiable', 'refuted', { kinks: [{ at: 0, left: -1, right: 1, chosen: 0 }] }],
  ['l1', {}, 'efficiency', 'supported', { efficiency: expect.closeTo(2 / Math.PI, 3) }],
  ['mse', {}, 'estimates', 'proved', { of: 'mean' }],
  ['mse', {}, 'bounded_influence', 'refuted'],
  ['mse', {}, 'robust', 'refuted', { breakdown: 0 }],
  ['mse', {}, 'efficiency', 'supported', { efficiency: 1 }],
  // Koenker and Bassett 1978; Newey and Powell 1987.
  ['quantile', { quantile: 0.9 }, 'estimates', 'proved', { of: 'quantile', level: 0.9 }],
  ['quantile', { quantile: 0.9 }, 'robust', 'proved', { breakdown: 0.1 }],
  ['quantile', { quantile: 0.9 }, 'symmetric', 'refuted'],
  ['expectile', { tau: 0.8 }, 'estimates', 'proved', { of: 'expectile', level: 0.8 }],
  ['expectile', { tau: 0.8 }, 'differentiable', 'proved'],
  ['log_cosh', {}, 'symmetric', 'proved'],
  // Its constant is the float64 next to ln 2, so the pieces meet to within rounding.
  ['log_cosh', {}, 'smooth', 'supported', { bound: expect.closeTo(1, 2) }],
  ['log_cosh', {}, 'lipschitz', 'supported', { bound: expect.closeTo(1, 3) }],
  // Barron 2019: convex from alpha 1 on.
  ['barron_robust', { alpha: 1 }, 'convex', 'supported'],
  ['barron_robust', { alpha: 1.5 }, 'convex', 'supported'],
  ['barron_robust', { alpha: 2 }, 'convex', 'proved'],
  ['barron_robust', { alpha: 0.5 }, 'convex', 'refuted'],
  ['barron_robust', { alpha: 0 }, 'convex', 'refuted'],
  ['barron_robust', { alpha: -2 }, 'convex', 'refuted'],
  ['barron_robust', { alpha: -2 }, 'redescending', 'proved'],
  ['log_cosh', {}, 'efficiency', 'supported', { efficiency: expect.closeTo(0.93, 2) }],
  // Bartlett, Jordan, McAuliffe 2006; Reid and Williamson 2010.
  ['soft_margin', {}, 'classification_calibrated', 'proved'],
  ['soft_margin', {}, 'proper', 'proved', { link: 'sigmoid' }],
  ['soft_margin', {}, 'convex', 'proved'],
  ['binary_cross_entropy_with_logits', {}, 'convex', 'proved'],
  ['binary_cross_entropy_with_logits', {}, 'classification_calibrated', 'proved'],
  ['binary_cross_entropy', {}, 'convex', 'proved'],
  ['hinge', {}, 'classification_calibrated', 'proved'],
  ['hinge', {}, 'proper', 'refuted'],
  ['hinge', {}, 'differentiable', 'refuted'],
  ['squared_hinge', {}, 'classification_calibrated', 'proved'],
  ['squared_hinge', {}, 'differentiable', 'proved'],
  ['perceptron', {}, 'classification_calibrated', 'refuted'],
  ['binary_cross_entropy_with_logits', {}, 'proper', 'proved', { link: 'sigmoid' }],
  ['binary_cross_entropy', {}, 'proper', 'proved', { link: 'none' }],
  ['squared_hinge', {}, 'proper', 'refuted'],
  // Charoenphakdee et al. 2021: focal is calibrated, and proper without focus alone.
  ['sigmoid_focal', { gamma: 0, alpha: null }, 'proper', 'proved', { link: 'sigmoid' }],
  ['sigmoid_focal', { gamma: 2, alpha: null }, 'proper', 'refuted'],
  ['sigmoid_focal', { gamma: 2, alpha: null }, 'classification_calibrated', 'proved'],
  ['softmax_focal', { gamma: 2 }, 'proper', 'refuted'],
  ['cross_entropy', {}, 'proper', 'proved', { link: 'softmax' }],
  // Zhang and Sabuncu 2018: q = 1 is the absolute error, which tolerates noise; towards 0 it is cross-entropy.
  ['generalized_cross_entropy', { q: 1 }, 'noise_tolerant', 'proved'],
  ['generalized_cross_entropy', { q: 0.7 }, 'noise_tolerant', 'refuted'],
  ['cross_entropy_from_probs', {}, 'noise_tolerant', 'refuted'],
  // Softmax losses: logsumexp is convex; focal and poly-1 are not.
  ['cross_entropy', {}, 'convex', 'proved'],
  ['cross_entropy', {}, 'differentiable', 'proved'],
  ['cross_entropy', {}, 'noise_tolerant', 'refuted'],
  ['poly1_cross_entropy', {}, 'convex', 'refuted'],
  ['crammer_singer', {}, 'convex', 'proved'],
  ['multiclass_perceptron', {}, 'convex', 'proved'],
  ['info_nce', {}, 'convex', 'proved'],
  ['poisson_nll', {}, 'convex', 'proved'],
  ['poisson_nll', {}, 'estimates', 'proved', { of: 'mean, through a link' }],
  ['binary_cross_entropy', {}, 'estimates', 'proved', { of: 'mean, through a link', link: 'identity' }],
  ['binary_cross_entropy_with_logits', {}, 'estimates', 'proved', { link: 'logit' }],
  ['dice', {}, 'convex', 'refuted'],
  ['sparsemax', {}, 'differentiable', 'proved'],
  ['smooth_l1', { beta: 0.5 }, 'smooth', 'proved', { bound: 2 }],
]

describe('a loss of the catalog', () => {
  it.each(TRUTHS.map((truth) => [...truth] as [string, Params, string, string, object | undefined]))(
    '%s with %j: %s is %s',
    (loss, params, property, verdict, evidence) => {
      const found = verdictOf(loss, params, property)
      expect(found, JSON.stringify(found)).toMatchObject({ verdict, ...(evidence && { evidence }) })
    },
  )
})

describe('a loss of classes', () => {
  it('that is the absolute error tolerates label noise, and the squared error does not', () => {
    const inputs = {
      predictions: { axes: 'rows,classes', kind: 'simplex', differentiable: true },
      targets: { axes: 'rows', kind: 'class' },
    } as const
    const of = (formula: string) => {
      const loss = customLoss({ inputs, formula }, 'own')
      return analyze({ loss, params: {}, of: 'predictions', domain: {}, sizes: {} }, 2000, ['noise_tolerant'])
        .properties.noise_tolerant!.verdict
    }
    expect(of('sum(abs(predictions - (index(classes) == targets ? 1 : 0)), classes)')).toBe('proved')
    expect(of('sum((predictions - (index(classes) == targets ? 1 : 0))^2, classes)')).toBe('refuted')
  })
})

describe('a formula', () => {
  const verdictsOf = (formula: string, only?: readonly string[]) =>
    analyze({ loss: elementLoss(formula), params: {}, of: 'x', domain: {}, sizes: {} }, 8000, only).properties

  it("that is Tukey's biweight is not convex, and redescends", () => {
    const { convex, redescending, quasiconvex, efficiency, differentiable, smooth } = verdictsOf(
      'u = (x - y) / 4.685\nabs(u) < 1 ? 1 - (1 - u^2)^3 : 1',
    )
    expect(
      [convex, redescending, quasiconvex, differentiable, smooth].map((found) => found!.verdict),
    ).toEqual(['refuted', 'proved', 'proved', 'proved', 'proved'])
    expect(efficiency!.evidence.efficiency).toBeCloseTo(0.95, 3)
  })

  it.each([
    ["Tukey's", 'u = (x - y) / 4.685\nabs(u) < 1 ? 1 - (1 - u^2)^3 : 1'],
    ["Welsch's", '1 - exp(-(x - y)^2 / 2)'],
    ["Geman and McClure's", 'e = (x - y)^2\ne / (1 + e)'],
  ])('that is %s estimates the mode', (_, formula) => {
    expect(verdictsOf(formula, ['estimates']).estimates).toMatchObject({
      verdict: 'proved',
      evidence: { of: 'mode', limit: 1 },
    })
  })

  it.each([
    ['abs(x - y)^1.5', 'a slope that is no root'],
    ['abs(x - y)^1.5 * (x > y ? 2 : 1)', 'the same, asymmetric'],
    ['sqrt(abs(x - y))', 'an infinite slope at the target'],
    ['log1p(sqrt(abs(x - y)))', 'the same'],
    ['(x - y)^2 + 1e-17 * (x - y)^4', 'a nearly constant second derivative'],
    ['(x - y)^2 + 1e-12 * (x - y)', 'a minimum beside the target'],
    ['(x - y)^2 + abs(x - y)', 'a kink at the target'],
    ['(x - y)^2 + relu(x - y - 2)', 'a kink elsewhere'],
    ['abs(x - y) + (x > y ? 5 : 0)', 'a jump'],
    ['abs(x - y) + abs(x - y - 1) * 1e-16', 'nearly constant slopes'],
  ])('%s, which has %s, is not proved to estimate anything with a name', (formula) => {
    expect(verdictsOf(formula, ['estimates']).estimates!.verdict).not.toBe('proved')
  })

  it.each([
    ['sqrt(2) * abs(x - y)', { of: 'median' }],
    ['abs(x - y) * (x > y ? 2 : 1)', { of: 'quantile', level: 0.3333333333 }],
    ['3 * (x - y)^2 + 1', { of: 'mean' }],
    ['(x - y)^2 * (x > y ? 2 : 1)', { of: 'expectile', level: 0.3333333333 }],
    ['exp(x) - x * y', { of: 'mean, through a link', link: 'log' }],
    ['relu(x) - x * y + log1p(exp(-abs(x)))', { of: 'mean, through a link', link: 'logit' }],
  ])('%s estimates what its derivatives say', (formula, evidence) => {
    expect(verdictsOf(formula, ['estimates']).estimates).toEqual({
      verdict: 'proved',
      method: expect.any(String),
      domain: expect.any(Object),
      evidence,
    })
  })

  it.each(['x * y', 'round(x) * y', '-exp(x) + x * y', 'x^3 - x * y', 'abs(x) - x * y'])(
    '%s, which has no best prediction of some means, estimates nothing',
    (formula) => {
      expect(verdictsOf(formula, ['estimates']).estimates!.verdict).toBe('unknown')
    },
  )

  it.each([
    'sqrt(abs(x - y))',
    'log1p(sqrt(abs(x - y)))',
    'abs(x - y) < 1 ? (x - y)^2 : 3 * abs(x - y) - 2.5',
    'abs(x - y) + (x > y ? 5 : 0)',
  ])('%s, whose slope has a bound far out, has no breakdown for what happens elsewhere', (formula) => {
    const { bounded_influence, robust } = verdictsOf(formula, ['bounded_influence', 'robust'])
    expect([bounded_influence, robust].map((found) => found!.verdict)).toEqual(['unknown', 'unknown'])
  })

  it.each(['((x - y)^4)^0.25', '((x - y)^2)^0.3', 'sqrt(abs(x - y))', 'abs(x - y)^0.3'])(
    '%s, a root of what reaches 0, is not differentiable there, not even up to rounding',
    (formula) => {
      const { verdict, evidence } = verdictsOf(formula, ['differentiable']).differentiable!
      expect(verdict).not.toBe('proved')
      expect(evidence.rounding).toBeUndefined()
    },
  )

  it('that is only steep is not refuted to have a bounded slope', () => {
    const { lipschitz } = verdictsOf('1e8 * (abs(x - y)^0.5 * abs(x - y)^0.5)', ['lipschitz'])
    expect(lipschitz!.verdict).not.toBe('refuted')
    expect(verdictsOf('sqrt(abs(x - y))', ['lipschitz']).lipschitz!.verdict).toBe('refuted')
  })

  it.each([
    ['(1e-200 * (x - y))^2 + sqrt(1 + abs(x - y))', 'a factor that underflows'],
    ['abs(x - y) * erf(abs(x - y) / (1 + abs(x - y)))', 'a limit without a number'],
    ['exp((x - y) * exp(x - y + 1) * exp(y - x)) / exp(2 * (x - y))', 'a rate that is not known'],
  ])('%s, with %s, is not said to grow in some way', (formula) => {
    expect(verdictsOf(formula, ['redescending']).redescending?.verdict ?? 'unknown').toBe('unknown')
  })

  it.each(['x - y', '-(x - y)^2', '-abs(x - y)', 'exp(x - y) + 3 * (x - y)'])(
    '%s, which falls for ever, has no estimate to break down',
    (formula) => {
      expect(verdictsOf(formula, ['robust']).robust!.verdict).toBe('unknown')
    },
  )

  it('that grows for ever does not', () => {
    expect(verdictsOf('log1p((x - y)^2)').estimates?.evidence.of).not.toBe('mode')
  })

  it('whose halves have one valley each is not proved to have one if it is a mean of both', () => {
    const { quasiconvex } = verdictsOf('0.1 * y * tanh(3 * x) - 0.2 * x')
    expect(quasiconvex!.verdict).not.toBe('proved')
  })

  it('that is exponential has unbounded influence, and that of Cauchy a bounded one', () => {
    expect(verdictsOf('exp(abs(x - y))').bounded_influence!.verdict).toBe('refuted')
    expect(verdictsOf('log1p((x - y)^2)').bounded_influence!.verdict).toBe('proved')
    expect(verdictsOf('log1p((x - y)^2)').redescending!.verdict).toBe('proved')
  })

  it('with a jump is not continuous, whatever its slopes', () => {
    const { continuous, convex, lipschitz } = verdictsOf('x > 1 ? x + 0.5 : x')
    expect([continuous, convex, lipschitz].map((found) => found!.verdict)).toEqual([
      'refuted',
      'refuted',
      'refuted',
    ])
    expect(continuous!.evidence).toMatchObject({ at: 1 })
  })

  it('with a single odd value in the middle is not continuous', () => {
    expect(verdictsOf('x == 1 ? 5 : x^2').continuous!.verdict).toBe('refuted')
  })

  it('that jumps at the end of its domain is not proved to be anything there', () => {
    const { continuous, convex } = verdictsOf('floor(x) * 0 + (x >= 10 ? 1 : 0)')
    expect(continuous!.verdict).not.toBe('proved')
    expect(convex!.verdict).not.toBe('proved')
  })

  it('that has no value somewhere is not proved convex', () => {
    expect(verdictsOf('max(20, asin(x)^4)').convex!.verdict).not.toBe('proved')
    expect(verdictsOf('relu(log(x))').bounded_below!.verdict).not.toBe('proved')
    expect(verdictsOf('0 * log(x)').finite!.verdict).toBe('refuted')
  })

  it('that is constant on one side of a jump keeps the jump', () => {
    const { continuous, differentiable, convex } = verdictsOf('max((3 <= x ? x : 2) - log1p(2), 1.5)')
    expect([continuous, differentiable, convex].map((found) => found!.verdict)).toEqual([
      'refuted',
      'refuted',
      'refuted',
    ])
    expect(continuous!.evidence).toMatchObject({ at: 3 })
  })

  it('that rounds what has no value is not proved to be bounded', () => {
    expect(verdictsOf('round(safe_sqrt(round(x)))').bounded_below!.verdict).not.toBe('proved')
  })

  it('whose branches meet in numbers that are not rational is proved to be smooth', () => {
    const { convex, differentiable, smooth } = verdictsOf('x > 0 ? softplus(-x) + x : softplus(x)')
    expect([convex, differentiable].map((found) => found!.verdict)).toEqual(['proved', 'proved'])
    expect(smooth!.evidence).toMatchObject({ bound: expect.closeTo(0.25, 9) })
  })

  it('is never proved to be what a point contradicts', () => {
    for (let seed = 1; seed <= depth(20, 60); seed++) {
      const random = randomFrom(seed)
      const formula = seed % 2 === 0 ? randomLikelyFormula(random) : randomElementFormula(random)
      const { broken } = attackProofs(elementLoss(formula), random, 60, 150)
      expect(broken, `${seed}: ${formula}`).toEqual([])
    }
  })
})
