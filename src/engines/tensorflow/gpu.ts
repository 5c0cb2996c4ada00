/**
 * Information about the first GPU from nvidia-smi, which is part of the driver. TensorFlow's C API does not provide
 * it.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export interface Gpu {
  /** For example `NVIDIA H100 80GB HBM3`. */
  readonly name: string
  /** Version of the driver. */
  readonly driver: string
  readonly memoryBytes: number
}

const QUESTION = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits', '--id=0']
/** Timeout, because a driver may hang. */
const LIMIT_MS = 5000

/** Undefined if nvidia-smi is missing, or its output is not useful. */
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
