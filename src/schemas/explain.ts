/** What a request was taken to mean: everything that was resolved, inferred or decided by convention, for `explain`. */
import { valueAxes } from '../language/ir.ts'
import { KINDS, type Kind, PER_CLASS } from '../losses/define.ts'
import { isMean } from '../losses/reduce.ts'
import type { Outline } from './outline.ts'

/** How each input was read, and what the numbers of the answer mean. */
export interface Explanation {
  readonly loss: string
  readonly preset: string | null
  readonly note?: string
  readonly params: Readonly<Record<string, unknown>>
  readonly inputs: Readonly<Record<string, { kind: string; means: string; axes: string; dtype: string }>>
  readonly value: string
  readonly reduction: string
  readonly denominator: string
  readonly gradients: readonly string[]
  readonly precision: string
  readonly merges: boolean
  readonly kinks: string
}

const KINKS =
  'derivative 0 of |x| at 0, 0 on the inactive side of a hinge, an even split among tied maxima, 0 at a zero norm'

/**
 * @example
 * explanationOf(outline).inputs.targets.kind // 'class'
 */
export function explanationOf(outline: Omit<Outline, 'explanation'>): Explanation {
  const { loss, options, wants, precision, merging, program } = outline
  const note = options.preset && loss.presets[options.preset]?.note
  return {
    loss: loss.name,
    preset: options.preset ?? null,
    ...(note === undefined ? {} : { note }),
    params: options.params,
    inputs: Object.fromEntries([...outline.tensors.keys()].map((name) => [name, inputText(outline, name)])),
    value: `one number for each of [${valueAxes(program.program).join(', ')}]`,
    reduction: options.reduction,
    denominator: denominatorText(outline),
    gradients: wants,
    precision,
    merges: merging !== undefined,
    kinks: KINKS,
  }
}

function inputText({ loss, options, layouts, tensors }: Omit<Outline, 'explanation'>, name: string) {
  const kind = kindRead(loss.inputs[name].kindFor(options.params), layouts[name].type)
  return {
    kind,
    means: KINDS[kind],
    axes: layouts[name].axes.join(','),
    dtype: tensors.get(name)!.dtype,
  }
}

/** What inferring has decided. */
export function kindRead(kind: Kind, type: 'real' | 'index'): Kind {
  const each = PER_CLASS[kind]
  if (each === undefined) return kind
  return type === 'index' ? 'class' : each
}

function denominatorText({ loss, options, weighing, program }: Omit<Outline, 'explanation'>): string {
  if (options.reduction === 'batchmean') return `${weighing.rows}, the number of rows`
  if (!isMean(options.reduction)) return '1'
  if (options.denominator !== undefined) return `${options.denominator}, as the request says`
  const counted = WEIGHED[options.reduction] ?? ''
  if (program.program.denominators === undefined) return `${weighing.count}, the number of values${counted}`
  return `the sum of ${loss.denominator!.source.trim()}${counted}`
}

/** What sample weights do to it. */
const WEIGHED: Readonly<Record<string, string>> = {
  weighted_mean: ', each counted by its sample weight',
  sum_by_nonzero_weights: ', of those whose sample weight is not 0',
}
