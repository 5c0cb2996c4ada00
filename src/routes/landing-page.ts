/** `/`: links to the main pages, as HTML for browsers and as JSON for other clients. */
import { PUBLIC } from './authorize.ts'
import type { Routes } from './context.ts'
import { varies } from './negotiate.ts'

/** Path -> what is there. */
const PLACES = {
  '/docs': 'Interactive API documentation: every loss with its inputs, its parameters and an example to try.',
  '/v1/losses': 'All losses. With a name: the formula, inputs, parameters and references of one.',
  '/v1/guide': 'Which loss to choose, and why.',
  '/v1/engines': 'The engines in use.',
  '/openapi.json': 'OpenAPI 3.1.',
  '/health/ready': 'Whether the service is ready.',
  '/metrics': 'Prometheus metrics.',
} as const

const ABOUT = 'Loss functions with exact gradients over HTTP.'
const EXAMPLE = { path: '/v1/losses/huber', body: { predictions: [1, 2], targets: [1, 4] } }

const routes: Routes = (app) => {
  app.get('/', { schema: { hide: true }, config: PUBLIC }, ({ headers }, reply) => {
    varies(reply, 'Accept')
    if (/\btext\/html\b/.test(headers.accept ?? '')) return reply.type('text/html; charset=utf-8').send(PAGE)
    return { name: 'lossd', about: ABOUT, places: PLACES, example: { method: 'POST', ...EXAMPLE } }
  })
}

export default routes

const items = Object.entries(PLACES).map(([path, text]) => `<li><a href="${path}">${path}</a> ${text}</li>`)

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>lossd</title>
<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem; }
  pre { overflow-x: auto; padding: 1rem; border: 1px solid #8886; border-radius: 0.4rem; }
  li { margin: 0.4rem 0; }
</style>
<h1>lossd</h1>
<p>${ABOUT} Post predictions and targets, and get the loss and its gradient:</p>
<pre>curl -s HOST${EXAMPLE.path} -H 'content-type: application/json' \\
  -d '${JSON.stringify(EXAMPLE.body)}'</pre>
<ul>
${items.join('\n')}
</ul>
</html>
`
