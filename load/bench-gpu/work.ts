/**
 * What the GPU benchmark computes: an element-wise loss, a row loss and a batch loss, in shapes with a given number
 * of elements, and how thoroughly.
 */
import { missingDevice } from '../../src/engines/webgpu/device.ts'

export const HAS_GPU = missingDevice() === undefined

/** A software renderer says nothing about a GPU, however long it is measured, and takes minutes for large launches. */
export const BENCH_SETTINGS = HAS_GPU
  ? { rounds: 3, warmUpSeconds: 2, roundSeconds: 4, kernelSeconds: 0.3, mostElements: 1e9 }
  : { rounds: 1, warmUpSeconds: 1, roundSeconds: 1, kernelSeconds: 0.1, mostElements: 1e6 }

export interface GpuWork {
  readonly name: string
  /** Size of the inner axis. */
  readonly columns: number
  /** Whether the elements are pairs of rows. */
  readonly pairs: boolean
}

export const WORK: readonly GpuWork[] = [
  { name: 'sigmoid_focal', columns: 100, pairs: false },
  { name: 'cross_entropy', columns: 1000, pairs: false },
  { name: 'nt_xent', columns: 32, pairs: true },
]

/** Rows and columns of a launch with this many elements, or pairs of rows. */
export function shapeOf({ columns, pairs }: GpuWork, elements: number): { rows: number; columns: number } {
  if (!pairs) return { rows: Math.max(1, Math.round(elements / columns)), columns }
  // Every row needs a partner, so the number of rows is even.
  return { rows: 2 * Math.round(Math.sqrt(elements) / 2), columns }
}
