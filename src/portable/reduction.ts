/**
 * Reduction, weights and denominators in WebAssembly: losses/reduction.ts, number by number and in the same order, so
 * that the results have the same bits.
 */
import {
  type Code,
  call,
  dropped,
  F64,
  FunctionBuilder,
  f64,
  fillMemory,
  get,
  I32,
  i32,
  loadI32,
  op,
  select,
  set,
} from '../engines/compiled/wasm-encoder.ts'
import { REDUCTIONS, type Reduction } from '../losses/reduction.ts'
import type { AxisSizes } from './axes.ts'
import {
  add,
  and,
  bytesOf,
  countUp,
  elementAt,
  loadReal,
  loadWord,
  mul,
  not,
  or,
  over,
  product,
  real,
  rounded,
  storeReal,
  when,
} from './code.ts'
import type { ManifestArray, PortableLoss } from './contract.ts'
import type { MemoryMap } from './memory-map.ts'

/** Which of the optional inputs are given: bits of the argument of `lossd_prepare`. */
export const GIVEN = { sampleWeight: 1, gradOutput: 2 } as const

export interface ReductionParts {
  readonly loss: PortableLoss
  readonly map: MemoryMap
  readonly inputs: readonly ManifestArray[]
  readonly outputs: readonly ManifestArray[]
  readonly sizes: AxisSizes
}

/** Phrases of the functions that reduce. */
export class Reducer {
  readonly #parts: ReductionParts

  constructor(parts: ReductionParts) {
    this.#parts = parts
  }

  get #precision() {
    return this.#parts.loss.precision
  }

  get count(): Code {
    return loadWord(this.#parts.map.count)
  }

  get rows(): Code {
    return loadWord(this.#parts.map.rows)
  }

  get #cotangents(): Code {
    return loadWord(this.#parts.map.cotangent)
  }

  get #values(): Code {
    return loadWord(this.#parts.map.outputs)
  }

  get #denominators(): Code {
    return loadWord(this.#parts.map.denominators)
  }

  #isGiven(which: keyof typeof GIVEN): Code {
    return op('i32.ne', op('i32.and', loadWord(this.#parts.map.given), i32(GIVEN[which])), i32(0))
  }

  #inputAt(name: string): Code {
    const place = this.#parts.inputs.findIndex((input) => input.name === name)
    return loadWord(this.#parts.map.inputs + 4 * place)
  }

  // Weights

  /** The weight of a value in a row, as float64. */
  #weightAt(f: FunctionBuilder, row: Code, reduction: Code): Code {
    const weight = f.local(F64)
    f.add(set(weight, f64(1)))
    const own = loadReal(this.#precision, elementAt(this.#precision, this.#inputAt('sample_weight'), row))
    when(f, this.#isGiven('sampleWeight'), () => f.add(set(weight, own)))
    const { lengths } = this.#parts.loss
    if (lengths === undefined) return get(weight)
    const length = real(loadI32(elementAt('int32', this.#inputAt(lengths), row)))
    const shared = op('f64.div', get(weight), op('f64.max', f64(1), length))
    when(f, divides(reduction), () => f.add(set(weight, shared)))
    return get(weight)
  }

  #isWeighted(reduction: Code): Code {
    const { lengths } = this.#parts.loss
    const given = this.#isGiven('sampleWeight')
    return lengths === undefined ? given : or(given, divides(reduction))
  }

  /** How many values a row has, at least 1. Rows are the slowest axis of the values. */
  #rowWidth(f: FunctionBuilder): Code {
    const width = f.let(over(this.count, atLeastOne(this.rows)), I32)
    return f.let(atLeastOne(width), I32)
  }

  // The cotangent

  /** `fill(base, reduction)`: one cotangent per value. */
  fillFunction(): FunctionBuilder {
    const f = new FunctionBuilder([F64, I32], [])
    const dtype = this.#precision
    const cotangents = f.let(this.#cotangents, I32)
    const put = (i: Code, value: Code) => f.add(storeReal(dtype, elementAt(dtype, cotangents, i), value))
    const isPlain = not(or(this.#isWeighted(get(1)), this.#isGiven('gradOutput')))
    when(
      f,
      isPlain,
      () => countUp(f, this.count, (i) => put(i, get(0))),
      () => this.#fillWeighted(f, put),
    )
    return f
  }

  #fillWeighted(f: FunctionBuilder, put: (i: Code, value: Code) => void) {
    const dtype = this.#precision
    const width = this.#rowWidth(f)
    countUp(f, this.count, (i) => {
      const weight = this.#weightAt(f, over(i, width), get(1))
      const value = f.local(F64)
      f.add(set(value, op('f64.mul', get(0), weight)))
      const upstream = loadReal(dtype, elementAt(dtype, this.#inputAt('grad_output'), i))
      when(f, this.#isGiven('gradOutput'), () => f.add(set(value, op('f64.mul', get(value), upstream))))
      put(i, get(value))
    })
  }

  /** Stores the single number, for a kernel that reads it from memory. */
  storeCotangent(base: Code): Code {
    return storeReal(this.#precision, this.#cotangents, base)
  }

  // Denominators

  /** `shares(reduction)`: the denominator of a mean. */
  denominatorFunction(sum: number): FunctionBuilder {
    const f = new FunctionBuilder([I32], [F64])
    const own = this.#parts.loss.program.denominators === undefined
    const plain = own ? real(this.count) : call(sum, this.#denominators, this.count)
    const total = f.local(F64)
    const isPlain = or(not(this.#isGiven('sampleWeight')), is(get(0), 'mean'))
    when(
      f,
      isPlain,
      () => f.add(set(total, plain)),
      () => f.add(set(total, this.#sumOfShares(f, own))),
    )
    f.add(get(total))
    return f
  }

  /** What values add to the denominator, by their weights or where these are not 0. */
  #sumOfShares(f: FunctionBuilder, isOne: boolean): Code {
    const dtype = this.#precision
    const sum = new CompensatedSum(f)
    const width = this.#rowWidth(f)
    countUp(f, this.count, (i) => {
      const at = elementAt(dtype, this.#inputAt('sample_weight'), over(i, width))
      const weight = f.let(loadReal(dtype, at), F64)
      const counts = real(op('f64.ne', weight, f64(0)))
      const share = select(is(get(0), 'weighted_mean'), weight, counts)
      const each = isOne ? f64(1) : loadReal(dtype, elementAt(dtype, this.#denominators, i))
      sum.add(op('f64.mul', share, each))
    })
    return sum.total()
  }

  /** How many values count. */
  counted(f: FunctionBuilder): Code {
    if (this.#parts.loss.program.denominators === undefined) return real(this.count)
    const dtype = this.#precision
    const found = f.local(I32)
    f.add(set(found, i32(0)))
    countUp(f, this.count, (i) => {
      const x = loadReal(dtype, elementAt(dtype, this.#denominators, i))
      f.add(set(found, add(get(found), op('f64.ne', x, f64(0)))))
    })
    return real(get(found))
  }

  /** What the sum is multiplied by. */
  scaleOf(reduction: Code, denominator: Code): Code {
    const other = select(is(reduction, 'batchmean'), op('f64.div', f64(1), real(this.rows)), f64(1))
    return select(divides(reduction), inverse(denominator), other)
  }

  // Values

  /** `weigh(reduction)`: multiplies the values by their weights. One of weight 0 is 0, whatever it was. */
  weighFunction(): FunctionBuilder {
    const f = new FunctionBuilder([I32], [])
    const dtype = this.#precision
    when(f, this.#isWeighted(get(0)), () => {
      const width = this.#rowWidth(f)
      countUp(f, this.count, (i) => {
        const weight = this.#weightAt(f, over(i, width), get(0))
        const at = f.let(elementAt(dtype, this.#values, i), I32)
        const weighted = op('f64.mul', weight, loadReal(dtype, at))
        const isZero = op('f64.eq', weight, f64(0))
        f.add(storeReal(dtype, at, select(isZero, f64(0), weighted)))
      })
    })
    return f
  }

  /** The sum of the values times a factor, as it is stored. */
  total(f: FunctionBuilder, sum: number, scale: Code): Code {
    const all = f.let(call(sum, this.#values, this.count), F64)
    const isZero = op('f64.eq', scale, f64(0))
    return rounded(this.#precision, select(isZero, f64(0), op('f64.mul', all, scale)))
  }

  // Gradients

  /** `finish(factor)`: what is left to do with the gradients after the kernel. */
  finishFunction(scale: number): FunctionBuilder {
    const f = new FunctionBuilder([F64], [])
    const { outputs, loss, map, sizes } = this.#parts
    const dtype = loss.precision
    outputs.slice(1).forEach(({ axes }, place) => {
      const base = loadWord(map.outputs + 4 * (place + 1))
      const count = product(sizes.wholes(axes))
      if (axes.includes(loss.first) && loss.couples !== 'batch') this.#silence(f, base, axes)
      const bytes = f.let(mul(count, i32(bytesOf(dtype))), I32)
      when(f, op('f64.eq', get(0), f64(0)), () => f.add(fillMemory(base, 0, bytes)))
      const factor = dtype === 'float32' ? op('f32.demote_f64', get(0)) : get(0)
      const scaled = dropped(call(scale, base, bytes, factor))
      when(f, op('f64.ne', get(0), f64(1)), () => f.add(scaled))
    })
    return f
  }

  /** A row that does not count has gradient 0, whatever it contains. */
  #silence(f: FunctionBuilder, base: Code, axes: readonly string[]) {
    const { loss, sizes } = this.#parts
    const place = axes.indexOf(loss.first)
    const before = product(sizes.wholes(axes.slice(0, place)))
    const own = loss.first === '...' ? [over(sizes.whole('...'), this.rows)] : []
    const dtype = loss.precision
    const isAny = and(
      or(this.#isGiven('sampleWeight'), this.#isGiven('gradOutput')),
      op('i32.gt_s', this.rows, i32(0)),
    )
    when(f, isAny, () => {
      const width = f.let(product([...own, ...sizes.wholes(axes.slice(place + 1))]), I32)
      countUp(f, this.rows, (row) => {
        when(f, this.#isSilent(f, row), () =>
          countUp(f, before, (block) => {
            const element = mul(add(mul(block, this.rows), row), width)
            f.add(fillMemory(elementAt(dtype, base, element), 0, mul(width, i32(bytesOf(dtype)))))
          }),
        )
      })
    })
  }

  #isSilent(f: FunctionBuilder, row: Code): Code {
    const dtype = this.#precision
    const isSilent = f.local(I32)
    f.add(set(isSilent, i32(0)))
    const weight = loadReal(dtype, elementAt(dtype, this.#inputAt('sample_weight'), row))
    when(f, this.#isGiven('sampleWeight'), () => f.add(set(isSilent, op('f64.eq', weight, f64(0)))))
    when(f, and(this.#isGiven('gradOutput'), not(get(isSilent))), () => {
      const width = f.let(over(this.count, this.rows), I32)
      f.add(set(isSilent, i32(1)))
      countUp(f, width, (i) => {
        const at = elementAt(dtype, this.#inputAt('grad_output'), add(mul(row, width), i))
        const isZero = op('f64.eq', loadReal(dtype, at), f64(0))
        f.add(set(isSilent, select(isZero, get(isSilent), i32(0))))
      })
    })
    return get(isSilent)
  }
}

/** Whether the reduction is this one. */
export function is(reduction: Code, which: Reduction): Code {
  return op('i32.eq', reduction, i32(REDUCTIONS.indexOf(which)))
}

/** Whether it divides by what counts. */
export function divides(reduction: Code): Code {
  return or(is(reduction, 'mean'), is(reduction, 'weighted_mean'), is(reduction, 'sum_by_nonzero_weights'))
}

/** The mean of no values is 0. */
function inverse(denominator: Code): Code {
  return select(op('f64.eq', denominator, f64(0)), f64(0), op('f64.div', f64(1), denominator))
}

function atLeastOne(count: Code): Code {
  return select(op('i32.gt_s', count, i32(1)), count, i32(1))
}

/** `sum(address, count)`: as losses/reduction.ts adds up float32 or float64. */
export function sumFunction(precision: 'float32' | 'float64'): FunctionBuilder {
  return precision === 'float32' ? sumOfFloat32() : sumOfFloat64()
}

function sumOfFloat64(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32], [F64])
  const sum = new CompensatedSum(f)
  countUp(f, get(1), (i) => sum.add(loadReal('float64', elementAt('float64', get(0), i))))
  f.add(sum.total())
  return f
}

/** Four sums at a time, and the rest in the first of them. */
function sumOfFloat32(): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32], [F64])
  const sums = [0, 1, 2, 3].map(() => f.local(F64))
  const whole = f.let(op('i32.and', get(1), i32(-4)), I32)
  const term = (element: Code) => loadReal('float32', elementAt('float32', get(0), element))
  const grow = (sum: number, element: Code) => {
    f.add(set(sum, op('f64.add', get(sum), term(element))))
  }
  countUp(f, op('i32.div_s', whole, i32(4)), (block) => {
    const first = f.let(mul(block, i32(4)), I32)
    sums.forEach((sum, place) => {
      grow(sum, add(first, i32(place)))
    })
  })
  countUp(f, op('i32.and', get(1), i32(3)), (i) => grow(sums[0], add(whole, i)))
  const [a, b, c, d] = sums.map((sum) => get(sum))
  f.add(op('f64.add', op('f64.add', a, b), op('f64.add', c, d)))
  return f
}

/** Neumaier's sum, which is not compensated where it is not finite. */
class CompensatedSum {
  readonly #f: FunctionBuilder
  readonly #total: number
  readonly #lost: number

  constructor(f: FunctionBuilder) {
    this.#f = f
    this.#total = f.local(F64)
    this.#lost = f.local(F64)
    f.add(set(this.#total, f64(0)), set(this.#lost, f64(0)))
  }

  add(term: Code) {
    const f = this.#f
    const [value, total] = [f.let(term, F64), get(this.#total)]
    const next = f.let(op('f64.add', total, value), F64)
    const [ofTotal, ofValue] = [
      op('f64.add', op('f64.sub', total, next), value),
      op('f64.add', op('f64.sub', value, next), total),
    ]
    const isLarger = op('f64.ge', op('f64.abs', total), op('f64.abs', value))
    f.add(set(this.#lost, op('f64.add', get(this.#lost), select(isLarger, ofTotal, ofValue))))
    f.add(set(this.#total, next))
  }

  total(): Code {
    const isSound = op('f64.lt', op('f64.abs', get(this.#total)), f64(Number.POSITIVE_INFINITY))
    return select(isSound, op('f64.add', get(this.#total), get(this.#lost)), get(this.#total))
  }
}
