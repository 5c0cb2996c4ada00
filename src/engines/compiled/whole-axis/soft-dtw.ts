/**
 * Soft dynamic time warping (language/soft-dtw.ts), in float64. Each pair of series is one call. The workspace has the value of each
 * pair of prefixes, including empty ones, and then the derivative of the last value with respect to each.
 */
import { FLOAT64 } from '../lane-type.ts'
import { mathOf } from '../math.ts'
import {
  type Code,
  extractF64,
  F64,
  FunctionBuilder,
  f64,
  fillMemory,
  get,
  I32,
  i32,
  ifElse,
  loadF64,
  op,
  replaceF64,
  select,
  set,
  storeF64,
} from '../wasm-encoder.ts'
import type { TargetFeatures } from '../wide.ts'
import {
  counter,
  DOUBLE,
  doubleAt,
  type ElementKind,
  each,
  loadNumber,
  plus,
  storeNumber,
  times,
  walk,
} from './scalar-code.ts'

export interface DtwKinds {
  readonly costs: ElementKind
  readonly result: ElementKind
}

/** (costs, down, along, rows, columns, gamma, workspace) */
const PARAMS = [I32, I32, I32, I32, I32, F64, I32] as const
const NEVER = f64(Number.POSITIVE_INFINITY)

/** One pair of series while its code is emitted. */
class Pair {
  readonly f: FunctionBuilder
  readonly target: TargetFeatures
  readonly costs: Code
  readonly down: Code
  readonly along: Code
  readonly rows: Code
  readonly columns: Code
  readonly gamma: Code
  readonly totals: Code
  readonly shares: Code
  /** Bytes from one row of the tables to the next, and of a table. */
  readonly width: Code
  readonly bytes: Code

  constructor(f: FunctionBuilder, target: TargetFeatures) {
    this.f = f
    this.target = target
    ;[this.costs, this.down, this.along, this.rows, this.columns, this.gamma, this.totals] = PARAMS.map(
      (_, i) => get(i),
    )
    this.width = f.let(op('i32.shl', plus(this.columns, i32(1)), i32(3)), I32)
    this.bytes = f.let(times(this.width, plus(this.rows, i32(1))), I32)
    this.shares = f.let(plus(this.totals, this.bytes), I32)
  }

  /** The distances in bytes to the places one step back in both series, in the first, in the second. */
  get before(): readonly Code[] {
    return [plus(this.width, i32(DOUBLE)), this.width, i32(DOUBLE)]
  }

  get last(): Code {
    return loadF64(op('i32.sub', plus(this.totals, this.bytes), i32(DOUBLE)))
  }

  /** The values of the three predecessors of a place. */
  predecessors(at: Code): readonly Code[] {
    return this.before.map((distance) => this.f.let(loadF64(op('i32.sub', at, distance)), F64))
  }

  /** e^((least - x) / gamma) of two numbers. */
  powers(least: Code, a: Code, b: Code): readonly [Code, Code] {
    const exponent = (x: Code) => op('f64.div', op('f64.sub', least, x), this.gamma)
    const both = replaceF64(op('f64x2.splat', exponent(a)), 1, exponent(b))
    const found = this.f.let(mathOf(FLOAT64).ops.exp.write(this.f, this.target, this.f.let(both)))
    return [this.f.let(extractF64(found, 0), F64), this.f.let(extractF64(found, 1), F64)]
  }
}

const sum = (a: Code, b: Code): Code => op('f64.add', a, b)
const isBounded = (x: Code): Code => op('f64.lt', op('f64.abs', x), f64(Number.POSITIVE_INFINITY))

/** The soft minimum of the costs of all alignments; infinite if none is possible. It leaves the values of prefixes in the workspace. */
export function softDtwForward(kinds: DtwKinds, target: TargetFeatures): FunctionBuilder {
  const f = new FunctionBuilder(PARAMS, [F64])
  const pair = new Pair(f, target)
  const { totals, bytes, width, rows, columns } = pair
  each(f, totals, f.let(plus(totals, bytes), I32), (at) => f.add(storeF64(at, NEVER)), DOUBLE)
  f.add(storeF64(totals, f64(0)))
  each(f, i32(0), rows, (row) => {
    const costs = { start: plus(pair.costs, times(row, pair.down)), stride: pair.along }
    const line = {
      start: plus(plus(totals, times(plus(row, i32(1)), width)), i32(DOUBLE)),
      stride: i32(DOUBLE),
    }
    walk(f, columns, [costs, line], ([cost, at]) => {
      const best = softMin(pair, pair.predecessors(at))
      f.add(storeF64(at, sum(loadNumber(kinds.costs, cost), best)))
    })
  })
  f.add(pair.last)
  return f
}

/** -gamma ln sum e^(-x / gamma); the minimum itself if gamma is 0. */
function softMin(pair: Pair, [a, b, c]: readonly Code[]): Code {
  const { f, target, gamma } = pair
  const least = f.let(leastOf(a, b, c), F64)
  const found = f.local(F64)
  f.add(set(found, least))
  const soften = f.capture(() => {
    const [first, second] = pair.powers(least, a, b)
    const [third] = pair.powers(least, c, c)
    const total = op('f64x2.splat', sum(sum(first, second), third))
    const logarithm = mathOf(FLOAT64).ops.log.write(f, target, f.let(total))
    f.add(set(found, op('f64.sub', least, op('f64.mul', gamma, extractF64(logarithm, 0)))))
  })
  f.add(ifElse(op('i32.and', op('f64.ne', gamma, f64(0)), isBounded(least)), soften))
  return get(found)
}

const leastOf = (a: Code, b: Code, c: Code): Code => op('f64.min', op('f64.min', a, b), c)

/**
 * The parameters of the forward pass, whose workspace it continues, and those of the result: its start, and the distances of its
 * elements. Each pair of prefixes passes its own share on to its predecessors, by their weights.
 */
export function softDtwBackward(kinds: DtwKinds, target: TargetFeatures): FunctionBuilder {
  const f = new FunctionBuilder([...PARAMS, I32, I32, I32], [])
  const pair = new Pair(f, target)
  const [result, down, along] = [0, 1, 2].map((i) => get(PARAMS.length + i))
  const { rows, columns, shares, bytes, width } = pair
  f.add(fillMemory(shares, 0, bytes))
  const isPossible = op('f64.ne', pair.last, NEVER)
  f.add(ifElse(isPossible, storeF64(op('i32.sub', plus(shares, bytes), i32(DOUBLE)), f64(1))))
  walk(f, rows, [], (_, turn) => {
    const row = f.let(op('i32.sub', rows, turn), I32)
    const line = f.let(plus(shares, times(row, width)), I32)
    const ofRow = f.let(plus(result, times(op('i32.sub', row, i32(1)), down)), I32)
    const column = counter(f, columns)
    walk(f, columns, [], () => {
      const at = f.let(doubleAt(line, column.value), I32)
      column.set(op('i32.sub', column.value, i32(1)))
      const share = f.let(loadF64(at), F64)
      f.add(storeNumber(kinds.result, plus(ofRow, times(column.value, along)), share))
      f.add(
        ifElse(
          op('f64.ne', share, f64(0)),
          f.capture(() => passOn(pair, at, share)),
        ),
      )
    })
  })
  return f
}

/** Adds to the shares of the predecessors of a place. */
function passOn(pair: Pair, at: Code, share: Code) {
  const { f, before, bytes } = pair
  const values = pair.predecessors(op('i32.sub', at, bytes))
  const weights = weightsOf(pair, values)
  const all = f.let(sum(sum(weights[0], weights[1]), weights[2]), F64)
  weights.forEach((weight, i) => {
    const to = f.let(op('i32.sub', at, before[i]), I32)
    f.add(storeF64(to, sum(loadF64(to), op('f64.mul', share, op('f64.div', weight, all)))))
  })
}

/** In proportion to the derivative of the soft minimum; with gamma 0, equal values share it evenly. */
function weightsOf(pair: Pair, values: readonly Code[]): readonly Code[] {
  const { f, gamma } = pair
  const [a, b, c] = values
  const least = f.let(leastOf(a, b, c), F64)
  const [first, second] = pair.powers(least, a, b)
  const [third] = pair.powers(least, c, c)
  return [first, second, third].map((power, i) => {
    const rest = select(op('f64.ne', gamma, f64(0)), power, f64(0))
    return f.let(select(op('f64.eq', values[i], least), f64(1), rest), F64)
  })
}
