/**
 * A small WebAssembly assembler: expressions are trees of bytes, functions collect them, and `encodeModule` wraps them
 * in sections. A text assembler (wabt, binaryen) would add 2 to 12 MB, and people read a kernel's loop plan, not its
 * instructions.
 */

/** Bytes that, when executed in order, push at most one value. */
export type Code = number | Uint8Array | readonly Code[]

/** Value types by their byte. */
export const I32 = 0x7f
export const I64 = 0x7e
export const F32 = 0x7d
export const F64 = 0x7c
export const V128 = 0x7b
export type ValueType = typeof I32 | typeof I64 | typeof F32 | typeof F64 | typeof V128

const BLOCK_WITHOUT_VALUE = 0x40

const ENCODER = new TextEncoder()

/** Code that occurs many times in every kernel is one object: kernels are trees of hundreds of thousands of parts. */
const GETS: Code[] = []
const SIMD_CODES: Code[] = []
/** By the bits of a lane. */
const SPLATS = new Map<number, Code>()
const MOST_SPLATS = 1024

/** Pages of 64 KiB, 4 GiB in total: the range of 32-bit addresses. */
export const MAX_PAGES = 65536

/** Core instructions without an immediate. */
const CORE = {
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_s': 0x48,
  'i32.lt_u': 0x49,
  'i32.gt_s': 0x4a,
  'i32.le_s': 0x4c,
  'i32.ge_s': 0x4e,
  'i64.lt_u': 0x54,
  'f32.ne': 0x5c,
  'f64.eq': 0x61,
  'f64.ne': 0x62,
  'f64.lt': 0x63,
  'f64.gt': 0x64,
  'f64.le': 0x65,
  'f64.ge': 0x66,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.div_s': 0x6d,
  'i32.rem_s': 0x6f,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.xor': 0x73,
  'i32.shl': 0x74,
  'i32.shr_s': 0x75,
  'i32.shr_u': 0x76,
  'i64.or': 0x84,
  'i64.xor': 0x85,
  'i64.shl': 0x86,
  'i64.shr_s': 0x87,
  'i64.shr_u': 0x88,
  'f32.add': 0x92,
  'f64.abs': 0x99,
  'f64.neg': 0x9a,
  'f64.ceil': 0x9b,
  'f64.floor': 0x9c,
  'f64.nearest': 0x9e,
  'f64.sqrt': 0x9f,
  'f64.add': 0xa0,
  'f64.sub': 0xa1,
  'f64.mul': 0xa2,
  'f64.div': 0xa3,
  'f64.min': 0xa4,
  'f64.max': 0xa5,
  'i32.wrap_i64': 0xa7,
  'i64.extend_i32_u': 0xad,
  'f32.demote_f64': 0xb6,
  'f64.convert_i32_s': 0xb7,
  'f64.promote_f32': 0xbb,
  'i32.reinterpret_f32': 0xbc,
  'i64.reinterpret_f64': 0xbd,
} as const

/** SIMD instructions without an immediate. All have the prefix 0xfd. */
const SIMD = {
  'i32x4.splat': 0x11,
  'f32x4.splat': 0x13,
  'f64x2.splat': 0x14,
  'i32x4.eq': 0x37,
  'i32x4.lt_s': 0x39,
  'i32x4.gt_s': 0x3b,
  'i32x4.le_s': 0x3d,
  'f32x4.eq': 0x41,
  'f32x4.ne': 0x42,
  'f32x4.lt': 0x43,
  'f32x4.gt': 0x44,
  'f32x4.le': 0x45,
  'f32x4.ge': 0x46,
  'f64x2.eq': 0x47,
  'f64x2.ne': 0x48,
  'f64x2.lt': 0x49,
  'f64x2.gt': 0x4a,
  'f64x2.le': 0x4b,
  'f64x2.ge': 0x4c,
  'v128.not': 0x4d,
  'v128.and': 0x4e,
  'v128.andnot': 0x4f,
  'v128.or': 0x50,
  'v128.xor': 0x51,
  'v128.bitselect': 0x52,
  'v128.any_true': 0x53,
  'f32x4.demote_f64x2_zero': 0x5e,
  'f64x2.promote_low_f32x4': 0x5f,
  'f32x4.floor': 0x68,
  'f32x4.trunc': 0x69,
  'f32x4.nearest': 0x6a,
  'f64x2.floor': 0x75,
  'f64x2.trunc': 0x7a,
  'f64x2.nearest': 0x94,
  'i32x4.shl': 0xab,
  'i32x4.shr_s': 0xac,
  'i32x4.shr_u': 0xad,
  'i32x4.add': 0xae,
  'i32x4.sub': 0xb1,
  'i32x4.mul': 0xb5,
  'i32x4.min_s': 0xb6,
  'i32x4.max_s': 0xb8,
  'i64x2.shl': 0xcb,
  'i64x2.shr_s': 0xcc,
  'i64x2.add': 0xce,
  'i64x2.sub': 0xd1,
  'f32x4.abs': 0xe0,
  'f32x4.neg': 0xe1,
  'f32x4.sqrt': 0xe3,
  'f32x4.add': 0xe4,
  'f32x4.sub': 0xe5,
  'f32x4.mul': 0xe6,
  'f32x4.div': 0xe7,
  'f32x4.min': 0xe8,
  'f32x4.max': 0xe9,
  'f32x4.pmin': 0xea,
  'f32x4.pmax': 0xeb,
  'f64x2.abs': 0xec,
  'f64x2.neg': 0xed,
  'f64x2.sqrt': 0xef,
  'f64x2.add': 0xf0,
  'f64x2.sub': 0xf1,
  'f64x2.mul': 0xf2,
  'f64x2.div': 0xf3,
  'f64x2.min': 0xf4,
  'f64x2.max': 0xf5,
  'f64x2.pmin': 0xf6,
  'f64x2.pmax': 0xf7,
  'i32x4.trunc_sat_f32x4_s': 0xf8,
  'f32x4.convert_i32x4_s': 0xfa,
  'i32x4.trunc_sat_f64x2_s_zero': 0xfc,
  'f64x2.convert_low_i32x4_s': 0xfe,
  'f32x4.relaxed_madd': 0x105,
  'f64x2.relaxed_madd': 0x107,
} as const

export type CoreOp = keyof typeof CORE
export type SimdOp = keyof typeof SIMD

/** Instruction -> its opcode after the prefix. */
export const SIMD_OPCODES: Readonly<Record<SimdOp, number>> = SIMD

/**
 * An instruction after its operands.
 *
 * @example
 * op('f32x4.add', a, b)
 */
export function op(name: CoreOp | SimdOp, ...operands: Code[]): Code {
  return [operands, name in CORE ? CORE[name as CoreOp] : simd(SIMD[name as SimdOp])]
}

export const i32 = (value: number): Code => [0x41, signed(value)]
export const get = (local: number): Code => {
  GETS[local] ??= [0x20, unsigned(local)]
  return GETS[local]
}
export const set = (local: number, value: Code): Code => [value, 0x21, unsigned(local)]
export const call = (target: number, ...operands: Code[]): Code => [operands, 0x10, unsigned(target)]
export const loadI32 = (address: Code, offset = 0): Code => [address, 0x28, 2, unsigned(offset)]
export const loadF32 = (address: Code, offset = 0): Code => [address, 0x2a, 2, unsigned(offset)]
/** May be aligned to 4 bytes only, as the words of a launch are. */
export const loadF64 = (address: Code, offset = 0): Code => [address, 0x2b, 2, unsigned(offset)]
export const storeI32 = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  0x36,
  2,
  unsigned(offset),
]
export const loadI64 = (address: Code, offset = 0): Code => [address, 0x29, 2, unsigned(offset)]
export const storeI64 = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  0x37,
  2,
  unsigned(offset),
]
export const storeF32 = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  0x38,
  2,
  unsigned(offset),
]
/** Like `loadF64`. */
export const storeF64 = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  0x39,
  2,
  unsigned(offset),
]
/** Rounds toward 0; beyond the integers, the nearest one, and 0 for NaN. */
export const truncatedF64 = (value: Code): Code => [value, 0xfc, 0x02]
/** Sets `bytes` of memory to one byte. */
export const fillMemory = (address: Code, byte: number, bytes: Code): Code => [
  address,
  i32(byte),
  bytes,
  0xfc,
  0x0b,
  0x00,
]
export const f64 = (value: number): Code => [0x44, new Uint8Array(Float64Array.of(value).buffer)]
export const i64 = (value: bigint): Code => [0x42, signed64(value)]
/** The nearest unsigned integer towards 0; beyond the range, its end. */
export const truncU32 = (value: Code): Code => [value, 0xfc, 0x03]
/** The size of the memory in pages. */
export const memorySize: Code = [0x3f, 0x00]
/** Adds pages to the memory; the size before, or -1. */
export const memoryGrow = (pages: Code): Code => [pages, 0x40, 0x00]
/** Computes a value that nobody reads. */
export const dropped = (value: Code): Code => [value, 0x1a]
/** Leaves the function. */
export const returned = (value: Code = []): Code => [value, 0x0f]

/** Four equal lanes, as bits or as numbers. */
export const constI32x4 = (value: number): Code => {
  const known = SPLATS.get(value) ?? lanes(Int32Array.of(value, value, value, value))
  if (SPLATS.size < MOST_SPLATS) SPLATS.set(value, known)
  return known
}
export const constF32x4 = (value: number): Code => constI32x4(bitsOf(value))
export const constF64x2 = (value: number): Code => lanes(Float64Array.of(value, value))
/** Two equal lanes, as bits. */
export const constI64x2 = (value: bigint): Code => lanes(BigInt64Array.of(value, value))
/** 0, 1, 2, 3: the indices of the lanes. */
export const IOTA: Code = lanes(Int32Array.of(0, 1, 2, 3))

export const loadVector = (address: Code, offset = 0): Code => [address, simd(0x00), 2, unsigned(offset)]
export const loadSplat = (address: Code, offset = 0): Code => [address, simd(0x09), 2, unsigned(offset)]
/** The same for a number of 64 bits. */
export const loadSplat64 = (address: Code, offset = 0): Code => [address, simd(0x0a), 2, unsigned(offset)]
/** Loads 64 bits into the lower half of a vector. */
export const loadLowHalf = (address: Code, offset = 0): Code => [address, simd(0x5d), 2, unsigned(offset)]
export const loadLane = (address: Code, vector: Code, lane: number, offset = 0): Code => [
  address,
  vector,
  simd(0x56),
  2,
  unsigned(offset),
  lane,
]
export const storeVector = (address: Code, value: Code, offset = 0): Code => [
  address,
  value,
  simd(0x0b),
  2,
  unsigned(offset),
]
export const storeLane = (address: Code, value: Code, lane: number, offset = 0): Code => [
  address,
  value,
  simd(0x5a),
  2,
  unsigned(offset),
  lane,
]
/** Loads 64 bits into one of the two halves of a vector. */
export const loadHalf = (address: Code, vector: Code, half: number, offset = 0): Code => [
  address,
  vector,
  simd(0x57),
  2,
  unsigned(offset),
  half,
]
export const storeHalf = (address: Code, value: Code, half: number, offset = 0): Code => [
  address,
  value,
  simd(0x5b),
  2,
  unsigned(offset),
  half,
]
export const extractI32 = (vector: Code, lane: number): Code => [vector, simd(0x1b), lane]
export const extractF32 = (vector: Code, lane: number): Code => [vector, simd(0x1f), lane]
export const replaceF32 = (vector: Code, lane: number, value: Code): Code => [vector, value, simd(0x20), lane]
export const extractF64 = (vector: Code, lane: number): Code => [vector, simd(0x21), lane]
export const replaceF64 = (vector: Code, lane: number, value: Code): Code => [vector, value, simd(0x22), lane]
/** Picks four of the eight 32-bit lanes of a and b. */
export const shuffle = (a: Code, b: Code, picks: readonly [number, number, number, number]): Code => [
  a,
  b,
  simd(0x0d),
  picks.flatMap((pick) => [pick * 4, pick * 4 + 1, pick * 4 + 2, pick * 4 + 3]),
]

/** One of two values, both of which are computed. */
export const select = (condition: Code, yes: Code, no: Code): Code => [yes, no, condition, 0x1b]

/** `while (condition) body`, tested before each iteration. */
export function whileLoop(condition: Code, body: Code): Code {
  const leave = [op('i32.eqz', condition), 0x0d, 1]
  return [0x02, BLOCK_WITHOUT_VALUE, 0x03, BLOCK_WITHOUT_VALUE, leave, body, 0x0c, 0, 0x0b, 0x0b]
}

export function ifElse(condition: Code, yes: Code, no: Code = []): Code {
  return [condition, 0x04, BLOCK_WITHOUT_VALUE, yes, 0x05, no, 0x0b]
}

/** One function while it is being emitted. Its parameters are the first locals. */
export class FunctionBuilder {
  readonly params: readonly ValueType[]
  readonly results: readonly ValueType[]
  readonly #locals: ValueType[] = []
  #body: Code[] = []

  constructor(params: readonly ValueType[], results: readonly ValueType[]) {
    this.params = params
    this.results = results
  }

  local(type: ValueType): number {
    return this.params.length + this.#locals.push(type) - 1
  }

  add(...code: Code[]) {
    this.#body.push(...code)
  }

  /** Computes a value once, here, and returns code that reads it. */
  let(value: Code, type: ValueType = V128): Code {
    const local = this.local(type)
    this.add(set(local, value))
    return get(local)
  }

  /** The code that `write` adds, separate from the rest of the body. */
  capture(write: () => void): Code {
    const outer = this.#body
    this.#body = []
    write()
    const inner = this.#body
    this.#body = outer
    return inner
  }

  /** The types of the locals after the parameters. */
  get locals(): readonly ValueType[] {
    return this.#locals
  }

  /** The instructions, without the end of the function. */
  body(): Uint8Array {
    return flatten(this.#body)
  }

  encode(): Code {
    const groups = this.#locals.map((type) => [1, type])
    return measured([vector(groups), this.#body, 0x0b])
  }
}

/** A function that the host provides. */
export interface Import {
  readonly name: string
  readonly params: readonly ValueType[]
  readonly results: readonly ValueType[]
}

export interface ModuleParts {
  readonly imports: readonly Import[]
  /** In the order of their indices, which come after the imports. */
  readonly functions: readonly FunctionBuilder[]
  /** Name -> index among all functions. */
  readonly exports: Readonly<Record<string, number>>
  /**
   * Maximum size of the memory in pages of 64 KiB. The memory is imported as `env.memory` and shared between
   * threads.
   */
  readonly maxPages: number
}

/** A module that shares its memory with nobody. */
export interface StandaloneParts extends Omit<ModuleParts, 'maxPages'> {
  /** Its own memory, exported as `memory`; absent if it has none. */
  readonly memory?: {
    readonly pages: number
    /** What is in it at the start. */
    readonly data: readonly { readonly at: number; readonly bytes: Uint8Array }[]
  }
  /** Custom section -> its contents. */
  readonly sections?: Readonly<Record<string, Uint8Array>>
}

/** The name of an imported memory, and the flags for a maximum size and sharing. */
const SHARED_MEMORY = [text('env'), text('memory'), 0x02, 0x03]
const OF_ONE_THREAD = 0x01

/**
 * The bytes of a module.
 *
 * @see https://webassembly.github.io/spec/core/binary/index.html
 */
export function encodeModule({
  imports,
  functions,
  exports,
  maxPages,
}: ModuleParts): Uint8Array<ArrayBuffer> {
  const parts = { imports, functions, exports }
  const memory = [SHARED_MEMORY, unsigned(1), unsigned(maxPages)]
  return flatten([
    MAGIC,
    section(1, typesOf(parts)),
    section(2, [memory, ...importsOf(parts)]),
    section(3, declarationsOf(parts)),
    section(7, exportsOf(parts)),
    section(10, codeOf(parts)),
  ])
}

/** The same for a module that needs nothing but its imports. */
export function encodeStandaloneModule(parts: StandaloneParts): Uint8Array<ArrayBuffer> {
  const { memory, sections = {} } = parts
  const memories = memory === undefined ? [] : [[OF_ONE_THREAD, unsigned(memory.pages), unsigned(MAX_PAGES)]]
  const exported = memory === undefined ? [] : [[text('memory'), 0x02, 0x00]]
  const data = (memory?.data ?? []).map(({ at, bytes }) => [
    0x00,
    i32(at),
    0x0b,
    unsigned(bytes.length),
    bytes,
  ])
  return flatten([
    MAGIC,
    section(1, typesOf(parts)),
    section(2, importsOf(parts)),
    section(3, declarationsOf(parts)),
    section(5, memories),
    section(7, [...exported, ...exportsOf(parts)]),
    section(10, codeOf(parts)),
    section(11, data),
    ...Object.entries(sections).map(([name, bytes]) => [0x00, measured([text(name), bytes])]),
  ])
}

const MAGIC: Code = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]

type Functions = Pick<ModuleParts, 'imports' | 'functions' | 'exports'>

function typesOf({ imports, functions }: Functions): Code[] {
  return [...imports, ...functions].map(({ params, results }) => [
    0x60,
    vector([...params]),
    vector([...results]),
  ])
}

function importsOf({ imports }: Functions): Code[] {
  return imports.map(({ name }, i) => [text('env'), text(name), 0x00, unsigned(i)])
}

function declarationsOf({ imports, functions }: Functions): Code[] {
  return functions.map((_, i) => unsigned(imports.length + i))
}

function exportsOf({ exports }: Functions): Code[] {
  return Object.entries(exports).map(([name, index]) => [text(name), 0x00, unsigned(index)])
}

function codeOf({ functions }: Functions): Code[] {
  return functions.map((made) => made.encode())
}

/** The same module for an unshared memory, which the runtime copies to and from several times faster. */
export function withUnsharedMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = bytes.slice()
  const name = flatten(SHARED_MEMORY)
  const isHere = (start: number) => name.every((byte, i) => own[start + i] === byte)
  let at = 0
  while (!isHere(at)) at++
  own[at + name.length - 1] = OF_ONE_THREAD
  return own
}

function section(id: number, entries: readonly Code[]): Code {
  return [id, measured(vector(entries))]
}

/** Preceded by its size in bytes. */
function measured(code: Code): Code {
  const bytes = flatten(code)
  return [unsigned(bytes.length), bytes]
}

function vector(entries: readonly Code[]): Code {
  return [unsigned(entries.length), entries]
}

function text(name: string): Code {
  const bytes = ENCODER.encode(name)
  return [unsigned(bytes.length), bytes]
}

function simd(opcode: number): Code {
  SIMD_CODES[opcode] ??= [0xfd, unsigned(opcode)]
  return SIMD_CODES[opcode]
}

function lanes(values: Int32Array | BigInt64Array | Float64Array): Code {
  return [simd(0x0c), new Uint8Array(values.buffer)]
}

const number = new Float32Array(1)
const bits = new Int32Array(number.buffer)

function bitsOf(value: number): number {
  number[0] = value
  return bits[0]
}

/** LEB128. */
function unsigned(value: number): Code {
  return value >= 0 && value < 0x80 ? value : longUnsigned(value)
}

/** @returns the number at a place, and where the next byte is */
export function decodeUnsigned(code: Uint8Array, start: number): [number, number] {
  let value = 0
  for (let at = start, shift = 0; ; at++, shift += 7) {
    value += (code[at] & 0x7f) * 2 ** shift
    if (code[at] < 0x80) return [value, at + 1]
  }
}

function longUnsigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value >>> 0
  do {
    const low = rest & 0x7f
    rest >>>= 7
    bytes.push(rest === 0 ? low : low | 0x80)
  } while (rest !== 0)
  return bytes
}

function signed(value: number): Code {
  return value >= -0x40 && value < 0x40 ? value & 0x7f : longSigned(value)
}

function longSigned(value: number): number[] {
  const bytes: number[] = []
  let rest = value | 0
  for (;;) {
    const low = rest & 0x7f
    rest >>= 7
    const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}

function signed64(value: bigint): number[] {
  const bytes: number[] = []
  let rest = BigInt.asIntN(64, value)
  for (;;) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    const isLast = (rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}

function flatten(code: Code): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(lengthOf(code))
  write(code, bytes, 0)
  return bytes
}

/** @returns where the next byte goes */
function write(code: Code, bytes: Uint8Array, start: number): number {
  if (typeof code === 'number') {
    bytes[start] = code
    return start + 1
  }
  if (code instanceof Uint8Array) {
    bytes.set(code, start)
    return start + code.length
  }
  let at = start
  for (let i = 0; i < code.length; i++) at = write(code[i], bytes, at)
  return at
}

function lengthOf(code: Code): number {
  if (typeof code === 'number') return 1
  if (code instanceof Uint8Array) return code.length
  let length = 0
  for (let i = 0; i < code.length; i++) length += lengthOf(code[i])
  return length
}
