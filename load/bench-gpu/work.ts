/** What the GPU bench computes: an element, a row and a batch loss, in shapes of so many elements; and how thoroughly. */
import { missingDevice } from '../../src/engines/webgpu/device.ts'

export const HAS_GPU = missingDevice() === undefined

/** A software renderer says nothing of a GPU, however long it is measured, and takes minutes for large launches. */
export const EFFORT = HAS_GPU
  ? { rounds: 3, warmUpSeconds: 2, roundSeconds: 4, kernelSeconds: 0.3, mostElements: 1e9 }
  : { rounds: 1, warmUpSeconds: 1, roundSeconds: 1, kernelSeconds: 0.1, mostElements: 1e6 }

export interface GpuWork {
  readonly name: string
  /** Size of the inner axis. */
  readonly columns: number
  /** Whether elements are pairs of rows. */
  readonly pairs: boolean
}

export const WORK: readonly GpuWork[] = [
  { name: 'sigmoid_focal', columns: 100, pairs: false },
  { name: 'cross_entropy', columns: 1000, pairs: false },
  { name: 'nt_xent', columns: 32, pairs: true },
]

/** Rows and columns of a launch of so many elements, or pairs of rows. */
export function shapeOf({ columns, pairs }: GpuWork, elements: number): { rows: number; columns: number } {
  if (!pairs) return { rows: Math.max(1, Math.round(elements / columns)), columns }
  // Every row has a partner: an even number.
  return { rows: 2 * Math.round(Math.sqrt(elements) / 2), columns }
}
