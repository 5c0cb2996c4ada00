/** Random formulas with random boxes, to be attacked: whatever is claimed over a box must hold at each of its points. */

import { type Interval, interval, point } from '../../src/analysis/interval.ts'
import { Scalars } from '../../src/analysis/scalars.ts'
import { enclose, evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { unroll } from '../../src/analysis/unroll.ts'
import { NoHessian } from '../../src/language/hessian.ts'
import { interpret } from '../../src/language/interpret.ts'
import { elementsOf, type Program, sizesWithRenamedAxes } from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { SCOPE } from './formulas.ts'

type Random = () => number

const LEAVES = [
  'x',
  'x',
  'x',
  'y',
  'v',
  's',
  '0.5',
  '2',
  '-1',
  '3',
  '0.1',
  'pick(x, i, columns)',
  'index(columns)',
]
const UNARY = [
  'exp',
  'expm1',
  'exp_tail',
  'log',
  'log1p',
  'log2',
  'log10',
  'sqrt',
  'safe_sqrt',
  'sigmoid',
  'tanh',
  'softplus',
  'sign',
  'floor',
  'ceil',
  'round',
  'sin',
  'cos',
  'atan',
  'asin',
  'acos',
  'erf',
  'lgamma',
  'digamma',
  'trigamma',
  'relu',
  'abs',
  'square',
  'logsigmoid',
  'silu',
  'stop_gradient',
  '-',
  '1 / ',
  '0.3 * ',
]
const BINARY = [
  '+',
  '-',
  '*',
  '+',
  '-',
  '*',
  '/',
  'max',
  'min',
  'logaddexp',
  'weigh',
  'xlogy',
  'atan2',
  'lbeta',
  '^',
]
const EXPONENTS = ['2', '3', '-1', '-2', '0.5', '1.5', '0', 's', 'y']
const AXIS = [
  'sum',
  'mean',
  'max',
  'min',
  'logsumexp',
  'softmax',
  'log_softmax',
  'norm',
  'cumsum',
  'sort',
  'var',
]
const TESTS = ['<', '<=', '==', '>']

const from = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!

/** A formula over the matrices x and y, the vector v, the scalar s and the indices i. */
export function randomFormula(random: Random, depth = 4): string {
  if (depth === 0 || random() < 0.12) return from(random, LEAVES)
  const inner = () => randomFormula(random, depth - 1)
  const kind = random()
  if (kind < 0.4) return `${from(random, UNARY)}(${inner()})`
  if (kind < 0.72) return binary(random, inner)
  if (kind < 0.85) return `(${inner()} ${from(random, TESTS)} ${inner()} ? ${inner()} : ${inner()})`
  if (kind > 0.97) return `shift(x * 0.1 + ${inner()}, ${from(random, ['1', '-1', '2', '-4'])}, columns)`
  if (kind > 0.96) return `soft_dtw(x * 0.1 + ${inner()}, 0.5, rows, columns)`
  return `${from(random, AXIS)}(x * 0.1 + ${inner()}, columns)`
}

function binary(random: Random, inner: () => string): string {
  const op = from(random, BINARY)
  if (op === '^') return `(${inner()}) ^ ${from(random, EXPONENTS)}`
  return op.length > 1 ? `${op}(${inner()}, ${inner()})` : `(${inner()} ${op} ${inner()})`
}

const SIZES = { rows: 1, columns: 3 } as const

export interface Boxes {
  readonly real: ReadonlyMap<string, readonly Interval[]>
  readonly scalar: Interval
  readonly index: number
}

/** Some boxes are points, some touch 0 or end there, some are wide. */
export function randomBoxes(random: Random): Boxes {
  const draw = (): Interval => {
    const kind = random()
    const [centre, radius] = [6 * random() - 3, 10 ** (4 * random() - 3)]
    if (kind < 0.15) return point(Math.round(2 * centre) / 2)
    if (kind < 0.3) return interval(0, Math.abs(centre))
    if (kind < 0.4) return interval(-Math.abs(centre), 0)
    return interval(centre - radius, centre + radius)
  }
  const real = new Map(
    ['x', 'y', 'v'].map((name) => [name, Array.from({ length: name === 'v' ? 1 : 3 }, draw)]),
  )
  return { real, scalar: point(Math.round(8 * random() - 4) / 2), index: Math.floor(random() * 4) - 1 }
}

/** The value, the gradient and the second derivative by x, if there is one. */
export function attacked(text: string): Program {
  const formula = parse(text)
  try {
    return lower(formula, SCOPE, ['x'], undefined, ['x'])
  } catch (error) {
    if (!(error instanceof NoHessian)) throw error
    return lower(formula, SCOPE, ['x'])
  }
}

export interface Broken {
  readonly what: string
  readonly got: number
  readonly bounds: Interval
}

/** Points of the boxes at which a result of the program is not in its enclosure. */
export function brokenEnclosures(program: Program, boxes: Boxes, random: Random, points: number): Broken[] {
  const scalars = new Scalars(false)
  const box = new Map<string, Interval>()
  const sizes = sizesWithRenamedAxes(program, SIZES)
  const input = (name: string, axes: readonly string[]) =>
    Array.from({ length: elementsOf(axes, sizes) }, (_, place) => {
      if (name === 'i') return scalars.constant(boxes.index)
      box.set(`${name}.${place}`, boxes.real.get(name)![place]!)
      return scalars.variable(`${name}.${place}`)
    })
  const leaves = {
    sizes,
    input,
    scalar: () => scalars.constant(boxes.scalar.lo),
    cotangent: () => scalars.constant(1),
  }
  const results = new Map([['value', program.value], ...Object.entries(program.gradients)])
  const roots = unroll(program, [...results.values()], leaves, scalars)
  const tape = tapeOf(scalars, roots.flat())
  const enclosures = enclose(tape, box)
  const bounds = tape.roots.map((root) => enclosures[root]!)
  return Array.from({ length: points }, () => drawn(boxes, random)).flatMap((inputs) => {
    const args = {
      sizes: SIZES,
      inputs: { ...inputs, i: Int32Array.of(boxes.index) },
      scalars: { s: boxes.scalar.lo },
    }
    const found = interpret(program, args)
    const at = (name: string) => inputs[name.split('.')[0]!]![Number(name.split('.')[1])]!
    const hasValues = evaluate(tape, at).every(Number.isFinite)
    const values = [...results.keys()].flatMap((name) =>
      Array.from(name === 'value' ? found.values : found.gradients[name]!),
    )
    return values.flatMap((got, place) => {
      const bound = bounds[place]!
      return holds(bound, got, hasValues)
        ? []
        : [
            {
              what: `${[...results.keys()]} at ${place}, x = ${inputs.x}, y = ${inputs.y}, v = ${inputs.v}`,
              got,
              bounds: bound,
            },
          ]
    })
  })
}

/** Where an enclosure is partial, it only says what values there can be where every operation has one. */
function holds(bounds: Interval, got: number, hasValues: boolean): boolean {
  if (bounds.partial && !hasValues) return true
  return bounds.lo <= got && got <= bounds.hi
}

function drawn(boxes: Boxes, random: Random): Record<string, Float64Array> {
  const within = ({ lo, hi }: Interval) => {
    const kind = random()
    return kind < 0.15 ? lo : kind < 0.3 ? hi : Math.min(hi, Math.max(lo, lo + (hi - lo) * random()))
  }
  return Object.fromEntries([...boxes.real].map(([name, own]) => [name, Float64Array.from(own, within)]))
}

const ELEMENT_LEAVES = ['x', 'x', 'x', 'x - y', 'x - y', 'y', '0.5', '2', '-1', '3', '0.1']
const ELEMENT_UNARY = UNARY.filter((name) => name !== 'stop_gradient')

/** A formula of one element x and one target y. */
export function randomElementFormula(random: Random, depth = 3): string {
  if (depth === 0 || random() < 0.15) return from(random, ELEMENT_LEAVES)
  const inner = () => randomElementFormula(random, depth - 1)
  const kind = random()
  if (kind < 0.45) return `${from(random, ELEMENT_UNARY)}(${inner()})`
  if (kind < 0.85) {
    const op = from(random, BINARY)
    if (op === '^') return `(${inner()}) ^ ${from(random, ['2', '3', '-1', '0.5', '1.5', '4'])}`
    return op.length > 1 ? `${op}(${inner()}, ${inner()})` : `(${inner()} ${op} ${inner()})`
  }
  return `(${inner()} ${from(random, TESTS)} ${inner()} ? ${inner()} : ${inner()})`
}

/** Losses that people write, joined at random: proofs succeed for many of them. */
export function randomLikelyFormula(random: Random): string {
  const e = from(random, ['(x - y)', '(x - y) / 2', '(y - x)', 'x', '(2 * x - 1)'])
  const shape = () =>
    from(random, [
      `abs(${e})`,
      `(${e})^2`,
      `softplus(${e})`,
      `relu(${e})`,
      `relu(1 - ${e})^2`,
      `log1p((${e})^2)`,
      `exp(-(${e}))`,
      `tanh(${e})^2`,
      `min(abs(${e}), 1)`,
      `min((${e})^2, 2)`,
      `max(abs(${e}) - 0.5, 0)`,
      `sqrt(1 + (${e})^2)`,
      `abs(${e})^1.5`,
      `atan((${e})^2)`,
      `(abs(${e}) < 1 ? (${e})^2 / 2 : abs(${e}) - 0.5)`,
      `(abs(${e}) < 1 ? (${e})^2 : 1)`,
      `(${e} > 0 ? 3 * ${e} : -(${e}))`,
      `expm1(abs(${e}))`,
      `logaddexp(${e}, 0.5)`,
      `sigmoid(${e})`,
      `floor(${e})`,
      `abs(abs(${e}) - 1)`,
      `exp_tail(${e})`,
      `erf(${e})`,
      `(${e} > 1 ? ${e} : (${e})^2)`,
    ])
  const weight = () => from(random, ['', '0.5 * ', '2 * ', '-', '0.1 * '])
  const terms = Array.from({ length: 1 + Math.floor(random() * 3) }, () => `${weight()}${shape()}`)
  const sum = terms.join(' + ')
  const outer = random()
  return outer < 0.12
    ? `max(${sum}, ${shape()})`
    : outer < 0.2
      ? `(${sum}) * ${shape()}`
      : outer < 0.26
        ? `exp(${sum})`
        : outer < 0.3
          ? `(x < y ? ${sum} : ${shape()})`
          : sum
}
