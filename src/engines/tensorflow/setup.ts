/** What `npm run setup:tensorflow` has left: read without loading any of it. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Builds lie one folder deeper: dist/<build>/engines/tensorflow. */
const ROOT = new URL(import.meta.url.endsWith('.js') ? '../../../../' : '../../../', import.meta.url)
/** Beside src and dist, out of the way of npm, which removes from node_modules what it did not put there. */
export const FOLDER = fileURLToPath(new URL('.tensorflow/', ROOT))

/** What the setup writes last, when it has seen a loss and its gradient come out right. */
export interface Setup {
  readonly package: string
  /** Of TensorFlow. */
  readonly version: string
  readonly isForGpu: boolean
}

/** What was set up, or why nothing is. */
export function readSetup(folder: string = FOLDER): Setup | string {
  const file = join(folder, 'setup.json')
  if (!existsSync(file)) return 'not set up (npm run setup:tensorflow)'
  return JSON.parse(readFileSync(file, 'utf8')) as Setup
}

/** Where CUDA's compiler and its library of functions lie; undefined where they are not needed. */
export function cudaFolder(setup: Setup | string): string | undefined {
  if (typeof setup === 'string' || !setup.isForGpu) return undefined
  return join(FOLDER, 'node_modules', setup.package, 'deps', 'nvidia', 'cuda_nvcc')
}
