/** What losses there are, and everything about one of them, read from its definition. */
import { toLatex } from '../language/latex.ts'
import { KINDS, type Loss } from '../losses/define.ts'
import { axesOf } from '../losses/program.ts'
import { REDUCTIONS } from '../losses/reduce.ts'
import { askFor } from '../schemas/asked.ts'
import type { Routes } from './context.ts'
import { createServing } from './serving.ts'

const routes: Routes = (app, context) => {
  const { catalog } = context
  const engines = createServing(context)
  const tags = ['catalog']

  app.get('/v1/losses', { schema: { tags, summary: 'All losses' } }, () => ({
    losses: catalog.losses.map(({ name, family, couples, about, aliases }) => ({
      name,
      family,
      couples,
      about,
      aliases,
    })),
  }))

  app.get<{ Params: { name: string } }>(
    '/v1/losses/:name',
    { schema: { tags, summary: 'One loss: formula, inputs, parameters, references, examples' } },
    ({ params }) => {
      const loss = askFor(catalog, params.name).loss
      return { ...describeLoss(loss), engines: engines(loss) }
    },
  )

  app.post<{ Params: { name: string } }>('/v1/losses/:name', { schema: { hide: true } }, ({ params }) => {
    // Known ones have routes of their own.
    askFor(catalog, params.name)
  })
}

export default routes

function describeLoss(loss: Loss) {
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
      ([input, { axes, kind, differentiable, optional, about: meaning }]) => {
        return {
          name: input,
          axes: axes.join(','),
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
  }
}
