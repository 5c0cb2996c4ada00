/**
 * `npm run test:start [-- page ...]`: runs the programs of docs/start unchanged, each page against its own service
 * behind a fault-injecting proxy, and compares their output with the page. If a language or its packages are missing,
 * one line says so.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startService } from '../../load/processes.ts'
import { browser, go, NotHere, python, type Run } from './languages.ts'
import { readPage, type StartPage } from './page.ts'
import { roughly } from './rough.ts'

const GB = 1e9

/** Page -> what runs its programs. PyPI's PyTorch for Linux includes CUDA, even if there is no GPU. */
const PAGES: Readonly<Record<string, () => Promise<Run>>> = {
  numpy: () => python(GB, 'numpy==2.4.6', 'safetensors==0.8.0'),
  xgboost: () => python(GB, 'numpy==2.4.6', 'safetensors==0.8.0', 'xgboost-cpu==3.2.0'),
  pytorch: () => python(12 * GB, 'numpy==2.4.6', 'safetensors==0.8.0', 'torch==2.15.0'),
  go,
  browser,
}

const wanted = process.argv.slice(2)
const names = Object.keys(PAGES).filter((name) => wanted.length === 0 || wanted.includes(name))
const pages = new Map(
  names.map((name) => [name, readPage(new URL(`../../docs/start/${name}.md`, import.meta.url))]),
)
const folder = mkdtempSync(join(tmpdir(), 'lossd-start-'))
try {
  checkAlike()
  for (const [name, page] of pages) await check(name, page)
} catch (error) {
  const { stderr = '', message } = error as Error & { stderr?: string }
  console.error(`FAIL ${message}\n${stderr}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Checks that files which occur on several pages are identical. */
function checkAlike() {
  const known = new Map<string, string>()
  for (const [name, { files }] of pages) {
    for (const [file, text] of files) {
      if ((known.get(file) ?? text) !== text && file.startsWith('lossd.'))
        throw new Error(`${file} of docs/start/${name}.md differs from that of another page`)
      known.set(file, text)
    }
  }
}

async function check(name: string, page: StartPage) {
  try {
    const run = await PAGES[name]!()
    await runAll(name, page, run).finally(() => run.close?.())
    const programs = page.programs.map(({ file }) => file).join(', ')
    console.log(`docs/start/${name}.md prints what it says: ${programs}`)
  } catch (error) {
    if (!(error instanceof NotHere)) throw error
    console.log(`docs/start/${name}.md is not run here: ${error.message}`)
  }
}

async function runAll(name: string, { files, programs }: StartPage, run: Run) {
  const within = mkdtempSync(join(folder, `${name}-`))
  for (const [file, text] of files) writeFileSync(join(within, file), text)
  const settings = { LOSSD_STORE: `file:${folder}/${name}.db`, LOSSD_CORS_ORIGINS: '*' }
  const { server, stop } = await startService(settings)
  const proxy = await roughly(server.url)
  try {
    for (const { file, prints } of programs) {
      const printed = await run(within, file, proxy.url)
      if (printed.trimEnd() !== prints.trimEnd())
        throw new Error(`docs/start/${name}.md: ${file} prints\n${printed}\nand not\n${prints}`)
    }
    const faults = proxy.faults()
    if (faults.length > 0) throw new Error(`the client of docs/start/${name}.md ${faults.join(', ')}`)
  } finally {
    proxy.stop()
    await stop()
  }
}
