/** The bodies and responses of the routes that analyse losses. */
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { pointerToken, problemAt } from '../errors.ts'
import { formulaSchema } from './definition.ts'
import { throwFirstFault } from './expectation.ts'

const closed = { additionalProperties: false } as const
const anything = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })
const pair = (description: string) => Type.Array(Type.Number(), { minItems: 2, maxItems: 2, description })

/** Default and limits of `budgetMs`. */
export const BUDGET = { minimum: 20, maximum: 20_000, default: 2000 } as const

const asked = {
  params: Type.Optional(anything('Parameters of the loss.')),
  of: Type.Optional(
    Type.String({
      description: 'The input that the questions are about; default: the first differentiable one.',
    }),
  ),
  domain: Type.Optional(
    Type.Record(Type.String(), pair('From, to.'), {
      description: 'Input -> the numbers that it may have; the default depends on its kind.',
    }),
  ),
  sizes: Type.Optional(
    Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 16 }), {
      description: 'Axis -> its length. A proof holds for these lengths. Default: 5 classes, 1 row.',
    }),
  ),
  budgetMs: Type.Optional(
    Type.Number({ ...BUDGET, description: 'What is not decided within this time stays unknown.' }),
  ),
  properties: Type.Optional(
    Type.Array(Type.String(), { description: 'Only these properties; default: all that make sense.' }),
  ),
}

/** Which loss. */
const source = {
  loss: Type.Optional(Type.String({ description: 'A loss of the catalog, or `namespace/name`.' })),
  definition: Type.Optional(Type.Unsafe({ $ref: 'Definition#' })),
  formula: Type.Optional(formulaSchema('In the formula language: one string, or a list of its lines.')),
  axes: Type.Optional(
    Type.Record(Type.String(), Type.String(), { description: 'With `formula`: the axes of its inputs.' }),
  ),
}

export const AnalyzeBody = Type.Object({ ...source, ...asked }, closed)
export type AnalyzeBody = Static<typeof AnalyzeBody>

const Verdict = Type.Object(
  {
    verdict: Type.Union([
      Type.Literal('proved'),
      Type.Literal('refuted'),
      Type.Literal('supported'),
      Type.Literal('unknown'),
    ]),
    method: Type.String({ description: 'How it was found.' }),
    domain: Type.Record(Type.String(), pair('From, to.'), { description: 'The inputs for which it holds.' }),
    evidence: anything('Bounds, places, counterexamples.'),
  },
  closed,
)

export const AnalysisSchema = Type.Object(
  {
    loss: Type.String(),
    of: Type.String(),
    params: anything('The resolved parameters.'),
    sizes: Type.Record(Type.String(), Type.Integer()),
    hasSurrogate: Type.Boolean({
      description:
        'Whether the gradient that is served may differ from the derivative (stop_gradient, straight_through).',
    }),
    properties: Type.Record(Type.String(), Verdict),
    elapsedMs: Type.Number(),
  },
  closed,
)

const Compared = Type.Object(
  {
    passes: Type.Union([Type.Boolean(), Type.Literal('n/a')]),
    tolerance: Type.String(),
    compared: Type.Integer(),
    worst: Type.Optional(anything('Where it differs most.')),
  },
  closed,
)

export const CheckSchema = Type.Object(
  {
    loss: Type.String(),
    of: Type.String(),
    hasSurrogate: Type.Boolean({
      description: 'Whether the formula itself asks for another gradient (stop_gradient, straight_through).',
    }),
    passes: Type.Boolean(),
    elements: Type.Integer(),
    served: Compared,
    complexStep: Compared,
    differences: Compared,
    secondDerivative: Compared,
    leftOut: Type.Array(anything('An element next to a kink.')),
  },
  closed,
)

export const ConstantSchema = Type.Object(
  {
    loss: Type.String(),
    of: Type.String(),
    constant: Type.Union([Type.Number(), Type.Array(Type.Number())]),
    value: Type.Number({ description: 'The weighted mean of the loss there.' }),
    optimality: Type.Union([Type.Literal('proved'), Type.Literal('stationary'), Type.Literal('best found')], {
      description:
        'proved: no other constant in `searched` is better by more than `gap`, because the loss is proved convex there.',
    }),
    gap: Type.Optional(
      Type.Number({ description: 'By enclosed slopes: by how much another one may be better.' }),
    ),
    searched: Type.Optional(pair('The constants for which this holds.')),
    slopes: Type.Array(Type.Number()),
    iterations: Type.Integer(),
  },
  closed,
)

export const ExplanationSchema = anything('Sentences, curves and the verdicts that they come from.')

/** @throws Problem `invalid-value`, `unknown-name` */
export function checkBody<T extends TSchema>(schema: T, body: unknown): Static<T> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw problemAt('invalid-value', '', 'the body must be a JSON object')
  for (const [name, value] of Object.entries(body)) {
    const known = schema.properties as Record<string, TSchema>
    if (!Object.hasOwn(known, name)) {
      const detail = `is not a member here; use ${Object.keys(known).join(', ')}`
      throw problemAt('unknown-name', `/${pointerToken(name)}`, detail)
    }
    checkMember(known[name], name, value)
  }
  return body as Static<T>
}

function checkMember(schema: TSchema, name: string, value: unknown) {
  if (schema.$ref === undefined && !Value.Check(schema, value)) throwFirstFault(schema, value, `/${name}`)
}

/** @throws Problem `invalid-value` */
export function budgetOf(given: unknown = BUDGET.default): number {
  checkMember(asked.budgetMs, 'budgetMs', given)
  return given as number
}
