/** The element types of a kernel: those of its lanes, and those of its buffers, which may be narrower. */
import type { Buffer } from '../../loops/loop-plan.ts'
import { FLOAT32, type LaneType, type StoredType } from './lane-type.ts'

export interface ElementTypes {
  readonly lane: LaneType
  /** Inputs that are float32 although the lanes are float64. They are converted when they are loaded. */
  readonly narrow: ReadonlySet<string>
}

/** Every real number is float32. */
export const ALL_FLOAT32: ElementTypes = { lane: FLOAT32, narrow: new Set() }

/** How the elements of a buffer are stored. */
export function storedTypeOf({ lane, narrow }: ElementTypes, { role, name, type }: Buffer): StoredType {
  if (role !== 'input') return lane.native
  if (type === 'index') return lane.index
  return narrow.has(name) ? lane.narrow : lane.native
}

/** Bytes of a vector. */
export const VECTOR_BYTES = 16

/** Bytes between neighbors in a buffer. */
export function elementBytesOf(types: ElementTypes, buffer: Buffer): number {
  return buffer.vectors ? VECTOR_BYTES : storedTypeOf(types, buffer).bytes
}
