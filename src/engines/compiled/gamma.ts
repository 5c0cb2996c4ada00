/** lgamma, digamma and polygamma of vectors, computed in float64: engines/gamma.ts has the algorithm. */
import * as gamma from '../gamma.ts'
import type { Writer } from './lane-math.ts'
import type { LaneType } from './lane-type.ts'
import { type Code, constF32x4, constF64x2, type FunctionBuilder, op } from './wasm-encoder.ts'
import {
  addWide,
  bitselect,
  type Lanes,
  log2Wide,
  maddWide,
  mapHalves,
  mulWide,
  promoted,
  splitExponent,
  subWide,
  type TargetFeatures,
} from './wide.ts'

export function lgamma(
  lane: LaneType,
  log: Writer,
  f: FunctionBuilder,
  target: TargetFeatures,
  x: Code,
): Code {
  return ofLogarithms(lane, log, f, target, x, gamma.lgamma)
}

export function digamma(
  lane: LaneType,
  log: Writer,
  f: FunctionBuilder,
  target: TargetFeatures,
  x: Code,
): Code {
  return ofLogarithms(lane, log, f, target, x, gamma.digamma)
}

/** @param n the order of the derivative of digamma, at least 1 */
export function polygamma(
  lane: LaneType,
  f: FunctionBuilder,
  target: TargetFeatures,
  n: number,
  x: Code,
): Code {
  const argument = argumentOf(lane, f, x)
  const on = arithmeticOf(f, target)
  if (lane.precision === 'float64') return gamma.polygamma(on, n, argument, 'float64')
  return mapHalves(f, (lanes) => gamma.polygamma(on, n, widened(f, argument, lanes)))
}

function ofLogarithms(
  lane: LaneType,
  log: Writer,
  f: FunctionBuilder,
  target: TargetFeatures,
  x: Code,
  run: typeof gamma.lgamma<Code>,
): Code {
  const argument = argumentOf(lane, f, x)
  const on = arithmeticOf(f, target)
  if (lane.precision === 'float64') {
    const [ofSize, ofDistance] = [argument.size, argument.distance].map((of) => f.let(log(f, target, of)))
    return run(on, argument, { ofSize, ofDistance }, 'float64')
  }
  const [ofSize, ofDistance] = [argument.size, argument.distance].map((of) => logarithm(f, target, of))
  return mapHalves(f, (lanes) =>
    run(on, widened(f, argument, lanes), { ofSize: ofSize(lanes), ofDistance: ofDistance(lanes) }),
  )
}

/** In the precision of the lanes, in which all parts are exact. */
function argumentOf(lane: LaneType, f: FunctionBuilder, x: Code): gamma.ReducedArgument<Code> {
  const rest = f.let(lane.op('sub', x, lane.op('nearest', x)))
  return { x, size: f.let(lane.op('abs', x)), rest, distance: f.let(lane.op('abs', rest)) }
}

function widened(
  f: FunctionBuilder,
  { x, size, rest, distance }: gamma.ReducedArgument<Code>,
  lanes: Lanes,
): gamma.ReducedArgument<Code> {
  const part = (of: Code) => promoted(f, of, lanes)
  return { x: part(x), size: part(size), rest: part(rest), distance: part(distance) }
}

/** The logarithm of finite float32 numbers >= 0. */
function logarithm(f: FunctionBuilder, target: TargetFeatures, x: Code): (lanes: Lanes) => Code {
  const { m, e } = splitExponent(f, x)
  const z = f.let(op('f32x4.sub', m, constF32x4(1)))
  return (lanes) => {
    const plain = f.let(mulWide(log2Wide(f, target, z, e, lanes), constF64x2(Math.LN2)))
    const isZero = op('f64x2.eq', promoted(f, x, lanes), constF64x2(0))
    return f.let(bitselect(isZero, constF64x2(Number.NEGATIVE_INFINITY), plain))
  }
}

function arithmeticOf(f: FunctionBuilder, target: TargetFeatures): gamma.Arithmetic<Code> {
  return {
    number: constF64x2,
    add: addWide,
    sub: subWide,
    mul: mulWide,
    div: (a, b) => op('f64x2.div', a, b),
    madd: (a, b, c) => maddWide(target, a, b, c),
    less: (a, b) => op('f64x2.lt', a, b),
    select: bitselect,
    keep: (x) => f.let(x),
  }
}
