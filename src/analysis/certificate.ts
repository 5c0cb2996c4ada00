/**
 * How far a constant prediction can be from the best one. A convex function lies above each of its tangents, so bounds
 * of the slopes next to a point bound how much lower it can be anywhere else; enclosures make that certain.
 */
import type { Loss, Params } from '../losses/define.ts'
import { above, add, below, type Interval, interval, magnitude, mul, point, ZERO } from './interval.ts'
import { Jets } from './jets.ts'
import { Scalars } from './scalars.ts'
import { compile, elementName, elementOf } from './subject.ts'
import { tapeOf } from './tape.ts'

/** The inputs of one row but the prediction, and how much the row counts. */
export interface WeightedSample {
  readonly inputs: Readonly<Record<string, readonly number[]>>
  readonly weight: number
}

export interface Certified {
  readonly loss: Loss
  readonly params: Params
  readonly of: string
  readonly rows: readonly WeightedSample[]
  readonly constant: readonly number[]
  /** The numbers that a prediction may be. */
  readonly range: readonly [number, number]
}

/** A place counts as the minimum if the slopes this far from it say so, relative to it or to 1. */
const STEP = 1e-9
/** More than what rounding takes off a sum of positive numbers. */
const WIDER = 1 + 1e-9

/**
 * By how much the weighted mean can be lower than at the constant, anywhere in the range, if the loss is convex there.
 *
 * @returns undefined where a slope has no bounds
 */
export function certifiedGap(asked: Certified): number | undefined {
  const slopes = slopesOf(asked)
  if (slopes === undefined) return undefined
  const gap = asked.constant.length === 1 ? gapOfOne(asked, slopes) : gapOfSeveral(asked, slopes)
  return Number.isFinite(gap) ? gap : undefined
}

/** The gradient of the weighted mean at a point. */
type Slopes = (at: readonly number[]) => readonly Interval[]

function slopesOf({ loss, params, of, rows, constant }: Certified): Slopes | undefined {
  const axes = new Set(Object.values(loss.inputs).flatMap((input) => input.axes))
  const sizes = Object.fromEntries([...axes].map((axis) => [axis, axis === 'classes' ? constant.length : 1]))
  const compiled = compile({ loss, params, sizes })
  const scalars = new Scalars()
  const root = compiled.root(scalars, (name, place) => elementOf(scalars, compiled, name, place))
  const tape = tapeOf(scalars, [root])
  const by = constant.map((_, place) => elementName(of, place))
  const isComplete = tape.variables.every((name) => by.includes(name) || placeIn(rows[0], name) !== undefined)
  if (!isComplete) return undefined
  const jets = rows.map((row) => {
    const others = tape.variables.flatMap((name) => {
      const value = placeIn(row, name)
      return value === undefined ? [] : [[name, point(value)] as const]
    })
    return new Jets(tape, by, new Map(others))
  })
  const total = rows.reduce((sum, { weight }) => sum + weight, 0)
  return (at) => {
    for (const one of jets) one.run(at.map(point), 1)
    return by.map((_, place) =>
      rows.map(({ weight }, row) => mul(around(weight / total), jets[row].slope(place))).reduce(add, ZERO),
    )
  }
}

/** The share itself, which rounding may have moved. */
const around = (share: number) => interval(below(share, 2), above(share, 2))

/** An element of an input of a row. */
function placeIn({ inputs }: WeightedSample, variable: string): number | undefined {
  const dot = variable.lastIndexOf('.')
  return inputs[variable.slice(0, dot)]?.[Number(variable.slice(dot + 1))]
}

function gapOfOne({ constant: [centre], range: [low, high] }: Certified, slopes: Slopes): number {
  const step = STEP * Math.max(1, Math.abs(centre))
  const [from, to] = [Math.max(low, centre - step), Math.min(high, centre + step)]
  const [[left], [right]] = [slopes([from]), slopes([to])]
  const within = (to - from) * Math.max(magnitude(left), magnitude(right))
  const before = Math.max(0, left.hi) * (from - low)
  const after = Math.max(0, -right.lo) * (high - to)
  return (within + Math.max(before, after)) * WIDER
}

function gapOfSeveral({ constant, range: [low, high] }: Certified, slopes: Slopes): number {
  const gradient = slopes(constant)
  const terms = gradient.map(
    (slope, place) => magnitude(slope) * Math.max(constant[place] - low, high - constant[place]),
  )
  return terms.reduce((sum, term) => sum + term, 0) * WIDER
}
