/** Requests for evaluations of files, and their answers. */
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { problemAt } from '../errors.ts'
import { checkBody } from './analysis.ts'
import { throwFirstFault } from './expectation.ts'

/** Why `cluster` with a bootstrap of 0 is refused. */
export const NO_REPLICATES = 'must be at least 1 with a cluster, which only the bootstrap knows of'

const closed = { additionalProperties: false } as const
const Name = Type.String({ minLength: 1, maxLength: 1024 })
const Names = Type.Union([Name, Type.Array(Name, { minItems: 1, maxItems: 4096 })])
const Dataset = Type.String({ minLength: 1, maxLength: 128 })
const Params = Type.Optional(Type.Record(Type.String(), Type.Unknown()))

const LossAsk = Type.Union([
  Type.Object(
    { loss: Type.String({ description: 'A name of the catalog, or a registered name.' }), params: Params },
    closed,
  ),
  Type.Object({ definition: Type.Record(Type.String(), Type.Unknown()), params: Params }, closed),
  Type.Object({ formula: Type.String(), params: Params }, closed),
])

/** The body of `POST /v1/evaluations`. */
export const EvaluationBody = Type.Object(
  {
    source: Type.Union([
      Type.Object(
        {
          path: Type.String({
            description: 'A file, a folder or a pattern (`*`, `?`, `**`) below the datasets of the service.',
            examples: ['acme/sales/*.parquet'],
          }),
        },
        closed,
      ),
      Type.Object(
        {
          dataset: Type.Union([Dataset, Type.Array(Dataset, { minItems: 1, maxItems: 1024 })], {
            description: 'A dataset that the caller has uploaded, or several.',
          }),
        },
        closed,
      ),
    ]),
    losses: Type.Array(LossAsk, { minItems: 1, maxItems: 32 }),
    columns: Type.Record(Type.String(), Names, {
      description: 'Input of a loss -> its column, or several that are the classes of a row.',
    }),
    compare: Type.Optional(
      Type.Array(Names, {
        minItems: 2,
        maxItems: 16,
        description: 'The predictions of several models: the first is compared with each of the others.',
      }),
    ),
    weight: Type.Optional(Name),
    by: Type.Optional(Type.Array(Name, { maxItems: 16, description: 'Columns that slices are made of.' })),
    cluster: Type.Optional(
      Type.String({ minLength: 1, description: 'Rows with the same value are resampled together.' }),
    ),
    bootstrap: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 100_000,
        description:
          'Replicates. 0: intervals from standard errors, which know of no clusters. Default: 1000 with `cluster`, 0 without.',
      }),
    ),
    quantiles: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 }), {
        maxItems: 32,
        description:
          'Of the losses, with their distribution. Default: 0.5, 0.9 and 0.99, but none of more than 10 million rows.',
      }),
    ),
    worst: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000, default: 0 })),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1, default: 0 })),
    on_bad: Type.Optional(Type.Union([Type.Literal('fail'), Type.Literal('skip')], { default: 'fail' })),
  },
  closed,
)

/** How an evaluation is getting on, and its answer. */
export const EvaluationSchema = Type.Object(
  {
    id: Type.String(),
    state: Type.Union(
      ['queued', 'running', 'done', 'failed', 'cancelled'].map((state) => Type.Literal(state)),
    ),
    created: Type.String({ format: 'date-time' }),
    updated: Type.String({ format: 'date-time' }),
    rows: Type.Number({ description: 'Rows that were read.' }),
    total: Type.Union([Type.Number(), Type.Null()], { description: 'Null while it is not known.' }),
    result: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    error: Type.Optional(Type.Object({ code: Type.String(), detail: Type.String() }, closed)),
  },
  closed,
)

/** @throws Problem `invalid-value`, `unknown-name`, `missing-input` */
export function checkEvaluation(body: unknown): Static<typeof EvaluationBody> {
  const checked = checkBody(EvaluationBody, body)
  for (const name of ['source', 'losses', 'columns'] as const)
    if (checked[name] === undefined) throw problemAt('missing-input', `/${name}`, 'is required')
  if (!Value.Check(EvaluationBody, checked)) throwFirstFault(EvaluationBody, checked, '')
  if (checked.cluster !== undefined && checked.bootstrap === 0)
    throw problemAt('invalid-value', '/bootstrap', NO_REPLICATES)
  return checked
}
