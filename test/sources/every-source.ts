/** Holds the sources of a target to the service's answers. */
import type { Loss } from '../../src/losses/define.ts'
import { CannotWrite, type Target } from '../../src/sources/contract.ts'
import { sourceProgram } from '../../src/sources/program.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { Precision } from '../../src/tensor.ts'
import { type Case, type Unit, unitsOf } from './cases.ts'
import { allowedIn, compare, type Difference, type Tolerance } from './compare.ts'
import { type Arithmetic, asLoops, FLOAT32, FLOAT64, roundingBounds } from './rounding.ts'
import { columnsOf } from './rows.ts'
import type { Job, Outcome, Runner } from './runners/runner.ts'

export interface Report {
  readonly sources: number
  readonly cases: number
  readonly failures: readonly string[]
  /** Numbers that were compared, and how many of them nothing can be said of, because the arithmetic overflows. */
  readonly numbers: number
  readonly unbounded: number
  /** Loss -> why it is not written. */
  readonly refused: ReadonlyMap<string, string>
}

/** Which structures of a loss of the catalog are written: all, or that of the defaults alone. */
export type Scope = 'all' | 'defaults'

/** How far results in float64 may be off: by a tolerance, or by what an arithmetic allows (rounding.ts). In float32 always that. */
export type Bounds = Tolerance | FixedTolerance | Arithmetic

/** On ordinary and tied inputs nothing but the tolerance counts, in each precision. */
export interface FixedTolerance extends Tolerance {
  readonly isFixed: true
}

/** Writes and runs all losses that a target can say. */
export async function checkTarget(
  target: Target,
  losses: readonly Loss[],
  runner: Runner,
  precision: Precision,
  bounds: Bounds,
  dialect?: string,
  scope: Scope = 'all',
): Promise<Report> {
  const refused = new Map<string, string>()
  const jobs = losses.flatMap((loss) => jobsOf(target, loss, precision, refused, dialect, scope))
  const outcomes = await runner.run(jobs, precision)
  return { ...reportOf(target, jobs, outcomes, precision, bounds), refused }
}

export function reportOf(
  target: Target,
  jobs: readonly Job[],
  outcomes: readonly (readonly Outcome[])[],
  precision: Precision,
  bounds: Bounds,
): Omit<Report, 'refused'> {
  const judged = jobs.flatMap(({ unit }, place) =>
    unit.cases.map((one, at) => judge(unit, one, outcomes[place]![at], precision, bounds, target)),
  )
  const total = (of: (found: Judged) => number) => judged.reduce((sum, found) => sum + of(found), 0)
  return {
    sources: jobs.length,
    cases: judged.length,
    failures: judged.flatMap((found) => found.failures),
    numbers: total((found) => found.numbers),
    unbounded: total((found) => found.unbounded),
  }
}

export function jobsOf(
  target: Target,
  loss: Loss,
  precision: Precision,
  refused: Map<string, string>,
  dialect?: string,
  scope: Scope = 'all',
): Job[] {
  const units = unitsOf(loss, precision)
  const isAll = scope === 'all' && loss.family !== 'custom'
  return (isAll ? units : units.slice(0, 1)).flatMap((unit, place) => {
    // Go knows no two packages whose names differ in case alone, and modules of Rust have small letters.
    const word = loss.name.replaceAll(/\W/g, '_').replaceAll(/[A-Z]/g, 'capital_$&')
    const id = `${word.toLowerCase()}_${place}`
    try {
      const options = {
        precision,
        ...(dialect === undefined ? {} : { dialect, columns: columnsOf(unit) }),
      }
      const { text, name } = writeSource(target, { ...unit.request, options })
      return [{ unit, id, name, text }]
    } catch (error) {
      if (!(error instanceof CannotWrite)) throw error
      refused.set(loss.name, error.message)
      return []
    }
  })
}

/** One result of a case. */
interface Result {
  readonly what: string
  readonly got: ArrayLike<number> | undefined
  readonly want: ArrayLike<number>
  readonly allowed: (place: number) => number
}

type Judged = Pick<Report, 'failures' | 'numbers' | 'unbounded'>

function judge(
  unit: Unit,
  one: Case,
  outcome: Outcome | undefined,
  precision: Precision,
  bounds: Bounds,
  target: Target,
): Judged {
  const label = `${unit.label}, ${one.label}`
  if (outcome === undefined) return { failures: [`${label}: has no outcome`], numbers: 0, unbounded: 0 }
  const results = resultsOf(one, outcome, allowanceOf(unit, one, precision, bounds, target))
  const compared = results.map(({ got = [], want, allowed }) => compare({ got, want, allowed }))
  const wrong = compared.flatMap(({ difference }, place) =>
    difference === undefined ? [] : [differs(results[place]!.what, difference)],
  )
  return {
    failures: [...wrong, ...(outcome.problems ?? [])].map((fault) => `${label}: ${fault}`),
    numbers: results.reduce((total, { want }) => total + want.length, 0),
    unbounded: compared.reduce((total, { unbounded }) => total + unbounded, 0),
  }
}

function allowanceOf(
  unit: Unit,
  one: Case,
  precision: Precision,
  bounds: Bounds,
  { family }: Target,
): Allowance {
  if ('isFixed' in bounds) return fixedAllowance(unit, one, precision, bounds, family)
  if (precision === 'float32') return roundings(unit, one, family, FLOAT32)
  if ('rounding' in bounds) return roundings(unit, one, family, bounds)
  const derived = roundings(unit, one, family, FLOAT64)
  const strict = tolerances(unit, one, bounds)
  const loose = larger(strict, derived)
  // The losses of the catalog are well conditioned, in contrast to what a formula may be; but what a denormal lacks may be
  // multiplied by the largest number.
  const isOwn = unit.request.loss.family === 'custom'
  const own = isOwn ? loose : one.label === 'any size' ? larger(strict, finite(derived)) : strict
  return { ...derived, ...own, reduced: loose }
}

/** On inputs of any size also what the arithmetic allows, as terms may cancel or overflow. */
function fixedAllowance(
  unit: Unit,
  one: Case,
  precision: Precision,
  bounds: FixedTolerance,
  family: Target['family'],
): Allowance {
  const { tolerance, smallest } = bounds
  const strict = tolerances(unit, one, bounds)
  const reduction = { reducing: tolerance, smallest: tolerance * smallest }
  if (one.label === 'ordinary' || one.label === 'tied') return { ...strict, reduced: strict, ...reduction }
  const arithmetic = precision === 'float32' ? FLOAT32 : FLOAT64
  const loose = larger(strict, roundings(unit, one, family, arithmetic))
  return { ...loose, reduced: loose, ...reduction }
}

type Allowed = Allowance['reduced']

/** Where the arithmetic overflows, the stricter bound stays. */
const finite = (of: Allowed): Allowed => ({
  values: (place) => (Number.isFinite(of.values(place)) ? of.values(place) : 0),
  gradients: (name) => {
    const own = of.gradients(name)
    return (place) => (Number.isFinite(own(place)) ? own(place) : 0)
  },
})

/** A part of NaN is none, and leaves what the other bound says. */
const most = (a: number, b: number) => Math.max(Number.isNaN(a) ? 0 : a, Number.isNaN(b) ? 0 : b)

const larger = (a: Allowed, b: Allowed): Allowed => ({
  values: (place) => most(a.values(place), b.values(place)),
  gradients: (name) => {
    const [x, y] = [a.gradients(name), b.gradients(name)]
    return (place) => most(x(place), y(place))
  },
})

function differs(what: string, { place, got, want, allowed }: Difference): string {
  return `${what}[${place}] is ${got}, not ${want} within ${allowed.toPrecision(2)}`
}

/** How far each number of the unreduced results may be off. */
interface Allowance {
  readonly values: (place: number) => number
  readonly gradients: (input: string) => (place: number) => number
  /** The same for reduced results: what cancels may be added in another order. */
  readonly reduced: Omit<Allowance, 'reduced' | 'reducing' | 'smallest'>
  /** What reducing adds: relative to the sum of the sizes, and to each number. */
  readonly reducing: number
  readonly smallest: number
}

/** Values and gradients as they are, and reduced: multiplied by a weight each, and added in any order. */
function resultsOf(one: Case, outcome: Outcome, allowance: Allowance): Result[] {
  const { values, gradients, reduced: within, reducing, smallest } = allowance
  const { reduced = new Map() } = outcome
  const plain = [
    { what: 'loss', got: outcome.values, want: one.values, allowed: values },
    ...Object.entries(one.gradients).map(([name, want]) => {
      return { what: `gradient of ${name}`, got: outcome.gradients[name], want, allowed: gradients(name) }
    }),
  ]
  const others = [...one.reduced].flatMap(([reduction, { loss, gradients: wanted, scale, weights = [] }]) => {
    const got = reduced.get(reduction)
    if (got === undefined) return []
    const most = scale * Math.max(1, ...weights)
    const total = one.values.reduce((sum, x, place) => sum + within.values(place) + reducing * Math.abs(x), 0)
    return [
      { what: `${reduction} of the loss`, got: [got.loss], want: [loss], allowed: () => most * total },
      ...Object.entries(wanted).map(([name, want]) => {
        const own = within.gradients(name)
        const allowed = (place: number) => most * own(place) + reducing * Math.abs(want[place]!) + smallest
        return { what: `gradient of ${name} for ${reduction}`, got: got.gradients[name], want, allowed }
      }),
    ]
  })
  return [...plain, ...others]
}

function tolerances(unit: Unit, one: Case, tolerance: Tolerance): Allowed {
  const { couples } = unit.request.loss
  const rows = one.sizes[Object.keys(one.sizes)[0]!] ?? 1
  const allowed = (want: Float64Array) => {
    // Elements stand alone; what is compared with each other shares the rounding of the largest.
    const shared = couples === 'batch' ? want.length : Math.max(1, Math.round(want.length / rows))
    return allowedIn(want, couples === 'element' ? 1 : shared, tolerance)
  }
  return {
    values: allowed(one.values),
    gradients: (name) => allowed(one.gradients[name]!),
  }
}

/** The answers are float64 themselves: what is true of the source is true of them, too. */
function roundings(
  { request }: Unit,
  one: Case,
  family: Target['family'],
  arithmetic: Arithmetic,
): Allowance {
  const { program, params } = sourceProgram(request)
  const isNarrow = arithmetic === FLOAT32
  const scalars = Object.fromEntries(
    params.map(({ name, value }) => [name, isNarrow ? Math.fround(value) : value]),
  )
  const written = family === 'loop' ? asLoops(program) : program
  const { values, gradients } = roundingBounds(written, { ...one, scalars }, arithmetic)
  const sides = isNarrow ? 1 : 2
  const own: Allowed = {
    values: (place) => sides * values[place]!,
    gradients: (name) => (place) => sides * gradients[name]![place]!,
  }
  // A sum in any order, the factor, the product and the quotient.
  const reducing = sides * (one.values.length + 4) * arithmetic.rounding
  return { ...own, reduced: own, reducing, smallest: arithmetic.smallest }
}
