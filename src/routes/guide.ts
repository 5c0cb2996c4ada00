/** GET /v1/guide: from a task, a trouble with the data and a wish to losses, with reasons. */
import { type TSchema, Type } from '@sinclair/typebox'
import { problemAt } from '../errors.ts'
import type { Catalog } from '../losses/catalog.ts'
import { DATA_ISSUES, DESIRED_PROPERTIES, GUIDE, OTHER_WORDS, TASKS } from '../losses/guide.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import type { Routes } from './context.ts'

/** What the query may narrow down -> the words for it. */
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
    task: word(TASKS, 'What is to be learned.'),
    trouble: Type.Optional(word(DATA_ISSUES, 'What is wrong with the data.')),
    wish: Type.Optional(word(DESIRED_PROPERTIES, 'What the result shall have.')),
    losses: Type.Array(Type.String(), { description: 'Losses, the best first.' }),
    because: Type.String({ description: 'Why.' }),
    unless: Type.String({ description: 'When it is the wrong choice.' }),
    references: Type.Array(Type.String(), { description: 'Where to read on.' }),
  },
  closed,
)

const schema = {
  tags: ['catalog'],
  operationId: 'guide',
  summary: 'Which loss to take, and why',
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
  app.get<{ Querystring: Record<string, unknown> }>('/v1/guide', { schema }, ({ query }) => {
    const filters = Object.entries(query).map(([name, value]) => checked(name, value))
    const advice = GUIDE.filter((entry) => filters.every(([name, value]) => entry[name] === value))
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
      `the query may hold ${names.join(', ')}${didYouMean(name, names)}`,
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
  const others = Object.hasOwn(OTHER_WORDS, called) ? OTHER_WORDS[called] : []
  const meant = others.filter((word) => words.includes(word))
  return meant.length === 0 ? didYouMean(given, words) : suggesting(...meant)
}

/** Papers and functions that the losses name, each once. */
function referencesOf(catalog: Catalog, losses: readonly string[]): string[] {
  return [...new Set(losses.flatMap((name) => catalog.find(name)!.references))]
}
