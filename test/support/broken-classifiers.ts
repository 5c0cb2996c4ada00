/** Attacks what is proved of losses of a margin: every claim is compared with brute force over a grid. */
import { type Analysis, analyze } from '../../src/analysis/analyze.ts'
import { subjectOf } from '../../src/analysis/subject.ts'
import { evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { customLoss } from '../../src/losses/custom.ts'
import type { Loss } from '../../src/losses/define.ts'

type Random = () => number

const from = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!

/** Losses of the margin, and some that treat the two classes differently. */
export function randomMarginFormula(random: Random): string {
  const m = from(random, ['m', 'm', '2 * m', '(m - 0.5)', '(m + 0.25)', '-m', '0.5 * m'])
  const shape = () =>
    from(random, [
      `softplus(-(${m}))`,
      `relu(1 - ${m})`,
      `relu(1 - ${m})^2`,
      `relu(-(${m}))`,
      `exp(-(${m}))`,
      `sigmoid(-(${m}))`,
      `1 - tanh(${m})`,
      `(1 - ${m})^2`,
      `min(relu(1 - ${m}), 2)`,
      `sigmoid(-(${m}))^2 * softplus(-(${m}))`,
      `abs(1 - ${m})`,
      `(${m} > 0 ? 0 : 1)`,
      `log1p(exp(-(${m})))`,
      `atan(-(${m}))`,
      `max(-(${m}), 0.5 * (1 - ${m}))`,
      `-(${m})`,
    ])
  const sum = random() < 0.3 ? `${shape()} + 0.5 * ${shape()}` : shape()
  return `m = x * y\n${random() < 0.15 ? `(y > 0 ? 2 : 1) * (${sum})` : sum}`
}

export function marginLoss(formula: string): Loss {
  const inputs = {
    x: { axes: '...', kind: 'real', differentiable: true },
    y: { axes: '...', kind: 'sign' },
  } as const
  return customLoss({ inputs, formula }, 'attacked')
}

const EDGE = 6
const PLACES = Array.from({ length: 1201 }, (_, i) => -EDGE + (2 * EDGE * i) / 1200)

/** Proofs and refutations that the grid contradicts. */
export function attackClassifier(loss: Loss, budgetMs = 500): { analysis: Analysis; broken: string[] } {
  const question = { loss, params: {}, of: 'x', domain: { x: [-EDGE, EDGE] as const }, sizes: {} }
  const analysis = analyze(question, budgetMs)
  const broken: string[] = []
  const { cases } = subjectOf(question)
  const curve = (label: number) => {
    const { scalars, root } = cases.find(({ labels }) => labels.y![0] === label)!
    const tape = tapeOf(scalars, [root])
    return PLACES.map((x) => evaluate(tape, () => x)[tape.roots[0]!]!)
  }
  const [yes, no] = [curve(1), curve(-1)]
  const verdict = (name: string) => analysis.properties[name]?.verdict
  const risk = (share: number) => PLACES.map((_, i) => share * yes[i]! + (1 - share) * no[i]!)
  const least = (risks: readonly number[], test: (x: number) => boolean) =>
    Math.min(...risks.filter((_, i) => test(PLACES[i]!)))
  const tell = (name: string, what: string) =>
    broken.push(`${name}: ${what}; ${JSON.stringify(analysis.properties[name])}`)
  if (verdict('classification_calibrated') === 'proved')
    for (const share of [0.55, 0.7, 0.9]) {
      const [wrong, right] = [least(risk(share), (x) => x <= 0), least(risk(share), (x) => x > 0)]
      if (wrong < right - 1e-9) tell('classification_calibrated', `${share}: ${wrong} < ${right}`)
    }
  if (verdict('proper') === 'proved')
    for (const [i, x] of PLACES.entries()) {
      if (i % 50 !== 7) continue
      const risks = risk(1 / (1 + Math.exp(-x)))
      if (Math.min(...risks) < risks[i]! - 1e-9)
        tell('proper', `at ${x}: ${Math.min(...risks)} < ${risks[i]}`)
    }
  if (verdict('noise_tolerant') === 'proved') {
    const sums = yes.map((value, i) => value + no[i]!)
    if (Math.max(...sums) - Math.min(...sums) > 1e-9)
      tell('noise_tolerant', `${Math.min(...sums)} and ${Math.max(...sums)}`)
  }
  if (verdict('noise_tolerant') === 'refuted') {
    const sums = yes.map((value, i) => value + no[i]!)
    if (Math.max(...sums) - Math.min(...sums) < 1e-10) tell('noise_tolerant', 'all sums are equal')
  }
  return { analysis, broken }
}
