/**
 * A SIMD vector as scalars: four lanes of 32 bits or two of 64, as integers, numbers or truth values. A lane is converted where it
 * is read as something else. A lane that must not be read is absent.
 */
import {
  type Code,
  F32,
  F64,
  I32,
  I64,
  i32,
  i64,
  op,
  select,
  type ValueType,
} from '../../engines/compiled/wasm-encoder.ts'

/** What lanes are: integers, numbers, or truth values, which vectors have as lanes with all bits set or none. */
export type Kind = 'i32' | 'f32' | 'b32' | 'i64' | 'f64' | 'b64'
/** A lane; absent if it is unknown. */
export type Lane = Code | undefined
export type Period = 32 | 64 | 128
export type Reader = (lane: number) => Lane

export interface Vector {
  /** What it is made of; absent if it can be read as anything. */
  readonly kind: Kind | undefined
  /** Bits after which it repeats: 32 or 64 if all lanes of that width are the same, else 128. */
  readonly period: Period
  /** Whether it is a constant that may be a mask: all of its bits are set, or none. */
  readonly isMask?: boolean
  /** One of its lanes, read as this kind. */
  as(kind: Kind, lane: number): Lane
}

export const isWide = (kind: Kind): boolean => kind.endsWith('64')
export const isTruth = (kind: Kind | undefined): kind is 'b32' | 'b64' => kind === 'b32' || kind === 'b64'
export const lanesOf = (kind: Kind): number => (isWide(kind) ? 2 : 4)
/** Whether all lanes of a kind are the same. */
export const isUniform = ({ period }: Pick<Vector, 'period'>, kind: Kind): boolean => period <= widthOf(kind)
export const widthOf = (kind: Kind): 32 | 64 => (isWide(kind) ? 64 : 32)
/** The type of a local that keeps a lane. */
export const typeOf = (kind: Kind): ValueType => TYPES[kind]
const TYPES = { i32: I32, b32: I32, b64: I32, f32: F32, i64: I64, f64: F64 } as const
export const integerOf = (kind: Kind): 'i32' | 'i64' => (isWide(kind) ? 'i64' : 'i32')

const areKnown = (lanes: readonly Lane[]): lanes is readonly Code[] =>
  lanes.every((lane) => lane !== undefined)
/** An instruction on lanes, which is absent if one of them is. */
export function on(write: (...lanes: Code[]) => Code, ...lanes: Lane[]): Lane {
  return areKnown(lanes) ? write(...lanes) : undefined
}

const reinterpret = { 'i32>f32': 0xbe, 'f32>i32': 0xbc, 'i64>f64': 0xbf, 'f64>i64': 0xbd } as const

/** Computes a lane once, where it would be read twice. */
export type Keep = (lane: Code, type: ValueType) => Code

/** A vector of one kind. */
export function vectorOf(kind: Kind, read: Reader, keep: Keep, uniform = false): Vector {
  const kept = new Map<number, Lane>()
  const once = (lane: number) => {
    if (!kept.has(lane))
      kept.set(
        lane,
        on((code) => keep(code, typeOf(kind)), read(lane)),
      )
    return kept.get(lane)
  }
  return {
    kind,
    period: uniform ? widthOf(kind) : 128,
    as: (wanted, lane) => converted(kind, wanted, read, once, lane),
  }
}

function converted(kind: Kind, wanted: Kind, read: Reader, once: Reader, lane: number): Lane {
  if (kind === wanted) return read(lane)
  if (isTruth(wanted)) return truthOf(kind, wanted, read, lane)
  if (isWide(kind) !== isWide(wanted)) return resized(kind, wanted, read, once, lane)
  if (isTruth(kind)) return on((truth) => asNumber(integerOf(kind), wanted, bitsOf(kind, truth)), read(lane))
  return on((code) => asNumber(kind, wanted, code), read(lane))
}

/** All bits set, or none. */
function bitsOf(kind: 'b32' | 'b64', truth: Code): Code {
  const bits = op('i32.sub', i32(0), truth)
  return kind === 'b32' ? bits : [bits, 0xac]
}

function asNumber(kind: Kind, wanted: Kind, code: Code): Code {
  return kind === wanted ? code : [code, reinterpret[`${kind}>${wanted}` as keyof typeof reinterpret]]
}

/** Masks only: the lanes are known to have all bits set, or none. */
function truthOf(kind: Kind, wanted: 'b32' | 'b64', read: Reader, lane: number): Lane {
  if (isWide(kind) !== isWide(wanted)) throw new Error(`a mask of ${kind} is not one of ${wanted}`)
  const integer = integerOf(kind)
  const zero = integer === 'i32' ? i32(0) : i64(0n)
  return on((code) => [asNumber(kind, integer, code), zero, integer === 'i32' ? 0x47 : 0x52], read(lane))
}

function resized(kind: Kind, wanted: Kind, read: Reader, once: Reader, lane: number): Lane {
  const half = isWide(wanted) ? joined(kind, read, lane) : part(kind, once, lane)
  return on((code) => asNumber(integerOf(wanted), wanted, code), half)
}

/** 32 of the bits of a wide lane. */
function part(kind: Kind, once: Reader, lane: number): Lane {
  const whole = once(lane >> 1)
  if (isTruth(kind)) return on((truth) => bitsOf('b32', truth), whole)
  return on((code) => {
    const bits = asNumber(kind, 'i64', code)
    return op('i32.wrap_i64', lane % 2 === 0 ? bits : op('i64.shr_u', bits, i64(32n)))
  }, whole)
}

/** The bits of two lanes. */
function joined(kind: Kind, read: Reader, lane: number): Lane {
  const [low, high] = [0, 1].map((half) => converted(kind, 'i32', read, read, 2 * lane + half))
  const widened = (code: Code) => op('i64.extend_i32_u', code)
  return on((a, b) => op('i64.or', widened(a), op('i64.shl', widened(b), i64(32n))), low, high)
}

/** A vector that is known: a constant. */
export function constantOf(bytes: Uint8Array): Vector {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16)
  const words = [0, 4, 8, 12].map((at) => view.getInt32(at, true))
  const read: Readonly<Record<Kind, Reader>> = {
    i32: (lane) => i32(words[lane]),
    f32: (lane) => [0x43, bytes.subarray(4 * lane, 4 * lane + 4)],
    i64: (lane) => i64(view.getBigInt64(8 * lane, true)),
    f64: (lane) => [0x44, bytes.subarray(8 * lane, 8 * lane + 8)],
    b32: (lane) => i32(words[lane] === 0 ? 0 : 1),
    b64: (lane) => i32(words[2 * lane] === 0 ? 0 : 1),
  }
  const isPair = words[2] === words[0] && words[3] === words[1]
  const period = words.every((word) => word === words[0]) ? 32 : isPair ? 64 : 128
  return { kind: undefined, period, isMask: isMask(bytes), as: (kind, lane) => read[kind](lane) }
}

/** Whether a constant is a mask. */
function isMask(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0) || bytes.every((byte) => byte === 255)
}

/** yes where a truth value is, no elsewhere. */
export function chosen(truth: Lane, yes: Lane, no: Lane): Lane {
  return on((a, b, c) => select(c, a, b), yes, no, truth)
}
