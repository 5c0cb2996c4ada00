/** Reads the result of `npm run setup:tensorflow` without loading any of it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Builds are one folder deeper: dist/<build>/engines/tensorflow. */
const ROOT = new URL(import.meta.url.endsWith('.js') ? '../../../../' : '../../../', import.meta.url)
/** Next to src and dist, because npm removes from node_modules whatever it did not install. */
export const FOLDER = fileURLToPath(new URL('.tensorflow/', ROOT))

/** The file that the setup writes last, after a loss and its gradient have been computed correctly. */
export interface Setup {
  readonly package: string
  /** TensorFlow's version. */
  readonly version: string
  readonly isForGpu: boolean
}

/** What was set up, or the reason why nothing is. */
export function readSetup(folder: string = FOLDER): Setup | string {
  const file = join(folder, 'setup.json')
  if (!existsSync(file)) return 'not set up (npm run setup:tensorflow)'
  return JSON.parse(readFileSync(file, 'utf8')) as Setup
}

/** The folder with CUDA's compiler and its library of functions; undefined if they are not needed. */
export function cudaFolder(setup: Setup | string): string | undefined {
  if (typeof setup === 'string' || !setup.isForGpu) return undefined
  return join(FOLDER, 'node_modules', setup.package, 'deps', 'nvidia', 'cuda_nvcc')
}
