/**
 * `npm run docs`, its second part: asks a service for the answers to the losses' examples and writes them into
 * src/schemas/example-answers.ts, for the API's page. Tests fail while a service answers otherwise.
 */
import { writeFileSync } from 'node:fs'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config.ts'
import { COMPOSITION, exampleBody } from '../src/schemas/openapi.ts'

// It computes in float64: no machine's rounding stands in the answers.
const { fastify, context } = await buildApp({ ...loadConfig({}), engine: 'interpreter' })
const url = await fastify.listen({ port: 0, host: '127.0.0.1' })
const entries: [string, string[]][] = [['compose', [await ask('/v1/losses:compose', COMPOSITION)]]]
for (const { name, examples } of context.catalog.losses) {
  const answers: string[] = []
  for (const example of examples) answers.push(await ask(`/v1/losses/${name}`, exampleBody(example)))
  entries.push([name, answers])
}
await fastify.close()

const lines = entries.map(
  ([name, answers]) => `  ${name}: [${answers.map((answer) => `'${answer}'`).join(', ')}],`,
)
const text = `/** What the service answers to each loss's examples, in their order: written by \`npm run docs\`, held to it by tests. */
export const EXAMPLE_ANSWERS: Readonly<Record<string, readonly string[]>> = {
${lines.join('\n')}
}
`
writeFileSync(new URL('../src/schemas/example-answers.ts', import.meta.url), text)

async function ask(path: string, body: object): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
  return answer.text()
}
