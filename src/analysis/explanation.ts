/**
 * What a loss does, for people: sentences from the verdicts, and curves of loss, gradient and second derivative over
 * the residual, margin or logit. No sentence is written for a particular loss.
 */
import { type Analysis, analyzeWithCurves, type Progress } from './analyze.ts'
import { clockOf } from './clock.ts'
import { type Curve, lineOf, RESIDUAL } from './curves.ts'
import { middle, point } from './interval.ts'
import { piecesOf } from './pieces.ts'
import { kinksOf } from './properties/smoothness.ts'
import { boundsOver } from './shape.ts'
import { type AnalysisRequest, subjectOf } from './subject.ts'
import { valueAt } from './tape.ts'
import type { Evidence, Finding } from './verdict.ts'

export interface PlottedCurve {
  /** The other inputs, as in `targets = 1`. */
  readonly label: string
  readonly places: readonly number[]
  readonly loss: readonly (number | null)[]
  readonly slope: readonly (number | null)[]
  readonly bend: readonly (number | null)[]
  /** Where the slope jumps. */
  readonly kinks: readonly { readonly at: number; readonly left: number; readonly right: number }[]
  /** Where the formula changes: slope or second derivative may jump. */
  readonly joints: readonly number[]
}

export interface Explanation {
  readonly loss: string
  /** What the plots are over: `residual`, or the input. */
  readonly over: string
  readonly sentences: readonly {
    readonly property: string
    readonly verdict: string
    readonly text: string
  }[]
  readonly curves: readonly PlottedCurve[]
  readonly analysis: Analysis
}

const number = (x: unknown): string => (typeof x === 'number' ? String(Number(x.toPrecision(4))) : '?')

type Sentence = (finding: Finding) => string

/** Property -> what it means, if it holds and if it does not. */
const SENTENCES: Readonly<Record<string, { readonly holds: Sentence; readonly fails: Sentence }>> = {
  finite: {
    holds: () => 'Value and gradient are finite on the whole domain.',
    fails: ({ evidence }) => `The ${evidence.what ?? 'value'} is not finite at some inputs.`,
  },
  continuous: {
    holds: () => 'The loss never jumps.',
    fails: ({ evidence }) =>
      `The loss jumps at ${number(evidence.at)}, from ${number(evidence.left)} to ${number(evidence.right)}.`,
  },
  differentiable: {
    holds: () => 'The gradient exists everywhere and does not jump.',
    fails: ({ evidence }) => {
      const kinks = (evidence.kinks ?? []) as readonly { at: number; left: number; right: number }[]
      if (kinks.length === 0) return 'The gradient jumps at some inputs.'
      return `The slope jumps: ${kinks.map(({ at, left, right }) => `at ${number(at)} from ${number(left)} to ${number(right)}`).join(', ')}.`
    },
  },
  lipschitz: {
    holds: ({ evidence }) => `The gradient is never larger than ${number(evidence.bound)} on the domain.`,
    fails: () => 'The gradient has no bound.',
  },
  smooth: {
    holds: ({ evidence }) =>
      `The gradient changes by at most ${number(evidence.bound)} times a change of the input; gradient descent is stable up to a step of ${number(evidence.largestStableStep)}.`,
    fails: () => 'The gradient changes abruptly, so no fixed step is stable next to the minimum.',
  },
  convex: {
    holds: () => 'It is convex: every local minimum in this input is global.',
    fails: () => 'It is not convex: some chord lies below the loss.',
  },
  quasiconvex: {
    holds: () => 'It falls to its minimum and rises from there: it has one valley.',
    fails: () => 'It has more than one valley.',
  },
  bounded_below: {
    holds: ({ evidence }) => `It is never below ${number(evidence.bound)}.`,
    fails: () => 'It has no lower bound.',
  },
  zero_at_target: {
    holds: () => 'A prediction equal to the target costs nothing.',
    fails: () => 'A prediction equal to the target still costs something.',
  },
  minimum_at_target: {
    holds: () => 'Nothing costs less than a prediction equal to the target.',
    fails: () => 'Some prediction costs less than the target itself.',
  },
  symmetric: {
    holds: () => 'Too much and too little cost the same.',
    fails: () => 'Too much and too little cost differently.',
  },
  translation_invariant: {
    holds: () => 'Only the difference of prediction and target counts.',
    fails: () => 'The same difference costs differently at different targets.',
  },
  bounded_influence: {
    holds: () => 'A single target, however far away, has a bounded influence.',
    fails: () => 'A single target that is far enough away outweighs all others.',
  },
  redescending: {
    holds: () => 'The influence of far targets fades to 0: they are ignored in the end.',
    fails: () => 'Far targets keep their influence.',
  },
  robust: {
    holds: ({ evidence }) =>
      `Its location estimate survives up to ${number(Number(evidence.breakdown) * 100)} % of bad data.`,
    fails: () => 'One bad target is enough to spoil its location estimate.',
  },
  efficiency: {
    holds: ({ evidence }) =>
      `For Gaussian data it is ${number(Number(evidence.efficiency) * 100)} % as efficient as the mean.`,
    fails: () => '',
  },
  estimates: {
    holds: ({ evidence }) => estimateOf(evidence),
    fails: () => '',
  },
  classification_calibrated: {
    holds: () => 'With enough data the sign of its best prediction is that of the more likely class.',
    fails: () => 'Its best prediction may have the sign of the less likely class.',
  },
  proper: {
    holds: ({ evidence }) =>
      `It is least at the true probability${evidence.link === 'sigmoid' ? ', through a sigmoid' : ''}.`,
    fails: () => 'Its best prediction is not the true probability.',
  },
  noise_tolerant: {
    holds: () => 'Uniform label noise does not move its minimum.',
    fails: () => 'Uniform label noise moves its minimum.',
  },
  saturates: {
    holds: ({ evidence }) =>
      `From ${number(evidence.from)} to ${number(evidence.to)} the gradient is 0 although the loss is not least.`,
    fails: () => 'No prediction that could be better has gradient 0 on a whole interval.',
  },
  equivalent_to: {
    holds: ({ evidence }) =>
      `It is ${multiple(evidence.factor)}${evidence.loss}${withParams(evidence.params)}.`,
    fails: () => '',
  },
  float32: {
    holds: ({ evidence }) => floatsOf('float32', evidence),
    fails: () => '',
  },
  float16: {
    holds: ({ evidence }) => floatsOf('float16', evidence),
    fails: () => '',
  },
}

function floatsOf(format: string, { largestInput, digits }: Evidence): string {
  const range = `Inputs up to ${number(largestInput)} overflow nowhere in ${format}`
  return typeof digits === 'number' && digits > 0
    ? `${range}; on the domain, ${digits} digits of value and gradient are right.`
    : `${range}.`
}

function estimateOf({ of, level, link, smoothedBy }: Evidence): string {
  if (of === 'location (M-estimator)')
    return 'The best constant prediction is an M-estimate of the location of the targets.'
  const how = [
    level === undefined ? '' : ` at level ${number(level)}`,
    smoothedBy === undefined ? '' : `, smoothed by the kernel ${smoothedBy}`,
  ].join('')
  const name = link === undefined ? of : link === 'identity' ? 'mean' : `mean through a ${link} link`
  return `The best constant prediction is the ${name}${how} of the targets.`.replace(
    /(, smoothed by .*?) of the targets/,
    ' of the targets$1',
  )
}

const multiple = (factor: unknown) => (factor === 1 ? '' : `${number(factor)} times `)

function withParams(params: unknown): string {
  const parts = Object.entries((params ?? {}) as Record<string, unknown>).map(
    ([name, value]) => `${name} ${value}`,
  )
  return parts.length === 0 ? '' : ` with ${parts.join(', ')}`
}

function sentenceOf(property: string, finding: Finding) {
  const { holds, fails } = SENTENCES[property]
  if (finding.verdict === 'unknown') return undefined
  const text = finding.verdict === 'refuted' ? fails(finding) : holds(finding)
  const hedge = finding.verdict === 'supported' ? `${text} (Not proved: ${finding.method}.)` : text
  return text === '' ? undefined : { property, verdict: finding.verdict, text: hedge }
}

/** Points of a plot. */
const POINTS = 241
/** Plots show what happens near the minimum. */
const SHOWN = 6
const MAX_PLOTS = 6

/**
 * @throws FormulaError, TooManyScalars, RangeError
 * @example
 * explain({ loss: huber, ... }, 500).sentences[0].text // 'Value and gradient are finite on the whole domain.'
 */
export function explain(
  question: AnalysisRequest,
  budgetMs: number,
  tell?: (progress: Progress) => void,
): Explanation {
  const { analysis, curves } = analyzeWithCurves(question, budgetMs, undefined, tell)
  const sentences = Object.entries(analysis.properties).flatMap(
    ([property, verdict]) => sentenceOf(property, verdict) ?? [],
  )
  const rows = curves.length === 0 ? rowCurves(question) : undefined
  return {
    loss: analysis.loss,
    over: rows?.over ?? (curves[0]?.isResidual ? RESIDUAL : question.of),
    sentences,
    curves: (rows?.curves ?? curves).slice(0, MAX_PLOTS).map(plotOf),
    analysis,
  }
}

/** For the pieces of the curves of a row. */
const ROW_MS = 100
/** Labels of a row that are shown. */
const MAX_LABELS = 2

/** Of a loss of rows: the first number of a row varies, and the others stay where they are. */
function rowCurves(question: AnalysisRequest): { readonly over: string; readonly curves: readonly Curve[] } {
  const { cases } = subjectOf(question)
  const [{ by, box }] = cases
  const [first, ...others] = by
  const fixed = new Map(
    [...box].flatMap(([name, range]) => (name === first ? [] : [[name, middle(range)] as const])),
  )
  const curves = cases.slice(0, MAX_LABELS).map(({ scalars, root, labels }) => {
    const moved = scalars.replace(root, (id) => {
      const value = scalars.nodes[id].op === 'variable' ? fixed.get(scalars.nodes[id].name!) : undefined
      return value === undefined ? undefined : scalars.constant(value)
    })
    const points = [...fixed].map(([name, value]) => [name, point(value)] as const)
    const line = lineOf(scalars, { root: moved, box: new Map([...box, ...points]), variable: first })
    return {
      scalars,
      root: moved,
      line,
      isResidual: false,
      at: labels,
      pieces: piecesOf(line, clockOf(ROW_MS)),
    }
  })
  const same = others.length === 0 ? '' : `, the others ${number(fixed.get(others[0]))}`
  return { over: `${question.of}[0]${same}`, curves }
}

function plotOf({ line, at, pieces }: Curve): PlottedCurve {
  const [lo, hi] = [Math.max(line.lo, -SHOWN), Math.min(line.hi, SHOWN)]
  const places = Array.from({ length: POINTS }, (_, i) => lo + ((hi - lo) * i) / (POINTS - 1))
  const lossAt = (place: number) =>
    valueAt(line.tape, (name) => (name === line.variable ? place : middle(line.box.get(name) ?? point(0))))
  const derivative = (order: 1 | 2) =>
    places.map((place) => {
      const piece = pieces?.pieces.find((one) => one.lo <= place && place <= one.hi)
      return piece === undefined
        ? null
        : finiteOrNull(middle(boundsOver(pieces!, piece, order, place, place)))
    })
  return {
    label: Object.entries(at)
      .map(([name, values]) => `${name} = ${values.map((x) => Number(x.toPrecision(3)))}`)
      .join(', '),
    places,
    loss: places.map((place) => finiteOrNull(lossAt(place))),
    slope: derivative(1),
    bend: derivative(2),
    kinks: pieces === undefined ? [] : kinksOf(pieces.joints),
    joints: pieces === undefined ? [] : pieces.joints.map(({ at: place }) => place),
  }
}

const finiteOrNull = (x: number) => (Number.isFinite(x) ? Number(x.toPrecision(7)) : null)
