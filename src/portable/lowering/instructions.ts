/**
 * How each SIMD instruction of a kernel is computed from lanes, and which operands the others have. The tables have the instructions
 * that `wasm-encoder.ts` writes.
 */
import {
  type Code,
  type CoreOp,
  decodeUnsigned,
  I32,
  i32,
  op,
  SIMD_OPCODES,
  type SimdOp,
} from '../../engines/compiled/wasm-encoder.ts'
import {
  chosen,
  integerOf,
  isTruth,
  isUniform,
  isWide,
  type Keep,
  type Kind,
  type Lane,
  lanesOf,
  on,
  type Period,
  type Reader,
  typeOf,
  type Vector,
  vectorOf,
} from './vectors.ts'

// Instructions without vectors

/** What an instruction takes from the stack, whether it leaves something there, and where the next one begins. */
interface Shape {
  readonly arity: number | 'all'
  readonly result: boolean
  readonly end: number
}

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)
/** Everything between the comparisons and the conversions takes two operands, but these. */
const UNARY = new Set([
  0x45,
  0x50,
  ...range(0x67, 0x69),
  ...range(0x79, 0x7b),
  ...range(0x8b, 0x91),
  ...range(0x99, 0x9f),
  ...range(0xa7, 0xbf),
  ...range(0xc0, 0xc4),
])

/** Blocks have no values. */
export function shapeOf(code: Uint8Array, start: number): Shape {
  const opcode = code[start]
  const skipped = (count: number) => {
    let at = start + 1
    for (let i = 0; i < count; i++) while (code[at++] >= 0x80);
    return at
  }
  if (opcode >= 0x45 && opcode <= 0xc4)
    return { arity: UNARY.has(opcode) ? 1 : 2, result: true, end: start + 1 }
  if (opcode >= 0x28 && opcode <= 0x35) return { arity: 1, result: true, end: skipped(2) }
  if (opcode >= 0x36 && opcode <= 0x3e) return { arity: 2, result: false, end: skipped(2) }
  if (opcode === 0xfc) return saturating(code, start)
  const found = OTHERS[opcode]
  if (found === undefined) throw new Error(`no lowering beside the instruction ${opcode}`)
  return {
    arity: found.arity,
    result: found.result,
    end: found.bytes === undefined ? skipped(found.immediates ?? 0) : start + 1 + found.bytes,
  }
}

const OTHERS: Readonly<
  Record<number, { arity: number | 'all'; result: boolean; immediates?: number; bytes?: number }>
> = {
  2: { arity: 0, result: false, bytes: 1 },
  3: { arity: 0, result: false, bytes: 1 },
  4: { arity: 1, result: false, bytes: 1 },
  5: { arity: 0, result: false },
  11: { arity: 0, result: false },
  12: { arity: 0, result: false, immediates: 1 },
  13: { arity: 1, result: false, immediates: 1 },
  15: { arity: 'all', result: false },
  26: { arity: 1, result: false },
  63: { arity: 0, result: true, immediates: 1 },
  64: { arity: 1, result: true, immediates: 1 },
  65: { arity: 0, result: true, immediates: 1 },
  66: { arity: 0, result: true, immediates: 1 },
  67: { arity: 0, result: true, bytes: 4 },
  68: { arity: 0, result: true, bytes: 8 },
}

/** Conversions that saturate, and those that fill memory. */
function saturating(code: Uint8Array, start: number): Shape {
  const sub = code[start + 1]
  if (sub < 8) return { arity: 1, result: true, end: start + 2 }
  if (sub === 10) return { arity: 3, result: false, end: start + 4 }
  if (sub === 11) return { arity: 3, result: false, end: start + 3 }
  throw new Error(`no lowering beside the instruction 0xfc ${sub}`)
}

// Instructions with vectors

interface Surroundings {
  readonly keep: Keep
  /** What the lanes are of a vector about which nothing is known. */
  readonly real: 'f32' | 'f64'
  /** Whether only the first lane counts. */
  readonly isLaneWise: boolean
  /** How many lanes of a kind are computed. */
  keptOf(kind: Kind): number
}

export type Lowered =
  | { readonly vector: Vector }
  | { readonly lane: Lane }
  | { readonly code: readonly Lane[] }

type Operand = Vector & Lane
type Lower = (around: Surroundings, operands: readonly Operand[], immediates: readonly number[]) => Lowered

export interface VectorInstruction {
  readonly arity: number
  /** LEB128 numbers, or single bytes, that follow. */
  readonly immediates: 'none' | 'memory' | 'memory and lane' | 'lane' | 'picks'
  readonly lower: Lower
}

const TABLE = new Map<number, VectorInstruction>()
/** Opcode, without its prefix -> how it is lowered. */
export const VECTOR_INSTRUCTIONS: ReadonlyMap<number, VectorInstruction> = TABLE

export function immediatesOf(kind: VectorInstruction['immediates'], code: Uint8Array, start: number) {
  const bytes = { none: 0, memory: 0, 'memory and lane': 1, lane: 1, picks: 16 }[kind]
  const immediates: number[] = []
  let at = start
  if (kind.startsWith('memory')) {
    const [, after] = decodeUnsigned(code, at)
    const [offset, end] = decodeUnsigned(code, after)
    immediates.push(offset)
    at = end
  }
  immediates.push(...code.subarray(at, at + bytes))
  return { immediates, end: at + bytes }
}

const named = (name: SimdOp, arity: number, lower: Lower) =>
  TABLE.set(SIMD_OPCODES[name], { arity, immediates: 'none', lower })

/** A vector whose lanes come from the same lanes of others. */
function each(kind: Kind, { keep }: Surroundings, operands: readonly Vector[], read: Reader): Lowered {
  const uniform = operands.length > 0 && operands.every((operand) => isUniform(operand, kind))
  return { vector: uniform ? uniformOf(kind, read(0), keep) : vectorOf(kind, read, keep) }
}

/** All lanes are the same, and computed once. */
function uniformOf(kind: Kind, lane: Lane, keep: Keep): Vector {
  let kept: Lane
  const once = () => {
    kept ??= on((code) => keep(code, typeOf(kind)), lane)
    return kept
  }
  return vectorOf(kind, once, keep, true)
}

const FLOATS = [
  'add',
  'sub',
  'mul',
  'div',
  'min',
  'max',
  'abs',
  'neg',
  'sqrt',
  'floor',
  'trunc',
  'nearest',
] as const
const UNARY_FLOATS: readonly string[] = ['abs', 'neg', 'sqrt', 'floor', 'trunc', 'nearest']
/** By instruction: the opcodes for float32 and for float64. */
const FLOAT_OPCODES: Readonly<Record<string, readonly [number, number]>> = {
  abs: [0x8b, 0x99],
  neg: [0x8c, 0x9a],
  floor: [0x8e, 0x9c],
  trunc: [0x8f, 0x9d],
  nearest: [0x90, 0x9e],
  sqrt: [0x91, 0x9f],
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  min: [0x96, 0xa4],
  max: [0x97, 0xa5],
  eq: [0x5b, 0x61],
  ne: [0x5c, 0x62],
  lt: [0x5d, 0x63],
  gt: [0x5e, 0x64],
  le: [0x5f, 0x65],
  ge: [0x60, 0x66],
}
for (const [width, [shape, kind, truth]] of (
  [
    ['f32x4', 'f32', 'b32'],
    ['f64x2', 'f64', 'b64'],
  ] as const
).entries()) {
  for (const name of FLOATS) {
    const opcode = FLOAT_OPCODES[name][width]
    const arity = UNARY_FLOATS.includes(name) ? 1 : 2
    named(`${shape}.${name}`, arity, (around, operands) =>
      each(kind, around, operands, (lane) =>
        on((...args) => [args, opcode], ...operands.map((own) => own.as(kind, lane))),
      ),
    )
  }
  for (const name of ['eq', 'ne', 'lt', 'gt', 'le', 'ge'] as const) {
    const opcode = FLOAT_OPCODES[name][width]
    named(`${shape}.${name}`, 2, (around, operands) =>
      each(truth, around, operands, (lane) =>
        on((a, b) => [a, b, opcode], operands[0].as(kind, lane), operands[1].as(kind, lane)),
      ),
    )
  }
  // One of the two as it is, without the rules for NaN and for zeros of both signs.
  const least = FLOAT_OPCODES.lt[width]
  const extreme = (name: 'pmin' | 'pmax') =>
    named(`${shape}.${name}`, 2, (around, operands) =>
      each(kind, around, operands, (lane) => {
        const [a, b] = operands.map((own) =>
          on((code) => around.keep(code, typeOf(kind)), own.as(kind, lane)),
        )
        const isLess = name === 'pmin' ? on((x, y) => [y, x, least], a, b) : on((x, y) => [x, y, least], a, b)
        return chosen(isLess, b, a)
      }),
    )
  extreme('pmin')
  extreme('pmax')
  named(`${shape}.splat`, 1, ({ keep }, [value]) => ({ vector: uniformOf(kind, value, keep) }))
}

// Integers

const INTEGERS: readonly (readonly [SimdOp, CoreOp | number, 'i32' | 'i64'])[] = [
  ['i32x4.add', 'i32.add', 'i32'],
  ['i32x4.sub', 'i32.sub', 'i32'],
  ['i64x2.add', 0x7c, 'i64'],
  ['i64x2.sub', 0x7d, 'i64'],
]
const binary =
  (code: CoreOp | number) =>
  (a: Code, b: Code): Code =>
    typeof code === 'number' ? [a, b, code] : op(code, a, b)
for (const [name, code, kind] of INTEGERS)
  named(name, 2, (around, operands) =>
    each(kind, around, operands, (lane) =>
      on(binary(code), operands[0].as(kind, lane), operands[1].as(kind, lane)),
    ),
  )
const COMPARED: readonly (readonly [SimdOp, CoreOp])[] = [
  ['i32x4.eq', 'i32.eq'],
  ['i32x4.lt_s', 'i32.lt_s'],
  ['i32x4.gt_s', 'i32.gt_s'],
  ['i32x4.le_s', 'i32.le_s'],
]
for (const [name, code] of COMPARED)
  named(name, 2, (around, operands) =>
    each('b32', around, operands, (lane) =>
      on(binary(code), operands[0].as('i32', lane), operands[1].as('i32', lane)),
    ),
  )
for (const name of ['min_s', 'max_s'] as const)
  named(`i32x4.${name}`, 2, (around, operands) =>
    each('i32', around, operands, (lane) => {
      const [a, b] = operands.map((own) => on((code) => around.keep(code, I32), own.as('i32', lane)))
      return chosen(on(binary(name === 'min_s' ? 'i32.lt_s' : 'i32.gt_s'), a, b), a, b)
    }),
  )
const SHIFTS: readonly (readonly [SimdOp, CoreOp, 'i32' | 'i64'])[] = [
  ['i32x4.shl', 'i32.shl', 'i32'],
  ['i32x4.shr_s', 'i32.shr_s', 'i32'],
  ['i32x4.shr_u', 'i32.shr_u', 'i32'],
  ['i64x2.shl', 'i64.shl', 'i64'],
  ['i64x2.shr_s', 'i64.shr_s', 'i64'],
]
for (const [name, code, kind] of SHIFTS)
  named(name, 2, (around, [vector, count]) => {
    const steps = on((own) => around.keep(own, I32), count as Lane)
    const wide = (own: Code) => (kind === 'i64' ? op('i64.extend_i32_u', own) : own)
    return each(kind, around, [vector], (lane) =>
      on((a, b) => op(code, a, wide(b)), vector.as(kind, lane), steps),
    )
  })
named('i32x4.splat', 1, ({ keep }, [value]) => ({ vector: uniformOf('i32', value, keep) }))

// Bits

const BITWISE = { and: ['i32.and', 0x83], or: ['i32.or', 'i64.or'], xor: ['i32.xor', 'i64.xor'] } as const

/**
 * What the lanes are that vectors have in common: numbers or integers rather than truth values, which only masks can be.
 *
 * @param mask by which they are selected: theirs is as wide if nothing else is known
 */
function kindAmong({ real }: Surroundings, vectors: readonly Vector[], mask?: Vector): Kind {
  const kinds = vectors.map(({ kind }) => kind).filter((kind) => kind !== undefined)
  const number = kinds.find((kind) => !isTruth(kind))
  if (number !== undefined) return number
  const areMasks = vectors.every(({ kind, isMask }) => kind !== undefined || isMask === true)
  const truth = kinds[0] ?? mask?.kind
  if (truth === undefined || !isTruth(truth)) return real
  return areMasks && kinds.length > 0 ? truth : isWide(truth) ? 'f64' : 'f32'
}

/** Whether a vector is a mask for lanes of a kind. */
const selects = ({ kind }: Vector, lanes: Kind) => isTruth(kind) && isWide(kind) === isWide(lanes)

function bitwise(name: keyof typeof BITWISE): Lower {
  return (around, [a, b]) => {
    if (isTruth(a.kind) && a.kind === b.kind) {
      const kind = a.kind
      return each(kind, around, [a, b], (lane) =>
        on(binary(BITWISE[name][0]), a.as(kind, lane), b.as(kind, lane)),
      )
    }
    const kind = kindAmong(around, [a, b])
    if (name === 'and' && selects(a, kind) && !isTruth(kind)) return masked(around, b, a, kind, false)
    if (name === 'and' && selects(b, kind) && !isTruth(kind)) return masked(around, a, b, kind, false)
    const integer = integerOf(kind)
    const code = BITWISE[name][isWide(kind) ? 1 : 0]
    return each(integer, around, [a, b], (lane) => on(binary(code), a.as(integer, lane), b.as(integer, lane)))
  }
}

/** The lanes where a mask is set, or where it is not; 0 elsewhere. */
function masked(around: Surroundings, vector: Vector, mask: Vector, kind: Kind, negated: boolean): Lowered {
  const truth = mask.kind as 'b32' | 'b64'
  const zero = ZEROS[kind]
  return each(kind, around, [vector, mask], (lane) => {
    const [value, test] = [vector.as(kind, lane), mask.as(truth, lane)]
    return negated ? chosen(test, zero, value) : chosen(test, value, zero)
  })
}

const ZEROS: Readonly<Record<Kind, Code>> = {
  i32: i32(0),
  b32: i32(0),
  b64: i32(0),
  f32: [0x43, 0, 0, 0, 0],
  i64: [0x42, 0],
  f64: [0x44, 0, 0, 0, 0, 0, 0, 0, 0],
}

for (const name of ['and', 'or', 'xor'] as const) named(`v128.${name}`, 2, bitwise(name))
named('v128.andnot', 2, (around, [a, b]) => {
  const kind = kindAmong(around, [a, b])
  if (selects(b, kind)) return masked(around, a, b, kind, true)
  const integer = integerOf(kind)
  return each(integer, around, [a, b], (lane) =>
    on(
      (x, y) => binary(BITWISE.and[isWide(kind) ? 1 : 0])(x, inverted(integer, y)),
      a.as(integer, lane),
      b.as(integer, lane),
    ),
  )
})
named('v128.not', 1, (around, [a]) => {
  if (isTruth(a.kind)) {
    const kind = a.kind
    return each(kind, around, [a], (lane) => on((truth) => op('i32.eqz', truth), a.as(kind, lane)))
  }
  const integer = integerOf(kindAmong(around, [a]))
  return each(integer, around, [a], (lane) => on((bits) => inverted(integer, bits), a.as(integer, lane)))
})

function inverted(integer: 'i32' | 'i64', bits: Code): Code {
  return integer === 'i32' ? op('i32.xor', bits, i32(-1)) : op('i64.xor', bits, [0x42, 0x7f])
}

named('v128.bitselect', 3, (around, [yes, no, mask]) => {
  const kind = kindAmong(around, [yes, no], mask)
  if (selects(mask, kind)) {
    const truth = mask.kind as 'b32' | 'b64'
    return each(kind, around, [yes, no, mask], (lane) =>
      chosen(mask.as(truth, lane), yes.as(kind, lane), no.as(kind, lane)),
    )
  }
  const integer = integerOf(kind)
  const [and, xor] = [BITWISE.and[isWide(kind) ? 1 : 0], BITWISE.xor[isWide(kind) ? 1 : 0]].map(binary)
  return each(integer, around, [yes, no, mask], (lane) => {
    const other = on((code) => around.keep(code, typeOf(integer)), no.as(integer, lane))
    return on((a, b, c) => xor(b, and(xor(a, b), c)), yes.as(integer, lane), other, mask.as(integer, lane))
  })
})
named('v128.any_true', 1, (around, [a]) => {
  const kind = isTruth(a.kind) ? a.kind : integerOf(a.kind ?? around.real)
  const isSet = (code: Code): Code =>
    isTruth(kind) ? code : kind === 'i32' ? op('i32.ne', code, i32(0)) : [code, [0x42, 0], 0x52]
  const lanes = Array.from({ length: lanesOf(kind) }, (_, lane) => a.as(kind, lane))
  const known = lanes.filter((lane) => lane !== undefined)
  if (!around.isLaneWise && known.length < lanes.length) return { lane: undefined }
  return { lane: known.length === 0 ? undefined : known.map(isSet).reduce((x, y) => op('i32.or', x, y)) }
})

// Conversions

const zeroAfter =
  (count: number, read: Reader, zero: Code): Reader =>
  (lane) =>
    lane < count ? read(lane) : zero
named('f32x4.demote_f64x2_zero', 1, ({ keep }, [a]) => ({
  vector: vectorOf(
    'f32',
    zeroAfter(2, (lane) => on((x) => op('f32.demote_f64', x), a.as('f64', lane)), ZEROS.f32),
    keep,
  ),
}))
named('f64x2.promote_low_f32x4', 1, (around, [a]) =>
  each('f64', around, [a], (lane) => on((x) => op('f64.promote_f32', x), a.as('f32', lane))),
)
named('i32x4.trunc_sat_f32x4_s', 1, (around, [a]) =>
  each('i32', around, [a], (lane) => on((x): Code => [x, 0xfc, 0], a.as('f32', lane))),
)
named('f32x4.convert_i32x4_s', 1, (around, [a]) =>
  each('f32', around, [a], (lane) => on((x): Code => [x, 0xb2], a.as('i32', lane))),
)
named('i32x4.trunc_sat_f64x2_s_zero', 1, ({ keep }, [a]) => ({
  vector: vectorOf(
    'i32',
    zeroAfter(2, (lane) => on((x): Code => [x, 0xfc, 2], a.as('f64', lane)), ZEROS.i32),
    keep,
  ),
}))
named('f64x2.convert_low_i32x4_s', 1, (around, [a]) =>
  each('f64', around, [a], (lane) => on((x) => op('f64.convert_i32_s', x), a.as('i32', lane))),
)

// Single lanes

const EXTRACT: readonly (readonly [number, Kind])[] = [
  [0x1b, 'i32'],
  [0x1f, 'f32'],
  [0x21, 'f64'],
]
for (const [opcode, kind] of EXTRACT)
  TABLE.set(opcode, {
    arity: 1,
    immediates: 'lane',
    lower: (_, [vector], [lane]) => ({ lane: vector.as(kind, lane) }),
  })
const REPLACE: readonly (readonly [number, Kind])[] = [
  [0x20, 'f32'],
  [0x22, 'f64'],
]
for (const [opcode, kind] of REPLACE)
  TABLE.set(opcode, {
    arity: 2,
    immediates: 'lane',
    lower: ({ keep }, [vector, value], [place]) => ({
      vector: vectorOf(kind, (lane) => (lane === place ? value : vector.as(kind, lane)), keep),
    }),
  })
TABLE.set(0x0d, {
  arity: 2,
  immediates: 'picks',
  lower: (around, [a, b], picks) => {
    const words = [0, 4, 8, 12].map((at) => picks[at] / 4)
    const pairs =
      words[0] % 2 === 0 && words[1] === words[0] + 1 && words[2] % 2 === 0 && words[3] === words[2] + 1
    const natural = kindAmong(around, [a, b])
    const wide = isWide(natural)
    const kind = wide && !pairs ? 'i32' : isTruth(natural) && a.kind !== b.kind ? integerOf(natural) : natural
    const counts = lanesOf(kind)
    const read = (lane: number) => {
      const pick = isWide(kind) ? words[2 * lane] / 2 : words[lane]
      return pick < counts ? a.as(kind, pick) : b.as(kind, pick - counts)
    }
    // Lanes that are picked twice are computed once.
    const kept = new Map<number, Lane>()
    const once = (lane: number) => {
      const pick = isWide(kind) ? words[2 * lane] / 2 : words[lane]
      if (!kept.has(pick))
        kept.set(
          pick,
          on((code) => around.keep(code, typeOf(kind)), read(lane)),
        )
      return kept.get(pick)
    }
    return {
      vector: vectorOf(
        kind,
        once,
        around.keep,
        isUniform(a, kind) && isUniform(b, kind) && picks.every((pick) => pick < 16),
      ),
    }
  },
})

// Memory

const LOADS: Readonly<Partial<Record<Kind, number>>> = { i32: 0x28, i64: 0x29, f32: 0x2a, f64: 0x2b }
const STORES: Readonly<Partial<Record<Kind, number>>> = { i32: 0x36, i64: 0x37, f32: 0x38, f64: 0x39 }
const loaded = (kind: Kind, address: Code, offset: number): Code => [address, LOADS[kind]!, 2, leb(offset)]
const stored = (kind: Kind, address: Code, value: Code, offset: number): Code => [
  address,
  value,
  STORES[kind]!,
  2,
  leb(offset),
]

function leb(value: number): Code {
  const bytes: number[] = []
  for (let rest = value >>> 0; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest]
    bytes.push((rest & 0x7f) | 0x80)
  }
}

/** A vector in memory, which can be read as anything. A mask is read as integers. */
function inMemory(
  { keep }: Surroundings,
  address: Lane,
  offsetOf: (bytes: 4 | 8, lane: number) => number,
  period: Period = 128,
): Vector {
  const uniform = period < 128
  let at: Lane
  const kept = new Map<string, Lane>()
  const read = (kind: Kind, lane: number): Lane => {
    at ??= on((code) => keep(code, I32), address)
    const bytes = isWide(kind) ? 8 : 4
    const key = `${kind} ${offsetOf(bytes, lane)}`
    if (!kept.has(key))
      kept.set(
        key,
        on(
          (code) =>
            uniform
              ? keep(loaded(kind, code, offsetOf(bytes, lane)), typeOf(kind))
              : loaded(kind, code, offsetOf(bytes, lane)),
          at,
        ),
      )
    return kept.get(key)
  }
  const asInteger = (kind: 'b32' | 'b64') =>
    vectorOf(integerOf(kind), (lane) => read(integerOf(kind), lane), keep, isUniform({ period }, kind))
  return {
    kind: undefined,
    period,
    as: (kind, lane) => (isTruth(kind) ? asInteger(kind).as(kind, lane) : read(kind, lane)),
  }
}

const memory = (opcode: number, arity: number, lower: Lower) =>
  TABLE.set(opcode, { arity, immediates: 'memory', lower })
memory(0x00, 1, (around, [address], [offset]) => ({
  vector: inMemory(around, address, (bytes, lane) => offset + bytes * lane),
}))
memory(0x09, 1, (around, [address], [offset]) => ({
  vector: splatWord(
    around,
    inMemory(around, address, () => offset, 32),
  ),
}))
memory(0x0a, 1, (around, [address], [offset]) => ({
  vector: inMemory(around, address, (bytes, lane) => offset + (bytes === 4 ? 4 * (lane % 2) : 0), 64),
}))

/** 32 bits in all lanes: wide lanes consist of two. */
function splatWord({ keep }: Surroundings, word: Vector): Vector {
  const narrow = vectorOf('i32', (lane) => word.as('i32', lane), keep, true)
  return { ...word, as: (kind, lane) => (isWide(kind) ? narrow.as(kind, lane) : word.as(kind, lane)) }
}

memory(0x5d, 1, (around, [address], [offset]) => {
  const low = inMemory(around, address, (bytes, lane) => offset + bytes * lane)
  return {
    vector: {
      ...low,
      period: 128,
      as: (kind, lane) => (lane < lanesOf(kind) / 2 ? low.as(kind, lane) : ZEROS[kind]),
    },
  }
})

/** A part of a vector comes from memory. */
function withPart(bytes: 4 | 8): Lower {
  return (around, [address, vector], [offset, place]) => {
    const part = inMemory(around, address, (size, lane) => offset + size * lane - bytes * place)
    const kind = vector.kind
    const isInPart = (own: Kind, lane: number) => {
      const size = isWide(own) ? 8 : 4
      return Math.floor((lane * size) / bytes) === place
    }
    const as = (own: Kind, lane: number): Lane => {
      if (isTruth(own)) return halves.as(own, lane)
      if (isWide(own) && bytes === 4) return halves.as(own, lane)
      return isInPart(own, lane) ? part.as(own, lane) : vector.as(own, lane)
    }
    const halves: Vector = vectorOf('i32', (lane) => as('i32', lane), around.keep)
    return { vector: { kind: kind !== undefined && !isTruth(kind) ? kind : undefined, period: 128, as } }
  }
}
TABLE.set(0x56, { arity: 2, immediates: 'memory and lane', lower: withPart(4) })
TABLE.set(0x57, { arity: 2, immediates: 'memory and lane', lower: withPart(8) })

/** All lanes are read before the first is written: the vector may come from the same memory. */
memory(0x0b, 2, (around, [address, vector], [offset]) => {
  const at = on((code) => around.keep(code, I32), address)
  const kind = storable(vector.kind ?? around.real)
  const lanes = Array.from({ length: around.keptOf(kind) }, (_, lane) =>
    on((code) => around.keep(code, typeOf(kind)), vector.as(kind, lane)),
  )
  const bytes = isWide(kind) ? 8 : 4
  return {
    code: lanes.map((lane, place) => on((a, b) => stored(kind, a, b, offset + bytes * place), at, lane)),
  }
})
const storable = (kind: Kind): Kind => (isTruth(kind) ? integerOf(kind) : kind)

TABLE.set(0x5a, {
  arity: 2,
  immediates: 'memory and lane',
  lower: (around, [address, vector], [offset, lane]) => {
    const own = storable(vector.kind ?? around.real)
    const kind = isWide(own) ? 'i32' : own
    return { code: [on((a, b) => stored(kind, a, b, offset), address, vector.as(kind, lane))] }
  },
})
TABLE.set(0x5b, {
  arity: 2,
  immediates: 'memory and lane',
  lower: (around, [address, vector], [offset, lane]) => {
    const kind = storable(vector.kind ?? around.real)
    if (isWide(kind))
      return { code: [on((a, b) => stored(kind, a, b, offset), address, vector.as(kind, lane))] }
    const at = on((code) => around.keep(code, I32), address)
    const halves = [0, 1].map((half) =>
      on((code) => around.keep(code, typeOf(kind)), vector.as(kind, 2 * lane + half)),
    )
    return {
      code: halves.map((value, half) => on((a, b) => stored(kind, a, b, offset + 4 * half), at, value)),
    }
  },
})
