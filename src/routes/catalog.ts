/** The catalog: the list of losses, and everything about one of them, read from its definition. */
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { cut, problemAt } from '../errors.ts'
import { toLatex } from '../language/latex.ts'
import { axesText, KINDS, type Loss } from '../losses/define.ts'
import { axesOf } from '../losses/program.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { isNamePart } from '../registry/name.ts'
import type { ScopedRegistry } from '../registry/scoped-registry.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { CATALOG_NAME } from '../schemas/openapi.ts'
import type { Routes } from './context.ts'
import { createEngineSupport, type EngineSupport } from './engine-support.ts'
import { sendDescription } from './loss-page.ts'
import { parameterOf } from './query.ts'

const closed = { additionalProperties: false } as const
const words = Type.Array(Type.String())
const summary = {
  name: Type.String(),
  family: Type.String(),
  couples: Type.String(),
  about: Type.String(),
  aliases: words,
}
const Listed = Type.Object(
  {
    losses: Type.Array(
      Type.Object(
        {
          ...summary,
          version: Type.Optional(Type.Integer()),
          created: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
    next: Type.Optional(
      Type.String({ description: 'The value of `after` for the next page, if there is one.' }),
    ),
  },
  closed,
)

/** Registered losses per page. */
const PAGE = 100
const anything = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })

/** The description of a loss, from the catalog or custom. */
export const describedSchema = {
  ...summary,
  formula: Type.String({ description: 'In the formula language.' }),
  latex: Type.String(),
  denominator: Type.Optional(
    Type.String({ description: 'What each value adds to the denominator of the mean.' }),
  ),
  inputs: Type.Array(
    Type.Object(
      {
        name: Type.String(),
        axes: Type.String({ description: 'Separated by commas, the slowest first.' }),
        perClass: Type.Boolean({
          description: 'Whether it may also have the shape of the first input, with one number per class.',
        }),
        kind: Type.String(),
        means: Type.String({ description: 'The valid numbers for this kind.' }),
        differentiable: Type.Boolean(),
        optional: Type.Boolean(),
        about: Type.String(),
      },
      closed,
    ),
  ),
  params: anything('JSON Schema of the parameters.'),
  defaults: anything('Parameter -> its default.'),
  reductions: words,
  presets: anything('Framework -> its names for the loss, and the defaults that they imply.'),
  references: words,
  examples: Type.Array(anything('Inputs, and the loss for them.')),
  engines: Type.Object(
    { float32: words, float64: words },
    { ...closed, description: 'The engines that can compute it, in the order in which they are tried.' },
  ),
}
const Described = Type.Object(describedSchema, closed)

const routes: Routes = (app, context) => {
  const { catalog } = context
  const engines = createEngineSupport(context)
  const tags = ['catalog']
  const listed = {
    losses: catalog.losses.map(summaryOf),
  }

  const list = {
    tags,
    operationId: 'listLosses',
    summary: 'All losses of the catalog; with a namespace, its registered losses',
    querystring: Type.Object({
      namespace: Type.Optional(
        Type.String({ description: 'Lists the registered losses of this namespace.', examples: ['acme'] }),
      ),
      after: Type.Optional(Type.String({ description: 'The name of the last loss on the previous page.' })),
    }),
    response: { 200: Listed },
    'x-problems': [422, 501, 503],
  }
  app.get('/v1/losses', { schema: list }, (request) => {
    const [namespace, after] = [partOf(request, 'namespace'), partOf(request, 'after')]
    return namespace === undefined ? listed : listRegistered(context.seenBy(request), namespace, after)
  })

  const one = {
    tags,
    operationId: 'describeLoss',
    summary: 'One loss: formula, inputs, parameters, references, examples',
    params: Type.Object({
      name: CATALOG_NAME,
    }),
    response: { 200: Described },
    'x-problems': [404, 414],
  }
  app.get<{ Params: { name: string } }>('/v1/losses/:name', { schema: one }, (request, reply) => {
    const { loss } = resolveLoss(catalog, request.params.name)
    return sendDescription(request, reply, describeLoss(loss, engines))
  })
}

export default routes

function summaryOf({ name, family, couples, about, aliases }: Loss) {
  return { name, family, couples, about, aliases }
}

/**
 * A part of the name of a registered loss.
 *
 * @throws Problem `invalid-value` for what can be none
 */
function partOf(request: FastifyRequest, parameter: string): string | undefined {
  const part = parameterOf(request, parameter)
  if (part === undefined || isNamePart(part)) return part
  const detail = `must be lowercase letters, digits and _, as in the names of losses, got ${JSON.stringify(cut(part))}`
  throw problemAt('invalid-value', `/${parameter}`, detail)
}

/** Without retired ones. */
async function listRegistered(registry: ScopedRegistry, namespace: string, after: string | undefined) {
  const page = { limit: PAGE, ...(after === undefined ? {} : { after: { namespace, name: after } }) }
  const found = await registry.list(namespace, page)
  const losses = found.map(({ stored: { version, created }, resolved: { loss } }) => {
    return { ...summaryOf(loss), version, created }
  })
  return { losses, ...(found.length === PAGE ? { next: found.at(-1)!.stored.name } : {}) }
}

/** @param engines which engines compute it */
export function describeLoss(loss: Loss, engines: (loss: Loss) => EngineSupport) {
  const { name, family, couples, about, aliases, references, examples, params } = loss
  return {
    name,
    family,
    couples,
    about,
    formula: loss.formula.source.trim().replaceAll(/\n +/g, '\n'),
    latex: toLatex(loss.formula, axesOf(loss)),
    ...(loss.denominator === undefined ? {} : { denominator: loss.denominator.source.trim() }),
    inputs: Object.entries(loss.inputs).map(
      ([input, { axes, sizes, perClass, kind, differentiable, optional, about: meaning }]) => {
        return {
          name: input,
          axes: axesText({ axes, sizes }),
          perClass,
          kind,
          means: KINDS[kind],
          differentiable,
          optional,
          about: meaning,
        }
      },
    ),
    params,
    defaults: Object.fromEntries(
      Object.entries(params.properties).map(([key, schema]) => [key, schema.default]),
    ),
    reductions: REDUCTIONS,
    aliases,
    presets: loss.presets,
    references,
    examples,
    engines: engines(loss),
  }
}
