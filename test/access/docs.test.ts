/** The commands of docs/access.md, run by a shell with the real curl, and the responses below them. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { builtProgram } from '../support/programs.ts'
import { startServer, type TestServer } from '../support/server.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const page = readFileSync(join(root, 'docs/access.md'), 'utf8')
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```\n(?:```(?:json|text)\n([\s\S]*?)^```$)?/gm)].map(
  ([, command, shown]) => ({ command: command!, shown }),
)

let folder: string
let server: TestServer
let secure: TestServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lossd-access-docs-'))
  writeFileSync(
    join(folder, 'npx'),
    `#!/bin/sh\nshift\ncd ${root} && exec node ${builtProgram('cli')} "$@"\n`,
    { mode: 0o755 },
  )
  const certificates = join(root, 'test/support/certificates')
  for (const file of ['server.pem', 'server.key', 'ca.pem'])
    writeFileSync(join(folder, file), readFileSync(join(certificates, file)))
  secure = await startServer({
    tlsCert: `${folder}/server.pem`,
    tlsKey: `${folder}/server.key`,
    engine: 'interpreter',
  })
}, 60_000)
afterAll(async () => {
  await server?.close()
  await secure.close()
  rmSync(folder, { recursive: true })
})

const isThere = (program: string) => {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** With the addresses of the test, and without what starts or signals a service. */
function runnable(command: string): string {
  const lines = command.split('\n').filter((line) => !/^(npm |kill |LOSSD_TLS_CERT=)/.test(line))
  const plain = `localhost:${server?.port}`
  return lines
    .join('\n')
    .replaceAll('https://localhost:8080', `https://localhost:${secure.port}`)
    .replaceAll('localhost:8080', plain)
    .replaceAll('file:keys.json', `file:${folder}/keys.json`)
}

async function shell(script: string, key = ''): Promise<string> {
  const env = {
    ...process.env,
    PATH: `${folder}:${process.env.PATH}`,
    KEY: key,
    LOSSD_KEYS: `file:${folder}/keys.json`,
  }
  const child = spawn('bash', ['-euc', script], { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  return textOf(child.stdout)
}

it.skipIf(!isThere('curl') || !isThere('bash'))(
  'docs/access.md: every command does what the page says',
  async () => {
    const [first, ...others] = blocks
    const key = (await shell(`${runnable(first!.command)}\necho "$KEY"`)).trim()
    expect(key).toMatch(/^lossd_/)
    server = await startServer({
      keys: `file:${folder}/keys.json`,
      store: `file:${folder}/lossd.db`,
      engine: 'compiled',
      threads: 1,
    })
    const shown = others.filter((block) => block.shown !== undefined)
    expect(shown.length).toBeGreaterThanOrEqual(5)
    for (const block of shown) {
      const printed = await shell(runnable(block.command), key)
      expect([block.command, normal(printed)]).toEqual([block.command, normal(block.shown!)])
    }
  },
  60_000,
)

/** Responses end without a line break, and a header line ends with CR. */
function normal(text: string): string {
  return text
    .replaceAll('\r', '')
    .replaceAll(/"requestId":"[^"]+"/g, '"requestId":"..."')
    .replaceAll('}{', '}\n{')
    .trim()
}

it('docs/access.md names every grant, quota and setting of access', () => {
  const config = readFileSync(join(root, 'src/config.ts'), 'utf8')
  const settings = [...config.matchAll(/'(LOSSD_(?:KEYS|QUOTA|SHARED_NAMESPACES|JWT_\w+|TLS_\w+))'/g)].map(
    ([, name]) => name!,
  )
  expect(settings.length).toBeGreaterThanOrEqual(11)
  for (const name of settings) expect(page).toContain(name)
})
