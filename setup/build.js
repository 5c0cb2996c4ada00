/**
 * `npm run build`: compiles src if it has changed. Plain JavaScript, because it needs nothing but TypeScript itself.
 *
 *   dist/<hash of the sources>/   a build, which is renamed into place, so that it is always complete
 *   dist/server.js                starts the latest build, and is replaced atomically by renaming
 *   dist/store-cli.js             the same for the store command
 *   dist/cli.js                   the same for `lossd`
 *
 * So concurrent builds do not disturb each other or a running service, which loads modules and workers on demand from the
 * build that it was started with. Builds that nobody runs are removed when they have not been the latest for a day.
 */
import { spawnSync } from 'node:child_process'
import { createHash, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const DIST = join(ROOT, 'dist')
const CONFIG = 'tsconfig.build.json'
const MADE_FROM = ['src', 'tsconfig.json', CONFIG, 'setup/build.js']
const KEPT_MS = 24 * 60 * 60 * 1000
const ENTRIES = ['server.js', 'store-cli.js', 'cli.js']
/** Packages with many small modules. */
const JOINED = ['kysely', '@sinclair/typebox', '@sinclair/typebox/value', '@sinclair/typebox/compiler']
/** Sources may be saved while they are compiled. */
const TRIES = 3

const require = createRequire(import.meta.url)
const name = build()
for (const entry of ENTRIES) point(entry, name)
prune(name)

/** @returns the name of the build of the current sources */
function build() {
  for (let i = 0; i < TRIES; i++) {
    const name = hashOfSources()
    if (fs.existsSync(join(DIST, name))) return name
    const made = compile()
    if (hashOfSources() === name) return settle(made, name)
    fs.rmSync(made, { recursive: true, force: true })
  }
  throw new Error('the sources change while they are compiled')
}

function hashOfSources() {
  const hash = createHash('sha256').update(require('typescript/package.json').version)
  for (const file of MADE_FROM.flatMap(filesOf)) {
    hash.update(`\0${file}\0`).update(fs.readFileSync(join(ROOT, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

function filesOf(path) {
  if (!fs.statSync(join(ROOT, path)).isDirectory()) return [path]
  const below = fs.readdirSync(join(ROOT, path), { recursive: true, withFileTypes: true })
  const files = below.filter((entry) => entry.isFile())
  return files.map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(ROOT.length)).sort()
}

/** @returns the folder with the compiled files */
function compile() {
  const folder = join(DIST, `.new-${randomUUID()}`)
  const tsc = require.resolve('typescript/bin/tsc')
  // Types are checked by `npm run typecheck`. Without that a build takes 40 % of the time, and so does the first `npm start`.
  const args = [tsc, '-p', join(ROOT, CONFIG), '--noCheck', '--outDir', folder]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status === 0) return joinSmallModules(folder)
  fs.rmSync(folder, { recursive: true, force: true })
  return process.exit(status ?? 1)
}

/**
 * TypeBox and Kysely have 400 modules, which take a process or a thread longer to find and to load than everything of ours: here
 * they become a few. Where esbuild is not installed (the image is built without optional packages), they stay what they are.
 */
function joinSmallModules(folder) {
  const esbuild = optional('esbuild')
  if (esbuild === undefined) return folder
  const files = new Map(JOINED.map((name) => [name, `${name.replace('@', '').replaceAll('/', '-')}.js`]))
  const joined = join(folder, 'joined')
  const ours = modulesIn(folder)
  esbuild.buildSync({
    absWorkingDir: ROOT,
    entryPoints: [...files].map(([name, file]) => ({ in: name, out: file.slice(0, -3) })),
    outdir: joined,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    minifyWhitespace: true,
  })
  for (const path of ours) importFrom(joined, files, path)
  return folder
}

function modulesIn(folder) {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true })
  const modules = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.js'))
  return modules.map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

/** Makes a module import the joined files instead of the packages. */
function importFrom(joined, files, path) {
  const text = fs.readFileSync(path, 'utf8')
  const way = relative(dirname(path), joined).split(sep).join('/')
  const changed = text.replaceAll(/ from '([^']+)'/g, (whole, name) => {
    const file = files.get(name)
    return file === undefined ? whole : ` from '${way.startsWith('.') ? way : `./${way}`}/${file}'`
  })
  if (changed !== text) fs.writeFileSync(path, changed)
}

function optional(name) {
  try {
    return require(name)
  } catch {
    return undefined
  }
}

function settle(folder, name) {
  try {
    fs.renameSync(folder, join(DIST, name))
  } catch (error) {
    // Another process has made the same build in the meantime.
    if (!fs.existsSync(join(DIST, name))) throw error
    fs.rmSync(folder, { recursive: true, force: true })
  }
  return name
}

/** Makes dist/<file> start a build. */
function point(file, name) {
  const entry = join(DIST, file)
  const text = entryOf(file, name)
  const before = fs.existsSync(entry) ? fs.readFileSync(entry, 'utf8') : ''
  if (before === text) return
  const replaced = /'\.\/(\w+)\/[\w-]+\.js'/.exec(before)?.[1]
  if (replaced !== undefined) touch(join(DIST, replaced))
  const made = join(DIST, `.new-${randomUUID()}.js`)
  fs.writeFileSync(made, text, { mode: 0o755 })
  fs.renameSync(made, entry)
}

function entryOf(file, name) {
  return `#!/usr/bin/env node
// Written by setup/build.js: starts the latest build, and leaves a file there that marks it as running.
import { writeFileSync } from 'node:fs'
// Node would open its inspector.
process.on('SIGUSR1', () => {})
try {
  writeFileSync(new URL(\`./${name}/.used-by-\${process.pid}\`, import.meta.url), '')
} catch {
  // Without write permission this is a container image, in which nothing is built any more.
}
await import('./${name}/${file}').catch((error) => {
  if (error.code !== 'EMFILE') throw error
  console.error('lossd: the limit of open files is too low to start; raise it, for example with ulimit -n 1024')
  process.exit(1)
})
`
}

function touch(path) {
  try {
    fs.utimesSync(path, new Date(), new Date())
  } catch {
    // Another process has already removed it.
  }
}

function prune(latest) {
  for (const entry of fs.readdirSync(DIST)) {
    const path = join(DIST, entry)
    const isOurs = /^([0-9a-f]{16}|\.new-.+)$/.test(entry)
    if (!isOurs || entry === latest || isInUse(path) || isFresh(path)) continue
    fs.rmSync(path, { recursive: true, force: true })
  }
}

function isFresh(path) {
  return Date.now() - (fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < KEPT_MS
}

/** Whether a process runs it. The marks of processes that have ended are removed. */
function isInUse(path) {
  if (!fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return false
  const notes = fs.readdirSync(path).filter((file) => file.startsWith('.used-by-'))
  const [running, ended] = [[], []]
  for (const note of notes) (isAlive(Number(note.split('-').at(-1))) ? running : ended).push(note)
  if (running.length > 0) for (const note of ended) fs.rmSync(join(path, note), { force: true })
  return running.length > 0
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
