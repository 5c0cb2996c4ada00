/**
 * The fields of a loss request in addition to its inputs, as TypeBox schemas. Validation, OpenAPI and the wire
 * formats share them. Inputs and parameters are defined by each loss (losses/define.ts).
 */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { FRAMEWORKS } from '../losses/define.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import type { NonTensorMember } from '../wire/define.ts'
import { DtypeSchema } from './dtype.ts'

/** The plain members of a request for one loss. */
export type OptionName = Exclude<NonTensorMember, 'terms' | 'definition' | 'formula' | 'axes'>

export const OptionSchemas = {
  preset: Type.Union(
    FRAMEWORKS.map((name) => Type.Literal(name)),
    {
      description:
        "Use a framework's defaults: parameters, clamping, label mode and reduction. Values in the request take precedence.",
    },
  ),
  params: Type.Object({}, { description: "The loss's parameters. Unknown names are rejected." }),
  reduction: Type.Union(
    REDUCTIONS.map((name) => Type.Literal(name)),
    {
      default: 'mean',
      description:
        "`mean` divides by the reference framework's own denominator, `batchmean` by the number of rows; `weighted_mean` counts each value in the denominator by its sample weight, `sum_by_nonzero_weights` counts only the values with a nonzero weight; `none` returns every value.",
    },
  ),
  gradients: Type.Union([Type.Boolean(), Type.Array(Type.String())], {
    default: true,
    description:
      '`true`: for every differentiable input that was sent as floats; a list: for these inputs; `false`: compute only the loss.',
  }),
  hessian: Type.Union([Type.Literal('none'), Type.Literal('diagonal')], {
    default: 'none',
    description:
      '`diagonal`: also return the exact second derivative with respect to each element, for gradient boosting. Only for losses whose rows are independent.',
  }),
  hessian_floor: Type.Number({
    minimum: 0,
    description:
      'Smallest second derivative in the response. Smaller values, including negative ones, are raised to it.',
  }),
  layout: Type.Union([Type.Literal('row'), Type.Literal('class_major')], {
    default: 'row',
    description:
      '`class_major`: tensors with rows and classes are sent and returned as [classes, rows, ...], the layout of LightGBM.',
  }),
  denominator: Type.Number({
    exclusiveMinimum: 0,
    description:
      'Replaces the denominator of the mean, for gradient accumulation and data-parallel shards. Only with `reduction: mean`.',
  }),
  explain: Type.Boolean({
    default: false,
    description:
      'Also return what the request was resolved to: preset, parameters, kinds of targets, reduction and denominator, conventions.',
  }),
  nonfinite: Type.Union([Type.Literal('propagate'), Type.Literal('null'), Type.Literal('error')], {
    default: 'propagate',
    description:
      '`propagate` returns NaN and infinities as they are, in JSON as strings; `null` writes them as JSON null, for typed clients that accept only numbers; `error` responds with 422 and names the first one.',
  }),
  gradient_dtype: Type.Union([DtypeSchema], {
    description:
      'The dtype of the gradients instead of that of their inputs. Must be a floating-point dtype.',
  }),
} as const satisfies Readonly<Record<OptionName, TSchema>>

/** The plain members of a loss request. */
export const OPTION_NAMES: ReadonlySet<string> = new Set(Object.keys(OptionSchemas))

export type NonfinitePolicy = Static<typeof OptionSchemas.nonfinite>

/** Tensors that every loss accepts in addition to its own inputs. */
export const COMMON_TENSORS = {
  sample_weight:
    'One real number per row (first axis) that multiplies its loss and gradient. A row of weight 0 has no effect, whatever it contains.',
  grad_output:
    'The upstream gradient (cotangent) of the unreduced loss, with its shape. Only with `reduction: none`. Default: ones.',
} as const
