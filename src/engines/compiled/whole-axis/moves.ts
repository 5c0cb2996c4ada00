/** Moves of elements along an axis: gather and scatter (a segment sum). */
import {
  type Code,
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
  set,
  storeF64,
} from '../wasm-encoder.ts'
import {
  DOUBLE,
  doubleAt,
  type ElementKind,
  loadInteger,
  loadNumber,
  plus,
  storeNumber,
  times,
  walk,
} from './scalar-code.ts'

/** Whether a place is on a line of so many elements. As unsigned integers, negative ones are too large. */
const isInside = (place: Code, count: Code): Code => op('i32.lt_u', place, count)

/** (x, stride, places, stride, count, result, stride): the elements of x at the places, and 0 where there is none. */
export function gather(kind: ElementKind, places: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32, I32], [])
  const [x, xStride, from, fromStride, count, to, toStride] = [0, 1, 2, 3, 4, 5, 6].map(get)
  const value = f.local(F64)
  const lines = [
    { start: from, stride: fromStride },
    { start: to, stride: toStride },
  ]
  walk(f, count, lines, ([own, target]) => {
    const place = f.let(loadInteger(places, own), I32)
    const read = set(value, loadNumber(kind, plus(x, times(place, xStride))))
    f.add(ifElse(isInside(place, count), read, set(value, f64(0))))
    f.add(storeNumber(result, target, get(value)))
  })
  return f
}

/**
 * (x, stride, places, stride, count, result, stride, sums): at each place, the sum of the elements of x that have it. Sums are in
 * float64 in the workspace, and are rounded once.
 */
export function scatter(kind: ElementKind, places: ElementKind, result: ElementKind): FunctionBuilder {
  const f = new FunctionBuilder([I32, I32, I32, I32, I32, I32, I32, I32], [])
  const [x, xStride, from, fromStride, count, to, toStride, sums] = [0, 1, 2, 3, 4, 5, 6, 7].map(get)
  f.add(fillMemory(sums, 0, times(count, i32(DOUBLE))))
  const lines = [
    { start: x, stride: xStride },
    { start: from, stride: fromStride },
  ]
  walk(f, count, lines, ([own, place]) => {
    const target = f.let(loadInteger(places, place), I32)
    const at = f.let(doubleAt(sums, target), I32)
    const add = storeF64(at, op('f64.add', loadF64(at), loadNumber(kind, own)))
    f.add(ifElse(isInside(target, count), add))
  })
  const results = [
    { start: sums, stride: i32(DOUBLE) },
    { start: to, stride: toStride },
  ]
  walk(f, count, results, ([sum, target]) => f.add(storeNumber(result, target, loadF64(sum))))
  return f
}
