/**
 * What a loss request may hold beside its inputs, in TypeBox: the vocabulary that checking, OpenAPI and the
 * wire formats share. Which inputs and parameters there are is the loss's own affair (losses/define.ts).
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { PRESETS } from '../losses/define.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import type { PlainMember } from '../wire/define.ts'
import { DtypeSchema } from './dtype.ts'

/** The plain members of a request for one loss. */
export type OptionName = Exclude<PlainMember, 'terms' | 'definition' | 'formula' | 'axes'>

export const OptionSchemas = {
  preset: Type.Union(
    PRESETS.map((name) => Type.Literal(name)),
    {
      description:
        "Takes a framework's defaults: parameters, clamping, label mode and reduction. What the request states itself goes before.",
    },
  ),
  params: Type.Object({}, { description: "The loss's parameters; unknown names are refused." }),
  reduction: Type.Union(
    REDUCTIONS.map((name) => Type.Literal(name)),
    {
      default: 'mean',
      description:
        "`mean` divides by the reference framework's own denominator, `batchmean` by the number of rows, `weighted_mean` and `sum_by_nonzero_weights` count each value by its sample weight, or only those that have one; `none` returns every value.",
    },
  ),
  gradients: Type.Union([Type.Boolean(), Type.Array(Type.String())], {
    default: true,
    description:
      '`true`: of every differentiable input that was sent as real numbers; a list: of those; `false`: evaluation only.',
  }),
  hessian: Type.Union([Type.Literal('none'), Type.Literal('diagonal')], {
    default: 'none',
    description:
      '`diagonal`: the exact second derivative by each element, for boosting; of losses whose rows do not touch each other.',
  }),
  hessian_floor: Type.Number({
    minimum: 0,
    description:
      'The least second derivative that is answered; smaller ones, negative ones too, are raised to it.',
  }),
  layout: Type.Union([Type.Literal('row'), Type.Literal('class_major')], {
    default: 'row',
    description:
      '`class_major`: tensors with rows and classes are given and answered as [classes, rows, ...], as LightGBM lays them out.',
  }),
  denominator: Type.Number({
    exclusiveMinimum: 0,
    description:
      "Replaces the mean's own denominator, for gradient accumulation and data-parallel shards. Only with `reduction: mean`.",
  }),
  explain: Type.Boolean({
    default: false,
    description:
      'Answers what was resolved, too: preset, parameters, kinds of targets, reduction and denominator, conventions.',
  }),
  nonfinite: Type.Union([Type.Literal('propagate'), Type.Literal('null'), Type.Literal('error')], {
    default: 'propagate',
    description:
      '`propagate` answers NaN and infinities as they are, in JSON as strings; `null` writes them as JSON null, for typed clients, which read numbers alone; `error` answers 422 naming the first one.',
  }),
  gradient_dtype: Type.Union([DtypeSchema], {
    description: 'dtype of the gradients instead of that of their inputs; must be a floating-point one.',
  }),
} as const satisfies Readonly<Record<OptionName, TSchema>>

/** The plain members that a loss takes. */
export const OPTION_NAMES: ReadonlySet<string> = new Set(Object.keys(OptionSchemas))

export type NonfinitePolicy = Static<typeof OptionSchemas.nonfinite>

/** Tensors that every loss takes beside its own inputs. */
export const COMMON_TENSORS = {
  sample_weight:
    'One real number a row (first axis): multiplies its loss and gradient; a row of weight 0 changes nothing, whatever it holds.',
  grad_output:
    'The cotangent of the unreduced loss, of its shape; only with `reduction: none`. Default: ones.',
} as const
