/** What losses there are, and everything about one of them, read from its definition. */
import type { Engine, Precision } from '../engines/define.ts'
import { Problem } from '../errors.ts'
import { toLatex } from '../language/latex.ts'
import { didYouMean } from '../language/nearest.ts'
import { KINDS, type Loss } from '../losses/define.ts'
import type { Catalog } from '../losses/index.ts'
import { REDUCTIONS } from '../losses/reduce.ts'
import type { Outline } from '../schemas/outline.ts'
import { formats } from '../wire/index.ts'
import type { RouteContext, Routes } from './context.ts'

const routes: Routes = (app, { catalog, outlines, engine, config }) => {
  const engines = rememberedEngines({ catalog, outlines, engine, config })
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
      const loss = findLoss(catalog, params.name)
      return { ...describeLoss(loss), engines: engines(loss) }
    },
  )

  app.post<{ Params: { name: string } }>('/v1/losses/:name', { schema: { hide: true } }, ({ params }) => {
    throw unknownLoss(catalog, params.name)
  })
}

export default routes

/** @throws Problem `unknown-loss` with the nearest name */
function findLoss(catalog: Catalog, name: string): Loss {
  const loss = catalog.find(name)
  if (loss === undefined) throw unknownLoss(catalog, name)
  return loss
}

function unknownLoss(catalog: Catalog, name: string): Problem {
  const guess = didYouMean(name, [catalog.nearest(name) ?? ''])
  return new Problem(
    'unknown-loss',
    `there is no loss "${name.slice(0, 80)}"; GET /v1/losses lists them${guess}`,
  )
}

/** Engines that serve a loss, by precision: found once, for its first example. */
function rememberedEngines({
  catalog,
  outlines,
  engine,
  config,
}: Pick<RouteContext, 'catalog' | 'outlines' | 'engine' | 'config'>): (
  loss: Loss,
) => Readonly<Record<Precision, readonly string[]>> {
  const known = new Map<Loss, Readonly<Record<Precision, readonly string[]>>>()
  const json = formats.find(({ name }) => name === 'json')!
  return (loss) => {
    const { inputs, params } = loss.examples[0]
    const body = Buffer.from(JSON.stringify({ ...inputs, ...(params === undefined ? {} : { params }) }))
    const found =
      known.get(loss) ??
      servingEngines(engine, outlines(catalog.asked(loss.name)!, json.decode(body, config)))
    known.set(loss, found)
    return found
  }
}

function servingEngines(engine: Engine, { program: { program } }: Outline) {
  return { float32: engine.serving(program, 'float32'), float64: engine.serving(program, 'float64') }
}

function describeLoss(loss: Loss) {
  const { name, family, couples, about, aliases, references, examples, params } = loss
  return {
    name,
    family,
    couples,
    about,
    formula: loss.formula.source.trim().replaceAll(/\n +/g, '\n'),
    latex: toLatex(loss.formula),
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
