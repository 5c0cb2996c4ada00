/**
 * Completes the OpenAPI document: closes the schemas as strictly as the service validates, and keeps the document
 * short enough for a browser. Error responses are the same for every operation of a kind, so they are listed once,
 * under `components`.
 */
import { PROBLEMS } from '../errors.ts'
import type { Loss } from '../losses/define.ts'
import { EXAMPLE_ANSWERS } from './example-answers.ts'
import { PROBLEM_MEDIA_TYPE } from './problem.ts'

// biome-ignore lint/suspicious/noExplicitAny: a document is whatever its parts say.
type Json = any

/** Errors that any request can get. 404 and 422 are listed at the operations with names that can be wrong. */
const ALWAYS = [400, 408, 415, 417, 431, 500, 501, 503] as const
/** Additional errors of requests with a body. */
const WITH_BODY = [406, 413, 422, 429, 499, 504] as const
/** Additional errors of services that ask for keys. */
const WITH_KEYS = [401, 403, 429] as const
/** How keys and tokens are sent. */
const SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer', description: 'An API key, or a JSON Web Token.' },
  apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key', description: 'An API key.' },
}

/**
 * @param losses the losses of the catalog, in its order
 * @param asksForKeys whether operations need credentials, unless their `security` is empty
 */
export function finishDocument(
  document: Json,
  losses: readonly Pick<Loss, 'name' | 'family'>[],
  asksForKeys = false,
): Json {
  const operations: Json[] = Object.values(document.paths as object).flatMap((path) => Object.values(path))
  for (const operation of operations) {
    const takesKeys = asksForKeys && operation.security === undefined
    finishOperation(operation, takesKeys ? WITH_KEYS : [])
  }
  return shortened({
    ...document,
    ...(asksForKeys && { security: Object.keys(SCHEMES).map((name) => ({ [name]: [] })) }),
    tags: tagsOf(losses),
    components: {
      ...document.components,
      responses: refusals(),
      ...(asksForKeys && { securitySchemes: SCHEMES }),
    },
  })
}

/** Tags in the order in which the page shows them. */
function tagsOf(losses: readonly Pick<Loss, 'name' | 'family'>[]) {
  const families = new Map<string, string[]>()
  for (const { name, family } of losses) families.set(family, [...(families.get(family) ?? []), name])
  return [
    { name: 'catalog', description: 'All losses, and how to choose one.' },
    { name: 'custom', description: 'Custom losses: sent inline with a request, or registered.' },
    { name: 'sources', description: 'Losses as source code in other languages.' },
    { name: 'kernels', description: 'Losses as WebAssembly modules, which compute them anywhere.' },
    { name: 'compose', description: 'Several losses of the same tensors in one request.' },
    ...[...families].map(([name, members]) => ({ name, description: members.join(', ') })),
    { name: 'service', description: 'Engines, health and metrics.' },
  ]
}

function finishOperation(operation: Json, more: readonly number[]) {
  const { 'x-problems': own = [], requestBody, operationId, responses } = operation
  delete operation['x-problems']
  const statuses = [...ALWAYS, ...(requestBody === undefined ? [] : WITH_BODY), ...own, ...more] as number[]
  for (const status of statuses.sort()) responses[status] = { $ref: `#/components/responses/${status}` }
  const answers = EXAMPLE_ANSWERS[operationId]
  if (answers === undefined) return
  // The page shows the response for the selected example, because their names are equal.
  responses[200].content['application/json'].examples = Object.fromEntries(
    answers.map((answer, place) => [`example${place + 1}`, { value: JSON.parse(answer) }]),
  )
}

/** Status -> everything that it can mean. */
function refusals() {
  const statuses = new Map<number, string[]>([
    [499, ['The client disconnected. Nobody receives this status; it appears in the metrics']],
  ])
  for (const { status, title } of Object.values(PROBLEMS)) {
    if (status !== PROBLEMS.moved.status) statuses.set(status, [...(statuses.get(status) ?? []), title])
  }
  const content = { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } }
  return Object.fromEntries(
    [...statuses].map(([status, titles]) => [status, { description: `${titles.join('; ')}.`, content }]),
  )
}

/** Turns unions of constants into enums, which client generators handle better. */
function shortened(value: Json): Json {
  if (Array.isArray(value)) return value.map(shortened)
  if (typeof value !== 'object' || value === null) return value
  const { anyOf, ...rest } = value
  const isWords = Array.isArray(anyOf) && anyOf.every((one) => typeof one.const === 'string')
  const entries = Object.entries(isWords ? rest : value).map(([name, part]) => [name, shortened(part)])
  const words = isWords ? { type: 'string', enum: anyOf.map((one: Json) => one.const) } : {}
  return { ...words, ...Object.fromEntries(entries) }
}
