/** Running sums and the places of running maxima along an axis. */
import { F64, FunctionBuilder, f64, get, I32, i32, ifElse, op, select, set } from '../wasm-encoder.ts'
import { counter, type ElementKind, loadNumber, storeInteger, storeNumber, walk } from './scalar-code.ts'

/** (x, stride, count, result, stride): the sum of each element and all before it. */
export function runningSum(kind: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32], [])
  const [x, xStride, count, sums, sumsStride] = [0, 1, 2, 3, 4].map(get)
  const sum = f.local(F64)
  const lines = [
    { start: x, stride: xStride },
    { start: sums, stride: sumsStride },
  ]
  walk(f, count, lines, ([from, to]) => {
    f.add(set(sum, op('f64.add', get(sum), loadNumber(kind, from))), storeNumber(result, to, get(sum)))
  })
  return f
}

/** (x, stride, a, stride, count, result, stride): each x plus a times the result before it; a result that is 0 adds nothing. */
export function linearRecurrence(x: ElementKind, factor: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32, I32], [])
  const [start, stride, factors, factorStride, count, results, resultStride] = [0, 1, 2, 3, 4, 5, 6].map(get)
  const last = f.local(F64)
  const lines = [
    { start, stride },
    { start: factors, stride: factorStride },
    { start: results, stride: resultStride },
  ]
  walk(f, count, lines, ([from, by, to]) => {
    const carried = op('f64.mul', loadNumber(factor, by), get(last))
    const added = select(op('f64.eq', get(last), f64(0)), f64(0), carried)
    f.add(set(last, op('f64.add', added, loadNumber(x, from))), storeNumber(result, to, get(last)))
  })
  return f
}

/**
 * (x, stride, count, places, stride): the place of the largest of each element and all before it. The first of equal ones stays,
 * and nothing is larger than a NaN.
 */
export function runningMaxPlace(kind: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32], [])
  const [x, xStride, count, places, placesStride] = [0, 1, 2, 3, 4].map(get)
  const largest = f.local(F64)
  f.add(set(largest, f64(Number.NEGATIVE_INFINITY)))
  const best = counter(f, i32(0))
  const lines = [
    { start: x, stride: xStride },
    { start: places, stride: placesStride },
  ]
  walk(f, count, lines, ([from, to], place) => {
    const value = f.let(loadNumber(kind, from), F64)
    const isFirstNaN = op('i32.and', op('f64.ne', value, value), op('f64.eq', get(largest), get(largest)))
    const isLarger = op('i32.or', op('f64.gt', value, get(largest)), isFirstNaN)
    const raise = f.capture(() => {
      f.add(set(largest, value))
      best.set(place)
    })
    f.add(ifElse(isLarger, raise), storeInteger(result, to, best.value))
  })
  return f
}
