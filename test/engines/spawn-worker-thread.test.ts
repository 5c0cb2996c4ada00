/** Threads of a service that runs from its sources (`npm run dev`). Those of other tests run what is built. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type * as Module from '../../src/engines/spawn-worker-thread.ts'
import type { Request } from '../../src/store/sqlite/messages.ts'

const SOURCES = new URL('../../src/', import.meta.url)

it('a thread runs from the sources', async () => {
  // With a query, vitest does not put the build in its place.
  const { spawn }: typeof Module = await import(
    new URL('engines/spawn-worker-thread.ts?sources', SOURCES).href
  )
  const folder = mkdtempSync(join(tmpdir(), 'lossd-thread-'))
  const thread = spawn(new URL('store/sqlite/worker', SOURCES), { path: join(folder, 'lossd.db') })
  thread.postMessage({ id: 1, sql: 'select 6 * 7 as found', parameters: [] } satisfies Request)
  const [reply] = await once(thread, 'message')
  expect(reply).toMatchObject({ type: 'done', id: 1, result: { rows: [{ found: 42 }] } })
  await thread.terminate()
  rmSync(folder, { recursive: true })
})
