/** Holds the sources of a target to the service's answers. */
import type { Loss } from '../../src/losses/define.ts'
import { CannotWrite, type Target } from '../../src/sources/contract.ts'
import { sourceProgram } from '../../src/sources/program.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { Precision } from '../../src/tensor.ts'
import { type Case, type Unit, unitsOf } from './cases.ts'
import { allowedIn, type Difference, differenceIn, type Tolerance } from './compare.ts'
import { asLoops, roundingBounds } from './rounding.ts'
import { columnsOf } from './rows.ts'
import type { Job, Outcome, Runner } from './runners/runner.ts'

export interface Report {
  readonly sources: number
  readonly cases: number
  readonly failures: readonly string[]
  /** Loss -> why it is not written. */
  readonly refused: ReadonlyMap<string, string>
}

/** Which structures of a loss are written: all, or that of the defaults alone. */
export type Scope = 'all' | 'defaults'

/** In float64. In float32 the bounds are those of rounding.ts. */
export interface Bounds extends Tolerance {
  /** Where roundings of a tool are larger on extreme inputs, and why. */
  readonly known?: readonly Known[]
}

/** A result that may be off by an absolute number on extreme inputs. */
export interface Known {
  readonly source: string
  readonly what: string
  readonly within: number
  readonly because: string
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
  const failures = jobs.flatMap((job, place) => failuresOf(job, outcomes[place]!, precision, bounds))
  return {
    sources: jobs.length,
    cases: jobs.reduce((total, { unit }) => total + unit.cases.length, 0),
    failures,
    refused,
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
  return (scope === 'all' ? units : units.slice(0, 1)).flatMap((unit, place) => {
    const id = `${loss.name.replaceAll(/\W/g, '_')}_${place}`
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

function failuresOf(
  { unit }: Job,
  outcomes: readonly Outcome[],
  precision: Precision,
  bounds: Bounds,
): string[] {
  return unit.cases.flatMap((one, place) => {
    const label = `${unit.label}, ${one.label}`
    const outcome = outcomes[place]
    if (outcome === undefined) return [`${label}: has no outcome`]
    const allowance = precision === 'float32' ? roundings(unit, one) : tolerances(unit, one, bounds)
    const wrong = resultsOf(one, outcome, allowance).flatMap(({ what, got = [], want, allowed }) => {
      const found = differenceIn({ got, want, allowed })
      return found === undefined ? [] : [`${label}: ${differs(what, found)}`]
    })
    return [...wrong, ...(outcome.problems ?? []).map((problem) => `${label}: ${problem}`)]
  })
}

function differs(what: string, { place, got, want, allowed }: Difference): string {
  return `${what}[${place}] is ${got}, not ${want} within ${allowed.toPrecision(2)}`
}

/** How far each number of the unreduced results may be off. */
interface Allowance {
  readonly values: (place: number) => number
  readonly gradients: (input: string) => (place: number) => number
  /** What reducing adds: relative to the sum of the sizes, and to each number. */
  readonly reducing: number
}

/** Values and gradients as they are, and reduced: multiplied by a weight each, and added in any order. */
function resultsOf(one: Case, outcome: Outcome, { values, gradients, reducing }: Allowance): Result[] {
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
    const total = one.values.reduce((sum, x, place) => sum + values(place) + reducing * Math.abs(x), 0)
    return [
      { what: `${reduction} of the loss`, got: [got.loss], want: [loss], allowed: () => most * total },
      ...Object.entries(wanted).map(([name, want]) => {
        const allowed = (place: number) => most * gradients(name)(place) + reducing * Math.abs(want[place]!)
        return { what: `gradient of ${name} for ${reduction}`, got: got.gradients[name], want, allowed }
      }),
    ]
  })
  return [...plain, ...others]
}

function tolerances(unit: Unit, one: Case, bounds: Bounds): Allowance {
  const { couples } = unit.request.loss
  const rows = one.sizes[Object.keys(one.sizes)[0]!] ?? 1
  const allowed = (what: string, want: Float64Array) => {
    const known = bounds.known?.find((it) => it.source === unit.label && it.what === what)
    if (known !== undefined && one.label === 'extreme') return () => known.within
    // Elements stand alone; what is compared with each other shares the rounding of the largest.
    const shared = couples === 'batch' ? want.length : Math.max(1, Math.round(want.length / rows))
    return allowedIn(want, couples === 'element' ? 1 : shared, bounds)
  }
  return {
    values: allowed('loss', one.values),
    gradients: (name) => allowed(`gradient of ${name}`, one.gradients[name]!),
    reducing: (one.values.length + 4) * 2 ** -53,
  }
}

/** Sums are compensated and in doubles; the factor, the product and the quotient are rounded. */
function roundings({ request }: Unit, one: Case): Allowance {
  const { program, params } = sourceProgram(request)
  const scalars = Object.fromEntries(params.map(({ name, value }) => [name, Math.fround(value)]))
  const { values, gradients } = roundingBounds(asLoops(program), { ...one, scalars })
  return {
    values: (place) => values[place]!,
    gradients: (name) => (place) => gradients[name]![place]!,
    reducing: 5 * 2 ** -24,
  }
}
