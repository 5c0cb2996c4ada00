/**
 * Checks a gradient in four ways: the one that a caller got, reverse mode in float64, the complex step, and central
 * differences extrapolated by Richardson. Places next to a kink are left out, because no difference tells a slope
 * there.
 */

import { interpret } from '../language/interpret.ts'
import { elementsOf, type Program, sizesWithRenamedAxes, valueAxes } from '../language/ir.ts'
import { offsetsOf } from '../language/strides.ts'
import type { NumericArray } from '../tensor.ts'
import { complexValue } from './complex.ts'
import { Scalars } from './scalars.ts'
import { type Tape, tapeOf } from './tape.ts'
import { isOpaque, unroll } from './unroll.ts'

export interface GradientCheck {
  /** The value, and the gradient (and second derivative) of the input. */
  readonly program: Program
  readonly sizes: Readonly<Record<string, number>>
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
  readonly of: string
  /** The gradient of the sum of all values that the service computed in float32. */
  readonly served: ArrayLike<number> | undefined
  /** The axis along which no value depends on another, if there is one: then some of many rows are enough. */
  readonly rowAxis?: string | undefined
}

/** One way to compute derivatives, compared with reverse mode in float64. */
export interface Compared {
  /** `n/a`: it cannot be computed this way. */
  readonly passes: boolean | 'n/a'
  readonly tolerance: string
  /** Elements that were compared. */
  readonly compared: number
  /** Where it differs most, as a share of what is allowed. */
  readonly worst?: {
    readonly element: number
    readonly input: number
    readonly got: number
    readonly expected: number
  }
}

export interface CheckReport {
  readonly passes: boolean
  readonly elements: number
  readonly served: Compared
  readonly complexStep: Compared
  readonly differences: Compared
  /** Differences of the gradient against the second derivative. */
  readonly secondDerivative: Compared
  /** Elements next to a kink or jump. */
  readonly leftOut: readonly { readonly element: number; readonly input: number; readonly zone: number }[]
}

/** Elements that are compared, at most; evenly from the first to the last. */
const MOST = 64

/**
 * @example
 * checkGradient({ program, sizes: { rows: 2 }, inputs, scalars: {}, of: 'predictions', served: undefined }).passes
 */
export function checkGradient(whole: GradientCheck): CheckReport {
  const { check, rows, block } = someRows(whole)
  const report = checkRows(check)
  if (rows === undefined) return { ...report, elements: whole.inputs[whole.of].length }
  const named = (element: number) => rows[Math.floor(element / block)] * block + (element % block)
  const renamed = (compared: Compared): Compared =>
    compared.worst === undefined
      ? compared
      : { ...compared, worst: { ...compared.worst, element: named(compared.worst.element) } }
  return {
    ...report,
    elements: whole.inputs[whole.of].length,
    served: renamed(report.served),
    complexStep: renamed(report.complexStep),
    differences: renamed(report.differences),
    secondDerivative: renamed(report.secondDerivative),
    leftOut: report.leftOut.map((one) => ({ ...one, element: named(one.element) })),
  }
}

/** Rows that are checked, at most. */
const MOST_ROWS = 128

interface SomeRows {
  readonly check: GradientCheck
  /** The rows that were taken, of many. */
  readonly rows?: readonly number[]
  /** Elements of a row. */
  readonly block: number
}

/** Evenly from the first row to the last. */
function someRows(whole: GradientCheck): SomeRows {
  const { rowAxis, program, sizes, inputs, served, of } = whole
  const count = rowAxis === undefined ? 0 : sizes[rowAxis]
  const layouts = Object.entries(program.inputs)
  const isFirst = layouts.every(([, { axes }]) => !axes.includes(rowAxis!) || axes[0] === rowAxis)
  if (count <= MOST_ROWS || !isFirst || program.inputs[of]?.axes[0] !== rowAxis)
    return { check: whole, block: 1 }
  const rows = Array.from({ length: MOST_ROWS }, (_, i) => Math.floor((i * count) / MOST_ROWS))
  const taken = <T extends ArrayLike<number>>(data: T): Float64Array => {
    const block = data.length / count
    const result = new Float64Array(rows.length * block)
    for (const [i, row] of rows.entries())
      for (let k = 0; k < block; k++) result[i * block + k] = Number(data[row * block + k])
    return result
  }
  const some = layouts.map(([name, { axes }]) => [
    name,
    axes[0] === rowAxis ? taken(inputs[name] as ArrayLike<number>) : inputs[name],
  ])
  return {
    check: {
      ...whole,
      sizes: { ...sizes, [rowAxis!]: rows.length },
      inputs: { ...inputs, ...Object.fromEntries(some) },
      served: served === undefined ? undefined : taken(served),
    },
    rows,
    block: inputs[of].length / count,
  }
}

function checkRows(check: GradientCheck): CheckReport {
  const own = check.inputs[check.of]
  const elements = Array.from({ length: Math.min(MOST, own.length) }, (_, i) =>
    Math.floor((i * own.length) / Math.min(MOST, own.length)),
  )
  const { gradients } = run(check, own)
  const reverse = gradients[check.of]
  const slopes = elements.map((element) => differenceAt(check, element, ({ values }) => values))
  const leftOut = elements.flatMap((element, i) =>
    slopes[i].isKink ? [{ element, input: Number(own[element]), zone: 2 * slopes[i].step }] : [],
  )
  const inside = elements.filter((_, i) => !slopes[i].isKink)
  const at = new Map(elements.map((element, i) => [element, slopes[i].value]))
  const { served } = check
  const report = {
    elements: own.length,
    served: compare(
      served === undefined ? [] : Array.from(own, (_, element) => element),
      (e) => served![e],
      reverse,
      own,
      { relative: 2e-5, absolute: 1e-6 },
      served === undefined,
    ),
    complexStep: complexStep(check, inside, reverse),
    differences: compare(inside, (e) => at.get(e)!, reverse, own, { relative: 1e-6, absolute: 1e-7 }),
    secondDerivative: secondDerivative(check, inside, gradients),
    leftOut,
  }
  const { served: first, complexStep: second, differences, secondDerivative: last } = report
  return { passes: [first, second, differences, last].every(({ passes }) => passes !== false), ...report }
}

function run(check: GradientCheck, own: NumericArray) {
  const { program, sizes, inputs, scalars, of } = check
  return interpret(program, { sizes, inputs: { ...inputs, [of]: own }, scalars })
}

interface Difference {
  readonly value: number
  readonly step: number
  /** Whether the slopes on both sides differ by more than their curvature explains. */
  readonly isKink: boolean
}

/** Central differences with steps h, h/2 and h/4, extrapolated. */
function differenceAt(
  check: GradientCheck,
  element: number,
  measure: (values: ReturnType<typeof run>) => ArrayLike<number>,
): Difference {
  const own = Float64Array.from(check.inputs[check.of])
  const centre = own[element]
  const step = 2e-3 * Math.max(1e-2, Math.min(1, Math.abs(centre) || 1))
  const value = (x: number) => {
    own[element] = x
    return measure(run(check, own))
  }
  const here = value(centre)
  const around = [step, step / 2, step / 4].map((h) => changes(value(centre + h), here, value(centre - h), h))
  const [d1, d2, d3] = around.map(({ slope }) => slope)
  const sides = around.map(({ turn }) => turn)
  const [first, second] = [d2 + (d2 - d1) / 3, d3 + (d3 - d2) / 3]
  // The difference of the one-sided slopes halves with the step, unless there is a kink.
  const isKink =
    Math.abs(sides[2]) > 1e-5 &&
    Math.abs(sides[2]) > 0.3 * Math.abs(sides[1]) + 1e-9 &&
    Math.abs(sides[1] - 2 * sides[2]) > 0.2 * Math.abs(sides[1])
  const isRough = Math.abs(d1 - d2) > 1e-9 && Math.abs(d2 - d3) > 0.4 * Math.abs(d1 - d2)
  return {
    value: second + (second - first) / 15,
    step,
    isKink: isKink || isRough || !Number.isFinite(second),
  }
}

/**
 * The slope, and by how much it turns. What one element changes is subtracted value by value: the sum of many others
 * would only add its rounding.
 */
function changes(up: ArrayLike<number>, here: ArrayLike<number>, down: ArrayLike<number>, h: number) {
  let [rise, turn] = [0, 0]
  let [isMoved, isUndefined] = [false, false]
  for (let i = 0; i < here.length; i++) {
    isUndefined ||= Number.isNaN(here[i])
    if (Object.is(up[i], here[i]) && Object.is(down[i], here[i])) continue
    isMoved = true
    rise += up[i] - down[i]
    turn += up[i] - here[i] - (here[i] - down[i])
  }
  // Nothing moves a value that is undefined, so nothing is known of it.
  return !isMoved && isUndefined
    ? { slope: Number.NaN, turn: Number.NaN }
    : { slope: rise / (2 * h), turn: turn / h }
}

interface Tolerance {
  readonly relative: number
  readonly absolute: number
}

function compare(
  elements: readonly number[],
  got: (element: number) => number,
  reverse: ArrayLike<number>,
  own: NumericArray,
  { relative, absolute }: Tolerance,
  isMissing = false,
): Compared {
  const tolerance = `${relative} relative + ${absolute} absolute`
  if (isMissing) return { passes: 'n/a', tolerance, compared: 0 }
  let [worst, share] = [-1, -1]
  for (const element of elements) {
    const [a, b] = [got(element), reverse[element]]
    const off = Object.is(a, b) || a === b ? 0 : Math.abs(a - b) / (absolute + relative * Math.abs(b))
    if (!(off <= share)) [worst, share] = [element, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off]
  }
  if (worst < 0) return { passes: true, tolerance, compared: 0 }
  return {
    passes: share <= 1,
    tolerance,
    compared: elements.length,
    worst: { element: worst, input: Number(own[worst]), got: got(worst), expected: reverse[worst] },
  }
}

/** The step is far below the precision of any number that it is added to. */
const COMPLEX_STEP = 1e-30

function complexStep(
  check: GradientCheck,
  elements: readonly number[],
  reverse: ArrayLike<number>,
): Compared {
  const own = check.inputs[check.of]
  const tolerance = { relative: 1e-9, absolute: 1e-12 }
  const tape = valueTape(check)
  const found = new Map<number, number>()
  for (const element of tape === undefined ? [] : elements) {
    const name = `${check.of}.${element}`
    const value = complexValue(tape!, (other) => {
      const [input, place] = splitName(other)
      return { re: Number(check.inputs[input][place]), im: other === name ? COMPLEX_STEP : 0 }
    })
    if (value === undefined) return compare([], () => 0, reverse, own, tolerance, true)
    found.set(element, value.im / COMPLEX_STEP)
  }
  return compare(elements, (element) => found.get(element)!, reverse, own, tolerance, tape === undefined)
}

function splitName(name: string): readonly [string, number] {
  const dot = name.lastIndexOf('.')
  return [name.slice(0, dot), Number(name.slice(dot + 1))]
}

/** The sum of all values as scalars; undefined if there are too many. */
function valueTape({ program, sizes, inputs, scalars }: GradientCheck): Tape | undefined {
  const into = new Scalars(false)
  const all = sizesWithRenamedAxes(program, sizes)
  if (elementsOf(valueAxes(program), all) > 2000 || program.nodes.some(({ op }) => isOpaque(op)))
    return undefined
  const input = (name: string, axes: readonly string[]) => {
    const places = offsetsOf(all, axes, program.inputs[name].axes)
    const isIndex = program.inputs[name].type === 'index'
    return Array.from(places, (place) =>
      isIndex ? into.constant(Number(inputs[name][place])) : into.variable(`${name}.${place}`),
    )
  }
  const leaves = {
    sizes: all,
    input,
    scalar: (name: string) => into.constant(scalars[name]),
    cotangent: () => into.constant(1),
  }
  try {
    const [values] = unroll(program, [program.value], leaves, into)
    return tapeOf(into, [into.sum(values)])
  } catch {
    return undefined
  }
}

/** Differences of the gradient of one element by that element. */
function secondDerivative(
  check: GradientCheck,
  elements: readonly number[],
  gradients: Readonly<Record<string, ArrayLike<number>>>,
): Compared {
  const hessian = gradients[`hessian.${check.of}`]
  const own = check.inputs[check.of]
  const tolerance = { relative: 1e-5, absolute: 1e-6 }
  if (hessian === undefined) return compare([], () => 0, [], own, tolerance, true)
  const found = new Map<number, number>()
  for (const element of elements) {
    const difference = differenceAt(check, element, ({ gradients: slopes }) => [slopes[check.of][element]])
    if (!difference.isKink) found.set(element, difference.value)
  }
  return compare([...found.keys()], (element) => found.get(element)!, hessian, own, tolerance)
}
