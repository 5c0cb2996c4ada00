/** What a request was resolved to, for `explain`: everything that was resolved, inferred or decided by convention. */
import { type InputLayout, valueAxes } from '../language/ir.ts'
import { KIND_OF_SOFT_LABELS, KINDS, type Kind, type Loss, type LossWarning } from '../losses/define.ts'
import type { LossProgram } from '../losses/program.ts'
import { dividesByDenominator, type ReductionSpec } from '../losses/reduction.ts'
import type { Precision } from '../tensor.ts'
import type { TensorInfo } from '../wire/define.ts'
import type { RequestOptions } from './options.ts'

/** How each input was interpreted, and what the numbers of the response mean. */
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
  /** Of a custom loss, if there are any. */
  readonly warnings?: readonly LossWarning[]
}

/** The parts of a request's plan that the explanation needs. */
interface Explained {
  readonly loss: Loss
  readonly options: RequestOptions
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly layouts: Readonly<Record<string, InputLayout>>
  readonly wants: readonly string[]
  readonly precision: Precision
  readonly batchKey: object | undefined
  readonly program: LossProgram
  readonly reductionSpec: ReductionSpec
}

const KINKS =
  'the derivative is 0 for |x| at 0, 0 on the inactive side of a hinge, split evenly among tied maxima, and 0 at a zero norm'

/**
 * @example
 * explanationOf(plan).inputs.targets.kind // 'class'
 */
export function explanationOf(plan: Explained): Explanation {
  const { loss, options, wants, precision, batchKey, program } = plan
  const { warnings = [] } = loss
  const note = options.preset && loss.presets[options.preset]?.note
  return {
    loss: loss.name,
    preset: options.preset ?? null,
    ...(note === undefined ? {} : { note }),
    params: options.params,
    inputs: Object.fromEntries([...plan.tensors.keys()].map((name) => [name, inputText(plan, name)])),
    value: valueText(valueAxes(program.program)),
    reduction: options.reduction,
    denominator: denominatorText(plan),
    gradients: wants,
    precision,
    merges: batchKey !== undefined,
    kinks: KINKS,
    ...(warnings.length === 0 ? {} : { warnings }),
  }
}

function valueText(axes: readonly string[]): string {
  return axes.length === 0 ? 'one number for the whole batch' : `one number for each of [${axes.join(', ')}]`
}

function inputText({ loss, options, layouts, tensors }: Explained, name: string) {
  const kind = inferredKind(loss.inputs[name].kindFor(options.params), layouts[name].type)
  return {
    kind,
    means: KINDS[kind],
    axes: layouts[name].axes.join(','),
    dtype: tensors.get(name)!.dtype,
  }
}

/** The kind that inference has decided on. */
export function inferredKind(kind: Kind, type: 'real' | 'index'): Kind {
  const each = KIND_OF_SOFT_LABELS[kind]
  if (each === undefined) return kind
  return type === 'index' ? 'class' : each
}

function denominatorText({ loss, options, reductionSpec, program }: Explained): string {
  if (options.reduction === 'batchmean') return `${reductionSpec.rows}, the number of rows`
  if (!dividesByDenominator(options.reduction)) return '1'
  if (options.denominator !== undefined) return `${options.denominator}, as specified in the request`
  const counted = WEIGHED[options.reduction] ?? ''
  if (program.program.denominators === undefined)
    return `${reductionSpec.count}, the number of values${counted}`
  return `the sum of ${loss.denominator!.source.trim()}${counted}`
}

/** How sample weights change it. */
const WEIGHED: Readonly<Record<string, string>> = {
  weighted_mean: ', each weighted by its sample weight',
  sum_by_nonzero_weights: ', counting only those whose sample weight is not 0',
}
