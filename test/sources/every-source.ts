/** Holds the sources of a target to the service's answers. */
import type { Loss } from '../../src/losses/define.ts'
import { CannotWrite, type Target } from '../../src/sources/contract.ts'
import { writeSource } from '../../src/sources/write.ts'
import type { Precision } from '../../src/tensor.ts'
import { unitsOf } from './cases.ts'
import { differenceIn } from './compare.ts'
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

export interface Bounds {
  readonly tolerance: number
  readonly smallest: number
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

const within = (bound: number): Bounds => ({ tolerance: 1e-12, smallest: bound / 1e-12 })

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
  const units = unitsOf(loss)
  return (scope === 'all' ? units : units.slice(0, 1)).flatMap((unit, place) => {
    const id = `${loss.name.replaceAll(/\W/g, '_')}_${place}`
    try {
      const options = {
        precision,
        name: loss.name,
        ...(dialect === undefined ? {} : { dialect, columns: columnsOf(unit) }),
      }
      const { text } = writeSource(target, { ...unit.request, options })
      return [{ unit, id, name: loss.name, text }]
    } catch (error) {
      if (!(error instanceof CannotWrite)) throw error
      refused.set(loss.name, error.message)
      return []
    }
  })
}

export function failuresOf(
  { unit }: Job,
  outcomes: readonly Outcome[],
  precision: Precision,
  bounds: Bounds,
): string[] {
  return unit.cases.flatMap((one, place) => {
    // Extremes such as 1e-300 and 1 - 1e-12 are no float32 numbers: what is asked there is another question.
    if (precision === 'float32' && one.label === 'extreme') return []
    const outcome = outcomes[place]
    if (outcome === undefined) return [`${unit.label}, ${one.label}: has no outcome`]
    const { couples } = unit.request.loss
    const [isElement, isBatch] = [couples === 'element', couples === 'batch']
    const compare = (what: string, got: ArrayLike<number> | undefined, want: Float64Array) => {
      const rows = one.sizes[Object.keys(one.sizes)[0]!] ?? 1
      // Elements stand alone; what is compared with each other shares the rounding of the largest.
      const width = isElement ? 1 : isBatch ? want.length : Math.max(1, Math.round(want.length / rows))
      const known = bounds.known?.find((it) => it.source === unit.label && it.what === what)
      const own = known === undefined || one.label !== 'extreme' ? bounds : within(known.within)
      const found = differenceIn({ got: got ?? [], want, width, ...own })
      return found === undefined
        ? []
        : [`${unit.label}, ${one.label}: ${what}[${found.place}] is ${found.got}, not ${found.want}`]
    }
    return [
      ...compare('loss', outcome.values, one.values),
      ...Object.entries(one.gradients).flatMap(([name, want]) =>
        compare(`gradient of ${name}`, outcome.gradients[name], want),
      ),
    ]
  })
}
