/**
 * Helper functions of the module in addition to `run`, for code that is not inlined. Each is emitted on first use.
 */
import { VECTOR_BYTES } from '../element-types.ts'
import type { LaneType } from '../lane-type.ts'
import { HOST_IMPORTS, type MathOp, mathOf } from '../math.ts'
import {
  type Code,
  FunctionBuilder,
  get,
  I32,
  i32,
  loadVector,
  op,
  set,
  storeVector,
  V128,
  whileLoop,
} from '../wasm-encoder.ts'
import type { TargetFeatures } from '../wide.ts'

/** A function of the language, or one that walks over a buffer of sums. */
export type Helper = MathOp | SpecialCase | `polygamma ${number}` | 'fill' | 'flush'

/** Functions for arguments of which something is known. */
export type SpecialCase = 'expUpToZero' | 'log1pUnitInterval'

/** Where the functions that are emitted on first use go. */
export interface HelperTable {
  /** The index of the first of them among the functions of the module. */
  readonly base: number
  readonly functions: FunctionBuilder[]
}

/** The helpers of one module, or those for one lane type in it. */
export class Helpers {
  readonly #lane: LaneType
  readonly #target: TargetFeatures
  readonly #table: HelperTable
  readonly #made = new Map<string, number>()

  /** @param table by default that of a module with one kernel, which comes between the host's functions and the helpers */
  constructor(
    lane: LaneType,
    target: TargetFeatures,
    table: HelperTable = { base: HOST_IMPORTS.length + 1, functions: [] },
  ) {
    this.#lane = lane
    this.#target = target
    this.#table = table
  }

  get functions(): readonly FunctionBuilder[] {
    return this.#table.functions
  }

  /** Its index among the functions of the module. */
  indexOf(name: Helper): number {
    return this.ownIndexOf(name, () => this.#write(name))
  }

  /** The same for a function that another file writes. It may call functions of the module. */
  ownIndexOf(name: string, write: () => FunctionBuilder): number {
    const known = this.#made.get(name)
    if (known !== undefined) return known
    const { base, functions } = this.#table
    const index = base + functions.push(write()) - 1
    this.#made.set(name, index)
    return index
  }

  #write(name: Helper): FunctionBuilder {
    if (name === 'fill') return fillFunction()
    if (name === 'flush') return flushFunction(this.#lane)
    const count = name === 'pow' ? 2 : 1
    const f = new FunctionBuilder(new Array(count).fill(V128), [V128])
    const args = Array.from({ length: count }, (_, i) => get(i))
    f.add(this.#body(name, f, args))
    return f
  }

  #body(name: Exclude<Helper, 'fill' | 'flush'>, f: FunctionBuilder, args: readonly Code[]): Code {
    const { ops, polygamma, ...special } = mathOf(this.#lane)
    if (name === 'expUpToZero' || name === 'log1pUnitInterval') return special[name](f, this.#target, ...args)
    if (name in ops) return ops[name as MathOp].write(f, this.#target, ...args)
    return polygamma(f, this.#target, Number(name.split(' ')[1]), args[0])
  }
}

/** Kahan summation of a block into a total. Uncompensated if the total is not finite. */
export function compensated(
  lane: LaneType,
  f: FunctionBuilder,
  partial: Code,
  total: Code,
  lost: Code,
): { total: Code; lost: Code } {
  const corrected = f.let(lane.op('sub', partial, lost))
  const next = f.let(lane.op('add', total, corrected))
  const rest = f.let(lane.op('sub', lane.op('sub', next, total), corrected))
  const isSound = lane.op('lt', lane.op('abs', rest), lane.constant(Number.POSITIVE_INFINITY))
  return { total: next, lost: op('v128.and', rest, isSound) }
}

/** Iterates over `bytes` of memory, one vector at a time. */
function eachVector(f: FunctionBuilder, bytes: Code, turn: (offset: Code) => void) {
  const at = f.local(I32)
  const body = f.capture(() => {
    turn(get(at))
    f.add(set(at, op('i32.add', get(at), i32(VECTOR_BYTES))))
  })
  f.add(whileLoop(op('i32.lt_u', get(at), bytes), body))
}

/** fill(base, bytes, value) */
function fillFunction(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, V128], [])
  eachVector(f, get(1), (offset) => f.add(storeVector(op('i32.add', get(0), offset), get(2))))
  return f
}

/** flush(partial, total, lost, bytes): adds the sum of each block to the total. */
function flushFunction(lane: LaneType): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32], [])
  eachVector(f, get(3), (offset) => {
    const [partial, total, lost] = [0, 1, 2].map((base) => f.let(op('i32.add', get(base), offset), I32))
    const [summed, before, error] = [partial, total, lost].map((address) => f.let(loadVector(address)))
    const next = compensated(lane, f, summed, before, error)
    f.add(
      storeVector(lost, next.lost),
      storeVector(total, next.total),
      storeVector(partial, lane.constant(0)),
    )
  })
  return f
}
