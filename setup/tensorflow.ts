/**
 * `npm run setup:tensorflow [-- --gpu] [--again]`: installs a current TensorFlow, and tfjs-node's addon built against it, into
 * .tensorflow beside the sources. Nothing else is touched; what is there already is kept, so that a run that was cut short
 * is repaired by the next. `--again` starts from nothing.
 */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import tensorflow from '../src/engines/tensorflow.ts'
import { build, installPackages } from './tensorflow/addon.ts'
import { errorLineOf, run, SetupError } from './tensorflow/commands.ts'
import { checkSpace, driver, findTools } from './tensorflow/needs.ts'
import { type Plan, planFor } from './tensorflow/plan.ts'
import { place } from './tensorflow/wheels.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const FOLDER = join(ROOT, '.tensorflow')
const READY = join(FOLDER, 'setup.json')
/** The start of the output line of prove.ts, to find it in the output of TensorFlow. */
const PROOF = 'proved: '
const OPTIONS = ['--gpu', '--again']

try {
  await setUp(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(`setup:tensorflow: ${error.message}`)
  process.exitCode = 1
}

/** Every step keeps what is already there. */
async function setUp(options: readonly string[]) {
  const unknown = options.find((option) => !OPTIONS.includes(option))
  if (unknown !== undefined)
    throw new SetupError(`unknown option ${unknown}: the options are ${OPTIONS.join(', ')}`)
  const plan = planFor(process, options.includes('--gpu'))
  if (typeof plan === 'string') throw new SetupError(plan)
  if (options.includes('--again')) await rm(FOLDER, { recursive: true, force: true })
  await mkdir(FOLDER, { recursive: true })
  const { python, compiler } = findTools(plan)
  await checkSpace(FOLDER, plan.space - (await sizeOf(FOLDER)))
  await rm(READY, { force: true })
  await installPackages(FOLDER)
  await fetchLibraries(plan, python)
  await build(FOLDER, plan.package, compiler)
  console.log(await prove(plan))
  console.log(`${((await sizeOf(FOLDER)) / 1e9).toFixed(1)} GB in .tensorflow`)
}

/** TensorFlow's own wheel is extracted to `include` and `lib`, CUDA's wheels to `nvidia`, where TensorFlow looks for them. */
async function fetchLibraries({ package: name, wheels }: Plan, python: string) {
  const home = join(FOLDER, 'node_modules', name, 'deps')
  await removeLeftovers(home)
  for (const wheel of wheels) await place(wheel, home, python)
}

/** Removes wheels of an interrupted run, and the libraries of the other package (CPU or GPU). */
async function removeLeftovers(home: string) {
  await mkdir(home, { recursive: true })
  const stale = (await readdir(home)).filter((name) => name.startsWith('download-'))
  const packages = ['@tensorflow/tfjs-node', '@tensorflow/tfjs-node-gpu'].map((name) =>
    join(FOLDER, 'node_modules', name, 'deps'),
  )
  const others = packages.filter((folder) => folder !== home)
  for (const folder of [...stale.map((name) => join(home, name)), ...others])
    await rm(folder, { recursive: true, force: true })
}

/** @returns what was computed. If it is wrong, the setup does not count as complete. */
async function prove({ package: name, version, isForGpu }: Plan): Promise<string> {
  await writeFile(READY, JSON.stringify({ package: name, version, isForGpu }))
  const script = fileURLToPath(new URL('tensorflow/prove.ts', import.meta.url))
  const env = { ...tensorflow.environment?.(), TF_CPP_MIN_LOG_LEVEL: '0' }
  const { code, said } = await run(process.execPath, ['--import', 'tsx', script], { cwd: ROOT, env })
  const proof = said.split('\n').find((line) => line.startsWith(PROOF))
  const failure = code === 0 && proof !== undefined ? withoutGpu(isForGpu, proof, said) : errorLineOf(said)
  if (failure === undefined) return proof!.slice(PROOF.length)
  await rm(READY, { force: true })
  throw new SetupError(`the addon was built, but does not work: ${failure}`)
}

/** Why TensorFlow does not use a GPU although there is a driver. */
function withoutGpu(isForGpu: boolean, proof: string, said: string): string | undefined {
  if (!isForGpu || driver() === undefined || proof.includes('XLA, GPU')) return undefined
  const line = said
    .split('\n')
    .find((text) => /Could not load dynamic library|Cannot dlopen|CUDA_ERROR|failed call to cu/.test(text))
  return `TensorFlow sees no GPU (${line?.trim() ?? 'run nvidia-smi to see whether the driver does'})`
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map((entry) => stat(join(entry.parentPath, entry.name))))
  return sizes.reduce((total, { size }) => total + size, 0)
}
