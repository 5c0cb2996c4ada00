/** The build: concurrent starts, a start while a service is running, and no build if nothing has changed. */
import { appendFileSync, cpSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { check, ROOT, type Service, start } from './service.ts'

const COPIED = ['src', 'setup', 'package.json', 'tsconfig.json', 'tsconfig.build.json']

export async function checkBuilt(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lossd-build-'))
  for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  try {
    await checkIn(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function checkIn(folder: string) {
  const [first, second] = await Promise.all([npmStart(folder), npmStart(folder)])
  check(await answers(first, 'float32'), 'the first of two starts at once answers')
  await stop(second)
  console.log('build: two starts at once, from nothing, both serve')

  appendFileSync(join(folder, 'src/server.ts'), '\n// Changed.\n')
  const third = await npmStart(folder)
  check(buildsIn(folder).length === 2, 'changed sources have a build of their own')
  // Its thread and the code that runs there have not been loaded before.
  check(await answers(first, 'float64'), 'a service that runs has all its modules still')
  check(await answers(third, 'float64'), 'the new one answers')
  console.log('build: a start beside a running service leaves it what it has not loaded yet')

  const before = builtAt(folder)
  await stop(third)
  await stop(await npmStart(folder))
  check(builtAt(folder) === before, 'nothing is built where nothing has changed')
  check(buildsIn(folder).length === 2, 'nothing else lies in dist')
  await stop(first)
  console.log('build: nothing is built where nothing has changed')
}

function npmStart(folder: string): Promise<Service> {
  return start({}, ['npm', 'start'], { cwd: folder })
}

async function answers({ url }: Service, dtype: string): Promise<boolean> {
  const tensor = { dtype, data: [1, 2] }
  const response = await fetch(`${url}/v1/losses/huber`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ predictions: tensor, targets: tensor }),
  })
  return response.status === 200
}

async function stop({ child, exit }: Service) {
  child.kill('SIGTERM')
  await exit
}

/** Everything but the files that start the latest build. */
function buildsIn(folder: string): string[] {
  return readdirSync(join(folder, 'dist')).filter((name) => !name.endsWith('.js'))
}

function builtAt(folder: string): number {
  return statSync(join(folder, 'dist/server.js')).mtimeMs
}
