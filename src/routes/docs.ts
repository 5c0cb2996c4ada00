/** OpenAPI 3.1 at /openapi.json. The page that shows it is /docs (app.ts registers its plugin). */
import type { Routes } from './context.ts'

const routes: Routes = (app) => {
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

export default routes
