/** What nvidia-smi, which comes with the driver, says about the first GPU: TensorFlow's C interface does not tell. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface Gpu {
  /** For instance `NVIDIA H100 80GB HBM3`. */
  readonly name: string
  /** Version of the driver. */
  readonly driver: string
  readonly memoryBytes: number
}

const QUESTION = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits', '--id=0']
/** A driver that hangs must not keep whoever asks. */
const LIMIT_MS = 5000

/** Undefined where it is not there, or says nothing of use. */
export async function queryNvidiaSmi(): Promise<Gpu | undefined> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', QUESTION, { timeout: LIMIT_MS })
    return readGpu(stdout)
  } catch {
    return undefined
  }
}

/** @example readGpu('NVIDIA H100 80GB HBM3, 570.86.15, 81559\n') // { driver: '570.86.15', ... } */
export function readGpu(line: string): Gpu | undefined {
  const found = line.trim().match(/^(.+), ([\d.]+), (\d+)$/)
  if (found === null) return undefined
  return { name: found[1], driver: found[2], memoryBytes: Number(found[3]) * 2 ** 20 }
}
