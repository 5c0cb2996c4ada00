/** What is said of the influence of targets, and of what a loss estimates, agrees with itself and with data. */
import { describe, expect, it } from 'vitest'
import { readCookbook } from '../../docs/cookbook.ts'
import { type Analysis, analyze } from '../../src/analysis/analyze.ts'
import { subjectOf } from '../../src/analysis/subject.ts'
import { tapeOf, valueAt } from '../../src/analysis/tape.ts'
import type { Loss } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { elementLoss } from '../support/broken-proofs.ts'
import { defaultsOf } from '../support/sample.ts'

/** Of r = x - y: ordinary losses, and such as a rule may take for them. */
const RESIDUAL = [
  'r^2',
  'abs(r)',
  'abs(r)^1.5',
  'sqrt(abs(r))',
  'log1p(sqrt(abs(r)))',
  'log1p(r^2)',
  'r^2 / (1 + r^2)',
  '1 - exp(-r^2)',
  'softplus(r)',
  'relu(r)',
  'exp(r) - r',
  'exp(abs(r))',
  'tanh(abs(r))',
  'max(abs(r) - 0.5, 0)',
  'max(r^2 - 1, 0)',
  'abs(r) < 1 ? r^2 : 2 * abs(r) - 1',
  'abs(r) < 1 ? r^2 : 3 * abs(r) - 2.5',
  'abs(r) < 1 ? r^2 : 1',
  'r > 0 ? 2 * r : -r',
  'r > 0 ? 2 * r^2 : r^2',
  'r > 0 ? r^2 : -r',
  'sqrt(1 + r^2) - 1',
  'sqrt(r^2)',
  'r^4',
  'r * atan(r)',
  'min(abs(r), 3)',
  'r^2 + abs(r)',
  'r^2 + relu(r - 2)',
  'r^2 + 1e-12 * r',
  'r^2 + 1e-17 * r^4',
  'abs(r) + r / 2',
  'abs(r) + (r > 0 ? 5 : 0)',
  'abs(r) + (r > 1 ? 1 : 0)',
  'abs(r) * (r > 1 ? 2 : 1)',
  'abs(r) > 3 ? abs(r) : 2 * abs(r)',
  'r^2 + r * abs(r) / 2',
  'abs(r + 1) + abs(r - 1)',
  '(r^2)^0.5',
  '(r^4)^0.25',
  'floor(abs(r))',
  'round(r)^2',
  'r^2 + floor(r)',
  'r',
  '-r^2',
  '-abs(r)',
  '-exp(-r^2)',
  'r^3',
  'r == 0 ? 1 : abs(r)',
].map((formula) => `r = x - y\n${formula}`)
const OTHERS = [
  'x * y',
  'round(x) * y',
  'exp(x) - x * y',
  'x^2 / 2 - x * y',
  'x^3 - x * y',
  'softplus(x) - x * y',
  'abs(x) - x * y',
  'x^4 - x * y',
]

const QUESTIONS = ['redescending', 'bounded_influence', 'robust', 'estimates', 'convex', 'lipschitz']
const DOMAIN = { x: [-6, 6], y: [-3, 3] } as const

function contradictionsIn(properties: Analysis['properties']): string[] {
  const is = (name: string, verdict: string) => properties[name]?.verdict === verdict
  const { breakdown } = properties.robust?.evidence ?? {}
  const rules: Record<string, boolean> = {
    'the influence fades, and is unbounded':
      is('redescending', 'proved') && is('bounded_influence', 'refuted'),
    'the influence fades, and one number is enough': is('redescending', 'proved') && is('robust', 'refuted'),
    'the influence is bounded, and one number is enough':
      !is('bounded_influence', 'refuted') && is('robust', 'refuted'),
    'robust without a bounded influence': is('robust', 'proved') && !is('bounded_influence', 'proved'),
    'a bounded influence without a bounded slope':
      is('bounded_influence', 'proved') && !is('lipschitz', 'proved'),
    'a mean that is robust':
      is('estimates', 'proved') && properties.estimates!.evidence.of === 'mean' && !is('robust', 'refuted'),
    'a median that is not':
      is('estimates', 'proved') && properties.estimates!.evidence.of === 'median' && breakdown !== 0.5,
    'numbers that are none': /NaN|Infinity/.test(String(breakdown)),
  }
  return Object.keys(rules).filter((rule) => rules[rule])
}

describe('the verdicts on the influence of targets', () => {
  it.each([...RESIDUAL, ...OTHERS])('do not contradict each other: %s', (formula) => {
    const question = { loss: elementLoss(formula), params: {}, of: 'x', domain: DOMAIN, sizes: {} }
    expect(contradictionsIn(analyze(question, 4000, QUESTIONS).properties)).toEqual([])
  })

  it('do not do so for any loss of the catalog or of the cookbook', async () => {
    const { losses } = await loadCatalog()
    const recipes = readCookbook().flatMap((chapter) =>
      chapter.recipes.map(({ definition }) => checkDefinition(definition, '')),
    )
    for (const loss of [...losses, ...recipes].filter(({ couples }) => couples === 'element')) {
      const of = Object.keys(loss.inputs).find((name) => loss.inputs[name]!.differentiable)!
      const question = { loss, params: defaultsOf(loss), of, domain: {}, sizes: {} }
      const { properties } = analyze(question, 2000, QUESTIONS)
      expect(contradictionsIn(properties), loss.name).toEqual([])
    }
  })
})

/** Four sets of targets, in which mean, median and quantiles are far from each other. */
const DATA = [
  [0, 0, 1],
  [-2, 0.5, 0.75, 2.5, 3],
  [-3, -1, -0.5, 1],
  [0, 0.25, 0.25, 2, 2.75, 2.875, 3],
]

function expectedLoss(loss: Loss, targets: readonly number[]): (x: number) => number {
  const [{ scalars, root }] = subjectOf({ loss, params: {}, of: 'x', domain: DOMAIN, sizes: {} }).cases
  const tape = tapeOf(scalars, [root])
  return (x) =>
    targets.reduce((sum, y) => sum + valueAt(tape, (name) => (name.startsWith('x') ? x : y)), 0) /
    targets.length
}

const meanOf = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length

/** How far from 0 the condition for the named functional is at a place; below 0 to its left. */
function conditionOf(evidence: Readonly<Record<string, unknown>>, targets: readonly number[]) {
  const level = Number(evidence.level ?? 0.5)
  const mean = meanOf(targets)
  const links: Record<string, (x: number) => number> = {
    identity: (x) => x,
    log: Math.exp,
    logit: (x) => 1 / (1 + Math.exp(-x)),
  }
  const share = (x: number) => meanOf(targets.map((y) => (y < x ? 1 : y === x ? 0.5 : 0)))
  const pull = (x: number) => meanOf(targets.map((y) => (x - y) * (x > y ? 1 - level : level)))
  switch (evidence.of) {
    case 'median':
    case 'quantile':
      return (x: number) => share(x) - level
    case 'mean':
    case 'expectile':
      return pull
    default: {
      const link = links[String(evidence.link)]
      return link && ((x: number) => link(x) - mean)
    }
  }
}

describe('what a loss is proved to estimate', () => {
  it.each([...RESIDUAL, ...OTHERS])('is the best constant for data: %s', (formula) => {
    const loss = elementLoss(formula)
    const { estimates } = analyze({ loss, params: {}, of: 'x', domain: DOMAIN, sizes: {} }, 4000, [
      'estimates',
    ]).properties
    if (estimates?.verdict !== 'proved' || estimates.evidence.of === 'mode') return
    for (const targets of DATA) {
      const condition = conditionOf(estimates.evidence, targets)
      if (condition === undefined) continue
      const value = expectedLoss(loss, targets)
      const places = Array.from({ length: 4801 }, (_, i) => -6 + i / 400)
      const best = places.reduce((a, b) => (value(b) < value(a) - 1e-12 ? b : a))
      const [before, after] = [condition(best - 1 / 400), condition(best + 1 / 400)]
      const isEnd = best === places[0] || best === places.at(-1)
      expect(isEnd || (before <= 1e-9 && after >= -1e-9), `${targets}: ${best}`).toBe(true)
    }
  })
})
