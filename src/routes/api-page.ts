/**
 * OpenAPI 3.1 at /openapi.json, and the appearance of the page that shows it (/docs, whose plugin app.ts
 * registers).
 */
import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui'
import { PUBLIC } from './authorize.ts'
import type { Routes } from './context.ts'

const routes: Routes = (app) => {
  app.get('/openapi.json', { schema: { hide: true }, config: PUBLIC }, () => app.swagger())
}

export default routes

/** The icon: a gradient descending into its minimum. */
const MARK = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1b2a41"/><path d="M5 7c3 21 19 21 22 0" fill="none" stroke="#9fb8d9" stroke-width="2.5" stroke-linecap="round"/><circle cx="16" cy="22.5" r="3.5" fill="#ffb703"/></svg>`

/** Our own icon only, groups that are collapsed at first, and no bar for the URL of another API. */
export function pageOptions(): FastifySwaggerUiOptions {
  return {
    routePrefix: '/docs',
    logo: { type: 'image/svg+xml', content: Buffer.from(MARK), href: '/' },
    theme: {
      title: 'lossd',
      favicon: [
        {
          filename: 'mark.svg',
          rel: 'icon',
          sizes: 'any',
          type: 'image/svg+xml',
          content: MARK,
        },
      ],
      css: [{ filename: 'page.css', content: STYLE }],
      js: [{ filename: 'page.js', content: SCRIPT }],
    },
  }
}

const STYLE = `
.swagger-ui .info { margin: 2rem 0 1rem; }
.swagger-ui .info hgroup.main > a { display: none; }
.swagger-ui .info .title { display: flex; align-items: center; gap: 0.6rem; flex-wrap: wrap; }
.swagger-ui .info .title::before { content: ''; width: 2.6rem; height: 2.6rem; background: url(mark.svg) center / contain no-repeat; }
.swagger-ui .info .title small { top: 0; }
.swagger-ui .opblock-tag { font-size: 1.1rem; padding: 0.6rem 0.5rem; }
.swagger-ui .opblock-tag small { font-size: 0.85rem; }
.swagger-ui .opblock .opblock-summary-path { max-width: none; word-break: break-word; }
/* Error responses all look alike: their descriptions are enough. */
.swagger-ui .response[data-code^='4'] .response-col_description > :not(.response-col_description__inner),
.swagger-ui .response[data-code^='5'] .response-col_description > :not(.response-col_description__inner),
.swagger-ui .response-col_links, .swagger-ui .col_header.response-col_links { display: none; }
@media (max-width: 640px) {
  .swagger-ui .wrapper, .swagger-ui .opblock-tag { padding-left: 0.5rem; padding-right: 0.5rem; }
  .swagger-ui .opblock-tag { justify-content: space-between; }
  .swagger-ui .opblock-tag small { display: none; }
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui .opblock .opblock-summary-method { min-width: 3.5rem; padding: 0.4rem 0.5rem; }
  .swagger-ui .opblock .opblock-summary-description { flex-basis: 100%; padding: 0.3rem 0.5rem; }
  .swagger-ui table tbody tr td, .swagger-ui table thead tr th { padding-right: 0.5rem; }
  .swagger-ui .parameters-col_description input[type='text'], .swagger-ui textarea { max-width: 100%; min-width: 0; }
  .swagger-ui .parameters-col_name, .swagger-ui .response-col_status { min-width: 0; }
  .swagger-ui .highlight-code, .swagger-ui .model-box, .swagger-ui pre { max-width: 100%; overflow-x: auto; }
}
`

/**
 * Replaces the script of the plugin's page, which sets no viewport and parses JSON as YAML, which takes longer than
 * everything else together. The document is fetched while the rest of the page loads.
 */
const SCRIPT = `
const document_ = fetch('/openapi.json').then((response) => response.json())
const meta = document.createElement('meta')
meta.name = 'viewport'
meta.content = 'width=device-width, initial-scale=1'
document.head.append(meta)
const asJson = {
  statePlugins: {
    spec: { wrapActions: { parseToJson: (_, { specActions, specSelectors }) => (text) => specActions.updateJsonSpec(JSON.parse(text || specSelectors.specStr())) } },
  },
}
window.onload = async () => {
  SwaggerUIBundle({
    dom_id: '#swagger-ui',
    spec: await document_,
    presets: [SwaggerUIBundle.presets.apis],
    plugins: [asJson],
    layout: 'BaseLayout',
    deepLinking: true,
    docExpansion: 'none',
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    // Highlighting long responses takes seconds.
    syntaxHighlight: { activate: false },
    validatorUrl: null,
  })
}
`
