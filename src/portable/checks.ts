/**
 * Range checks, as the service does them before a launch (schemas/inputs.ts): the first number that is invalid for its
 * input, unless it does not count. What does not count is replaced, so that no kernel reads it.
 */
import {
  type Code,
  F64,
  FunctionBuilder,
  f64,
  get,
  I32,
  i32,
  loadI32,
  op,
  returned,
  select,
  set,
  storeI32,
} from '../engines/compiled/wasm-encoder.ts'
import type { AxisSizes } from './axes.ts'
import {
  add,
  and,
  countUp,
  elementAt,
  loadReal,
  loadWord,
  modulo,
  mul,
  not,
  or,
  over,
  product,
  storeReal,
  storeWord,
  sub,
  when,
} from './code.ts'
import type {
  IndexCheck,
  ManifestArray,
  PortableInput,
  PortableLoss,
  RangeCheck,
  Silencer,
} from './contract.ts'
import { type MemoryMap, RESULT } from './memory-map.ts'

/** The codes of `status`, by number. */
export const STATUSES = [
  'ok',
  'invalid-value',
  'label-out-of-range',
  'box-corners',
  'excepted-label',
  'empty-batch',
] as const
export type Status = (typeof STATUSES)[number]

export const statusOf = (status: Status): number => STATUSES.indexOf(status)

export interface CheckParts {
  readonly loss: PortableLoss
  readonly map: MemoryMap
  readonly inputs: readonly ManifestArray[]
  readonly sizes: AxisSizes
}

/** Whether there is anything to check or to change in the numbers of an input. */
export function needsCheck({
  range,
  indices,
  ordered,
  excepted,
  paddedTo,
  isSpread,
}: PortableInput): boolean {
  return [range, indices, excepted, paddedTo].some((rule) => rule !== undefined) || ordered || isSpread
}

/** `check()`: the status, which is also in the result with the place. */
export function checkFunction(parts: CheckParts): FunctionBuilder {
  return new CheckWriter(parts).write()
}

class CheckWriter {
  readonly #f = new FunctionBuilder([], [I32])
  readonly #parts: CheckParts

  constructor(parts: CheckParts) {
    this.#parts = parts
  }

  write(): FunctionBuilder {
    let spreads = 0
    for (const input of this.#parts.loss.inputs) {
      if (!needsCheck(input)) continue
      const base = this.#f.let(this.#baseOf(input.name), I32)
      const count = this.#f.let(this.#countOf(input), I32)
      if (input.excepted !== undefined) this.#except(input, base, count, input.excepted)
      if (input.paddedTo !== undefined) this.#trim(input, base, input.paddedTo)
      if (input.ordered) this.#corners(input, base, count)
      if (input.indices !== undefined) this.#indices(input, base, count, input.indices)
      if (input.range !== undefined) this.#range(input, base, count, input.range)
      if (input.isSpread) this.#spread(input, base, count, spreads++)
    }
    this.#f.add(i32(statusOf('ok')))
    return this.#f
  }

  #place(name: string): number {
    return this.#parts.inputs.findIndex((input) => input.name === name)
  }

  #baseOf(name: string): Code {
    return loadWord(this.#parts.map.inputs + 4 * this.#place(name))
  }

  #countOf({ name }: PortableInput): Code {
    return product(this.#parts.sizes.wholes(this.#parts.inputs[this.#place(name)].axes))
  }

  #inputCalled(name: string): PortableInput {
    return this.#parts.loss.inputs.find((input) => input.name === name)!
  }

  /** Leaves the function with the place of a fault. */
  #fail({ name }: PortableInput, element: Code, status: Status) {
    const { result } = this.#parts.map
    this.#f.add(
      storeWord(result + RESULT.input, i32(this.#place(name))),
      storeWord(result + RESULT.element, element),
      returned(i32(statusOf(status))),
    )
  }

  #unlessSilent(input: PortableInput, element: Code, status: Status, instead: () => void) {
    when(this.#f, this.#isSilent(input, element), instead, () => this.#fail(input, element, status))
  }

  #range(input: PortableInput, base: Code, count: Code, { low, high, only }: RangeCheck) {
    const { dtype } = input
    countUp(this.#f, count, (i) => {
      const at = this.#f.let(elementAt(dtype, base, i), I32)
      const x = this.#real(loadReal(dtype, at))
      const isOutside = or(op('f64.lt', x, f64(low)), op('f64.gt', x, f64(high)))
      const isBetween = and(op('f64.gt', x, f64(low)), op('f64.lt', x, f64(high)))
      when(this.#f, only ? or(isOutside, isBetween) : isOutside, () => {
        const instead = f64(Math.min(high, 1))
        this.#unlessSilent(input, i, 'invalid-value', () => this.#f.add(storeReal(dtype, at, instead)))
      })
    })
  }

  #indices(input: PortableInput, base: Code, count: Code, { axis, offset, ignored }: IndexCheck) {
    const end =
      axis === undefined ? undefined : this.#f.let(add(this.#parts.sizes.whole(axis), i32(offset)), I32)
    countUp(this.#f, count, (i) => {
      const at = this.#f.let(elementAt('int32', base, i), I32)
      const x = this.#f.let(loadI32(at), I32)
      const isInside = and(op('i32.ge_s', x, i32(0)), ...(end === undefined ? [] : [op('i32.lt_s', x, end)]))
      const isIgnored = ignored === undefined ? i32(0) : op('i32.eq', x, i32(ignored))
      when(this.#f, not(or(isInside, isIgnored)), () => {
        this.#unlessSilent(input, i, 'label-out-of-range', () => this.#f.add(storeI32(at, i32(0))))
      })
    })
  }

  /** Each coordinate of the second corner is at least that of the first. */
  #corners(input: PortableInput, base: Code, count: Code) {
    const { dtype } = input
    countUp(this.#f, count, (i) => {
      const isFar = op('i32.ge_s', modulo(i, i32(4)), i32(2))
      when(this.#f, isFar, () => {
        const [far, near] = [i, sub(i, i32(2))].map((at) => loadReal(dtype, elementAt(dtype, base, at)))
        when(this.#f, op('f64.lt', far, near), () => this.#unlessSilent(input, i, 'box-corners', () => {}))
      })
    })
  }

  #except(input: PortableInput, base: Code, count: Code, excepted: number) {
    countUp(this.#f, count, (i) => {
      const x = loadI32(elementAt('int32', base, i))
      const isWrong = and(op('i32.eq', x, i32(excepted)), not(this.#isPadding(input, i)))
      when(this.#f, isWrong, () => this.#unlessSilent(input, i, 'excepted-label', () => {}))
    })
  }

  #isPadding({ paddedTo, axes }: PortableInput, i: Code): Code {
    if (paddedTo === undefined) return i32(0)
    const width = this.#parts.sizes.whole(axes.at(-1)!)
    const length = loadI32(elementAt('int32', this.#baseOf(paddedTo), over(i, width)))
    return op('i32.ge_s', modulo(i, width), length)
  }

  /** What comes after the length of a row is 0. */
  #trim(input: PortableInput, base: Code, lengths: string) {
    const width = this.#f.let(this.#parts.sizes.whole(input.axes.at(-1)!), I32)
    const rows = product(this.#parts.sizes.wholes(input.axes.slice(0, -1)))
    countUp(this.#f, rows, (row) => {
      const length = this.#f.let(loadI32(elementAt('int32', this.#baseOf(lengths), row)), I32)
      countUp(this.#f, width, (i) => {
        const at = elementAt('int32', base, add(mul(row, width), i))
        when(this.#f, op('i32.ge_s', i, length), () => this.#f.add(storeI32(at, i32(0))))
      })
    })
  }

  /** Repeats a vector for every element of the other inputs. */
  #spread({ dtype, axes }: PortableInput, base: Code, width: Code, place: number) {
    const wide = this.#f.let(loadWord(this.#parts.map.spreads + 4 * place), I32)
    countUp(this.#f, product(this.#parts.sizes.wholes(axes)), (i) => {
      const x = loadReal(dtype, elementAt(dtype, base, modulo(i, width)))
      this.#f.add(storeReal(dtype, elementAt(dtype, wide, i), x))
    })
  }

  #real(value: Code): Code {
    return this.#f.let(value, F64)
  }

  // Elements that do not count

  #isSilent(input: PortableInput, element: Code): Code {
    const all = input.silencers.map((silencer) => this.#isSilencedBy(silencer, input, element))
    return or(this.#isWeightless(input, element), ...all)
  }

  /** In a row of weight 0. */
  #isWeightless({ axes }: PortableInput, element: Code): Code {
    const { loss, sizes, map } = this.#parts
    const place = axes.indexOf(loss.first)
    if (place < 0) return i32(0)
    const inner = sizes.wholes(axes.slice(place + 1))
    const own = loss.first === '...' ? [over(sizes.whole('...'), sizes.rows)] : []
    const isZero = this.#f.local(I32)
    const row = modulo(over(element, product([...own, ...inner])), sizes.rows)
    const weight = loadReal(loss.precision, elementAt(loss.precision, this.#baseOf('sample_weight'), row))
    this.#f.add(set(isZero, i32(0)))
    when(this.#f, and(op('i32.and', loadWord(map.given), i32(1)), op('i32.gt_s', sizes.rows, i32(0))), () =>
      this.#f.add(set(isZero, op('f64.eq', weight, f64(0)))),
    )
    return get(isZero)
  }

  /** Every corresponding number of the silencer switches it off. */
  #isSilencedBy({ input: name, where }: Silencer, { axes }: PortableInput, element: Code): Code {
    const other = this.#inputCalled(name)
    const [missing] = other.axes.filter((axis) => !axes.includes(axis))
    const shared = other.axes.filter((axis) => axes.includes(axis))
    const places = shared.map((axis) => {
      const within = modulo(over(element, this.#strideOf(axes, axis)), this.#parts.sizes.whole(axis))
      return mul(within, this.#strideOf(other.axes, axis))
    })
    const start = this.#f.let(
      places.reduce((a, b) => add(a, b), i32(0)),
      I32,
    )
    const [count, step] =
      missing === undefined
        ? [i32(1), i32(0)]
        : [this.#parts.sizes.whole(missing), this.#strideOf(other.axes, missing)]
    const isSilenced = this.#f.local(I32)
    this.#f.add(set(isSilenced, i32(1)))
    countUp(this.#f, count, (k) => {
      const at = elementAt(other.dtype, this.#baseOf(name), add(start, mul(k, step)))
      const x = loadReal(other.dtype, at)
      const isOff = where === 'not 1' ? op('f64.ne', x, f64(1)) : op('f64.eq', x, f64(where))
      this.#f.add(set(isSilenced, select(isOff, get(isSilenced), i32(0))))
    })
    return get(isSilenced)
  }

  #strideOf(axes: readonly string[], axis: string): Code {
    return product(this.#parts.sizes.wholes(axes.slice(axes.indexOf(axis) + 1)))
  }
}
