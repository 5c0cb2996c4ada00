/** GET /v1/guide: recommends losses for a task, a trouble with the data and a wish, with reasons. */
import { type TSchema, Type } from '@sinclair/typebox'
import { problemAt } from '../errors.ts'
import type { Catalog } from '../losses/catalog.ts'
import { DATA_ISSUES, DESIRED_PROPERTIES, guideFor, SYNONYMS, TASKS } from '../losses/guide.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import type { Routes } from './context.ts'

/** Query parameter -> its words. */
const FILTERS = { task: TASKS, trouble: DATA_ISSUES, wish: DESIRED_PROPERTIES } as const
type Filter = keyof typeof FILTERS

const word = (words: Readonly<Record<string, string>>, description: string): TSchema =>
  Type.Union(
    Object.keys(words).map((name) => Type.Literal(name)),
    { description },
  )

const closed = { additionalProperties: false } as const

const Advice = Type.Object(
  {
    task: word(TASKS, 'What the model learns.'),
    trouble: Type.Optional(word(DATA_ISSUES, 'What is difficult about the data.')),
    wish: Type.Optional(word(DESIRED_PROPERTIES, 'The property that the result should have.')),
    losses: Type.Array(Type.String(), { description: 'The recommended losses, the best first.' }),
    because: Type.String({ description: 'Why.' }),
    unless: Type.String({ description: 'When they are the wrong choice.' }),
    references: Type.Array(Type.String(), { description: 'Further reading.' }),
  },
  closed,
)

const schema = {
  tags: ['catalog'],
  operationId: 'guide',
  summary: 'Which loss to choose, and why',
  querystring: Type.Object(
    {
      task: Type.Optional(word(TASKS, 'Only advice for this task.')),
      trouble: Type.Optional(word(DATA_ISSUES, 'Only advice for this trouble with the data.')),
      wish: Type.Optional(word(DESIRED_PROPERTIES, 'Only advice for this wish.')),
    },
    closed,
  ),
  response: {
    200: Type.Object(
      {
        tasks: Type.Record(Type.String(), Type.String()),
        troubles: Type.Record(Type.String(), Type.String()),
        wishes: Type.Record(Type.String(), Type.String()),
        advice: Type.Array(Advice),
      },
      closed,
    ),
  },
  'x-problems': [422],
}

const routes: Routes = (app, { catalog }) => {
  const guide = guideFor(catalog.losses)
  app.get<{ Querystring: Record<string, unknown> }>('/v1/guide', { schema }, ({ query }) => {
    const filters = Object.entries(query).map(([name, value]) => checked(name, value))
    const advice = guide.filter((entry) => filters.every(([name, value]) => entry[name] === value))
    return {
      tasks: TASKS,
      troubles: DATA_ISSUES,
      wishes: DESIRED_PROPERTIES,
      advice: advice.map((entry) => ({ ...entry, references: referencesOf(catalog, entry.losses) })),
    }
  })
}

export default routes

/** @throws Problem `unknown-name`, `invalid-value` */
function checked(name: string, value: unknown): [Filter, string] {
  const names = Object.keys(FILTERS)
  if (!Object.hasOwn(FILTERS, name)) {
    throw problemAt(
      'unknown-name',
      `/${name}`,
      `is not a query parameter; use ${names.join(', ')}${didYouMean(name, names)}`,
    )
  }
  const words = Object.keys(FILTERS[name as Filter])
  if (typeof value === 'string' && words.includes(value)) return [name as Filter, value]
  const given = String(value).slice(0, 40)
  throw problemAt(
    'invalid-value',
    `/${name}`,
    `must be one of ${words.join(', ')}, got ${given}${hint(given, words)}`,
  )
}

function hint(given: string, words: readonly string[]): string {
  const called = given.toLowerCase()
  const others = Object.hasOwn(SYNONYMS, called) ? SYNONYMS[called] : []
  const meant = others.filter((word) => words.includes(word))
  return meant.length === 0 ? didYouMean(given, words) : suggesting(...meant)
}

/** The papers and functions that the losses refer to, without duplicates. */
function referencesOf(catalog: Catalog, losses: readonly string[]): string[] {
  return [...new Set(losses.flatMap((name) => catalog.find(name)!.references))]
}
