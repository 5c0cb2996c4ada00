/**
 * Generates docs/cookbook.md (`npm run docs`) from the definition documents in docs/cookbook/ and from docs/cookbook.json,
 * which has their order and one request each. test/cookbook/ tests them.
 */
import { readFileSync } from 'node:fs'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import {
  type Definition,
  type InputDefinition,
  type ParamDefinition,
  sourceOf,
} from '../src/losses/custom.ts'
import type { BatchDependence } from '../src/losses/define.ts'

export interface Recipe {
  readonly name: string
  readonly title: string
  /** The dependence between rows that lossd infers from the formula. */
  readonly couples: Exclude<BatchDependence, 'group'>
  /** Whether the formula and the tensors are enough. The request then contains the formula. */
  readonly shorthand?: boolean
  /** Inputs and options. */
  readonly request: Readonly<Record<string, unknown>>
  readonly definition: Definition
}

export interface Chapter {
  readonly title: string
  readonly recipes: readonly Recipe[]
}

const read = (file: string) => JSON.parse(readFileSync(new URL(file, import.meta.url), 'utf8'))

/** All recipes, in the order of the page. */
export function readCookbook(): readonly Chapter[] {
  const contents: readonly Chapter[] = read('cookbook.json')
  return contents.map(({ title, recipes }) => ({
    title,
    recipes: recipes.map((recipe) => ({ ...recipe, definition: read(`cookbook/${recipe.name}.json`) })),
  }))
}

/** All recipes as Markdown, with the responses of a service. */
export async function cookbookText(): Promise<string> {
  const chapters = readCookbook()
  const answers = await answersOf(chapters.flatMap(({ recipes }) => recipes))
  return chapters
    .map(({ title, recipes }) =>
      [`## ${title}`, ...recipes.map((recipe) => section(recipe, answers.get(recipe)!))].join('\n\n'),
    )
    .join('\n\n')
}

/** The table of contents. */
export function cookbookContents(): string {
  return readCookbook()
    .map(({ title, recipes }) => `- ${title}: ${recipes.map((recipe) => linkTo(recipe.title)).join(', ')}`)
    .join('\n')
}

/** The anchor that GitHub generates for a heading. */
function linkTo(title: string): string {
  const anchor = title
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')
  return `[${title}](#${anchor})`
}

/** Computed in float64, so that the responses do not depend on the rounding of one machine. */
async function answersOf(recipes: readonly Recipe[]): Promise<Map<Recipe, string>> {
  const { fastify } = await buildApp({ ...loadConfig({}), engine: 'interpreter', store: 'none' })
  const url = await fastify.listen({ port: 0, host: '127.0.0.1' })
  const answers = new Map<Recipe, string>()
  for (const recipe of recipes) {
    const { definition, request, shorthand } = recipe
    const body = shorthand ? shorthandOf(recipe) : { definition, ...request }
    answers.set(recipe, await ask(`${url}/v1/losses:evaluate`, body))
  }
  await fastify.close()
  return answers
}

async function ask(url: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(await response.text())
  return response.text()
}

function shorthandOf({ definition: { formula }, request }: Recipe): object {
  return { formula, ...request }
}

const COUPLES: Readonly<Record<Recipe['couples'], string>> = {
  element: 'Each element is computed independently.',
  row: 'Each row is computed independently.',
  batch: 'The rows of a request depend on each other: send the whole batch in one request.',
}

function section(recipe: Recipe, answer: string): string {
  const { name, title, couples, definition } = recipe
  const { about = '', formula, references = [] } = definition
  return [
    `### ${title}`,
    about,
    `\`\`\`\n${sourceOf(formula)}\n\`\`\``,
    declarations(definition),
    command(recipe),
    `\`\`\`json\n${answer}\n\`\`\``,
    `${COUPLES[couples]} Definition: [${name}.json](cookbook/${name}.json). ${references.join('; ')}.`,
  ]
    .join('\n\n')
    .replace('```\n\n```json', '```\n```json')
}

/** The inputs, parameters and denominator, one line each. */
function declarations({ inputs, params = {}, denominator }: Definition): string {
  return [
    ...Object.entries(inputs).map(inputLine),
    ...Object.entries(params).map(paramLine),
    ...(denominator === undefined ? [] : [`- The mean divides by the sum of \`${sourceOf(denominator)}\`.`]),
  ].join('\n')
}

function inputLine([name, input]: [string, InputDefinition]): string {
  const { axes = '...', kind = 'real', differentiable, optional, about } = input
  const notes = [
    ...(axes === '' ? ['one number'] : []),
    kind,
    ...(optional ? ['optional'] : []),
    ...(differentiable ? ['with a gradient'] : []),
  ]
  const layout = axes === '' ? '' : `[${axes.replaceAll(',', ', ')}]`
  return `- \`${name}${layout}\` (${notes.join(', ')}): ${about}`
}

function paramLine([name, { default: standard, description }]: [string, ParamDefinition]): string {
  return `- \`${name} = ${JSON.stringify(standard)}\`: ${description}`
}

function command(recipe: Recipe): string {
  const path = recipe.shorthand ? '/v1/losses:evaluate' : `/v1/losses/${recipe.definition.name}`
  const body = recipe.shorthand ? shorthandOf(recipe) : recipe.request
  return `\`\`\`sh\ncurl -s localhost:8080${path} -H 'content-type: application/json' -d '\n  ${laidOut(body)}'\n\`\`\``
}

/** One member per line, with short ones on the same line. */
function laidOut(body: object): string {
  const members = Object.entries(body).map(([name, value]) => `${JSON.stringify(name)}: ${spaced(value)}`)
  const lines: string[] = []
  for (const member of members) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + member.length < 100)
      lines[lines.length - 1] = `${last}, ${member}`
    else lines.push(member)
  }
  return `{ ${lines.join(',\n    ')} }`
}

function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).map(([name, part]) => `${JSON.stringify(name)}: ${spaced(part)}`)
  return `{ ${members.join(', ')} }`
}
