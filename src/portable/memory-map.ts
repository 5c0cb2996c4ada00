/** The fixed part of a portable kernel's memory: what the host writes and reads, and what one call leaves for the next. */
import { VECTOR_BYTES } from '../engines/compiled/element-types.ts'
import { OVERREAD_ELEMENTS } from '../engines/compiled/emit/kernel-params.ts'

/** Bytes before, between and after arrays, which vectors at their ends may read. */
export const PADDING = VECTOR_BYTES + OVERREAD_ELEMENTS * 8

/** The address of the first word: 0 is no address. */
const START = 16

/** What `lossd_result` points at: offsets of its members. */
export const RESULT = {
  value: 0,
  denominator: 8,
  count: 16,
  status: 24,
  input: 28,
  element: 32,
  bytes: 40,
} as const

/** The number of each kind of word. */
export interface Counts {
  readonly sizes: number
  readonly params: number
  readonly inputs: number
  readonly spreads: number
  readonly outputs: number
  /** Bytes of the argument of each group of kernels. */
  readonly groups: readonly number[]
}

/** Addresses. */
export interface MemoryMap {
  /** The sizes as the host writes them, and those that the arrays are laid out for. */
  readonly sizes: number
  readonly prepared: number
  readonly params: number
  readonly result: number
  /** The addresses of arrays, by place. */
  readonly inputs: number
  readonly spreads: number
  readonly outputs: number
  readonly denominators: number
  readonly cotangent: number
  /** Which of the optional inputs are given. */
  readonly given: number
  /** The number of unreduced values, and of rows. */
  readonly count: number
  readonly rows: number
  /** For each group: the place of its kernel for these sizes, and the argument. */
  readonly chosen: readonly number[]
  readonly arguments: readonly number[]
  /** Where arrays begin. */
  readonly end: number
}

export function memoryMap({ sizes, params, inputs, spreads, outputs, groups }: Counts): MemoryMap {
  let end = START
  const take = (bytes: number, alignment = 4) => {
    const at = Math.ceil(end / alignment) * alignment
    end = at + bytes
    return at
  }
  const map = {
    sizes: take(4 * sizes),
    prepared: take(4 * sizes),
    params: take(8 * params, 8),
    result: take(RESULT.bytes, 8),
    inputs: take(4 * inputs),
    spreads: take(4 * spreads),
    outputs: take(4 * outputs),
    denominators: take(4),
    cotangent: take(4),
    given: take(4),
    count: take(4),
    rows: take(4),
    chosen: groups.map(() => take(4)),
    arguments: groups.map((bytes) => take(bytes, VECTOR_BYTES)),
  }
  return { ...map, end: take(PADDING, VECTOR_BYTES) + PADDING }
}
