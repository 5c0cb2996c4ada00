/**
 * Scales a gradient in place when the denominator of the mean is known: it is multiplied where the kernel wrote it,
 * four numbers at a time (SIMD), and checked for non-finite values in the same pass. This is a module of its own,
 * so that kernels do not depend on it.
 */
import type { Arena } from './arena.ts'
import { FLOAT32, FLOAT64, type LaneType } from './lane-type.ts'
import {
  type Code,
  encodeModule,
  extractI32,
  FunctionBuilder,
  get,
  I32,
  i32,
  loadVector,
  MAX_PAGES,
  op,
  set,
  storeVector,
  V128,
  whileLoop,
} from './wasm-encoder.ts'

/** `scale(address, bytes, factor)`, 1 if everything that was written is finite. */
type Scale = (address: number, bytes: number, factor: number) => number

const CODE = { float32: codeFor(FLOAT32), float64: codeFor(FLOAT64) } as const

function codeFor(lane: LaneType) {
  const functions = [scaleFunction(lane)]
  return { bytes: encodeModule({ imports: [], functions, exports: { scale: 0 }, maxPages: MAX_PAGES }) }
}

/**
 * Multiplies an array of an arena in place, in its own precision.
 *
 * @returns whether all of it is finite afterwards
 * @example
 * scaleInPlace(arena, results.gradients.predictions, 1 / 32)
 */
export function scaleInPlace(arena: Arena, data: Float32Array | Float64Array, factor: number): boolean {
  const code = data instanceof Float64Array ? CODE.float64 : CODE.float32
  return arena.bind(code, instantiate)(data.byteOffset, data.byteLength, factor) === 1
}

function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Scale {
  return new WebAssembly.Instance(module, { env: { memory } }).exports.scale as Scale
}

/** `scale(address, bytes, factor)`, for a module that may have other functions. */
export function scaleFunction(lane: LaneType): FunctionBuilder {
  const { native, finite } = lane
  const f = new FunctionBuilder([I32, I32, lane.scalar], [I32])
  const [address, end] = [0, f.local(I32)]
  const [factor, largest] = [f.local(V128), f.local(V128)]
  const product = (load: (address: Code) => Code) => f.let(lane.op('mul', load(get(address)), get(factor)))
  const note = (value: Code) =>
    set(largest, op('i32x4.max_s', get(largest), op('v128.and', value, finite.magnitude)))
  const turns = (last: Code, bytes: number, load: (address: Code) => Code, store: typeof storeVector) => {
    const turn = f.capture(() => {
      const value = product(load)
      f.add(store(get(address), value), note(value), set(address, op('i32.add', get(address), i32(bytes))))
    })
    f.add(whileLoop(op('i32.lt_u', get(address), last), turn))
  }
  f.add(set(end, op('i32.add', get(address), get(1))), set(factor, lane.op('splat', get(2))))
  turns(f.let(op('i32.add', get(address), op('i32.and', get(1), i32(-16))), I32), 16, loadVector, storeVector)
  turns(
    get(end),
    native.bytes,
    (at) => native.splat(at, 0),
    (at, value) => lane.storeOne(at, value, 0, 0),
  )
  const sound = op('i32x4.lt_s', get(largest), finite.limit)
  f.add(allOf(f.let(sound)))
  return f
}

/** 1 if every lane of a mask is set. */
function allOf(mask: Code): Code {
  const lanes = [0, 1, 2, 3].map((lane) => extractI32(mask, lane))
  return op(
    'i32.and',
    lanes.reduce((a, b) => op('i32.and', a, b)),
    i32(1),
  )
}
