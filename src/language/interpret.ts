/**
 * The reference interpreter: runs a program in float64, node by node, in the most obvious way. It is the executable
 * specification of the IR, and every engine is compared with it. It is not fast, and must not become clever.
 */
import type { NumericArray } from '../tensor.ts'
import { evaluateHostOp } from './host-ops.ts'
import { elementsOf, layoutOf, type Node, type Program, sizesWithRenamedAxes } from './ir.ts'
import { isElementwise, SCALAR_SEMANTICS } from './scalar.ts'
import { broadcastTo, type Operand, offsetsOf, type Sizes, strideOf } from './strides.ts'

export interface Arguments {
  readonly sizes: Sizes
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
  /** One number for all values, or one per value. Default 1. */
  readonly cotangent?: Float32Array | Float64Array
}

export interface Interpreted {
  readonly values: Float64Array
  /** What each value adds to the denominator of the mean; absent if that is 1. */
  readonly denominators?: Float64Array
  /** In each input's own layout. */
  readonly gradients: Readonly<Record<string, Float64Array>>
}

/**
 * The value and gradients of a program.
 *
 * @example
 * interpret(program, { sizes: { rows: 2 }, inputs: { x: Float32Array.of(1, 2) }, scalars: {} }).values
 */
export function interpret(program: Program, args: Arguments): Interpreted {
  const run = {
    program,
    args,
    sizes: sizesWithRenamedAxes(program, args.sizes),
    results: [] as NumericArray[],
  }
  for (const node of program.nodes) run.results.push(evaluate(run, node))
  const gradients = Object.entries(program.gradients).map(([name, id]) => {
    const node = program.nodes[id]
    return [name, gather(run, run.results[id], node.axes, layoutOf(program, name))] as const
  })
  const result = (id: number) => Float64Array.from(run.results[id])
  return {
    values: result(program.value),
    ...(program.denominators === undefined ? {} : { denominators: result(program.denominators) }),
    gradients: Object.fromEntries(gradients),
  }
}

interface Run {
  readonly program: Program
  readonly args: Arguments
  readonly sizes: Sizes
  readonly results: NumericArray[]
}

function evaluate(run: Run, node: Node): NumericArray {
  if (isElementwise(node.op)) return elementwise(run, node, SCALAR_SEMANTICS[node.op])
  switch (node.op) {
    case 'input':
      return gather(run, run.args.inputs[node.name!], run.program.inputs[node.name!].axes, node.axes)
    case 'scalar':
      return Float64Array.of(run.args.scalars[node.name!])
    case 'constant':
      return Float64Array.of(node.value!)
    case 'index':
      return Float64Array.from({ length: run.sizes[node.axis!] }, (_, place) => place)
    case 'size':
      return Float64Array.of(run.sizes[node.axis!])
    case 'cotangent':
      return cotangent(run, node)
    case 'select':
      return select(run, node)
    case 'expand':
      return gather(run, argument(run, node, 0), axesOf(run, node, 0), node.axes)
    case 'rename':
      return rename(run, node)
    case 'reduce_sum':
      return reduce(run, node, 0, (sum, x) => sum + x)
    case 'reduce_max':
      return reduce(run, node, Number.NEGATIVE_INFINITY, Math.max)
    case 'contract':
      return contract(run, node)
    case 'pick':
      return pick(run, node)
    case 'shift':
      return shift(run, node)
    default:
      return evaluateHostOp(
        node,
        node.args.map((_, place) => operand(run, node, place)),
        run.sizes,
        'float64',
      )
  }
}

function argument(run: Run, node: Node, place: number): NumericArray {
  return run.results[node.args[place]]
}

function axesOf(run: Run, node: Node, place: number): readonly string[] {
  return run.program.nodes[node.args[place]].axes
}

function cotangent(run: Run, node: Node): NumericArray {
  const given = run.args.cotangent ?? Float64Array.of(1)
  const count = elementsOf(node.axes, run.sizes)
  return given.length === count ? given : new Float64Array(count).fill(given[0])
}

function elementwise(run: Run, node: Node, meaning: (a: number, b: number) => number): Float64Array {
  const [a, b] = [aligned(run, node, 0), aligned(run, node, node.args.length - 1)]
  return Float64Array.from({ length: elementsOf(node.axes, run.sizes) }, (_, i) => meaning(a(i), b(i)))
}

function select(run: Run, node: Node): Float64Array {
  const [test, yes, no] = [aligned(run, node, 0), aligned(run, node, 1), aligned(run, node, 2)]
  return Float64Array.from({ length: elementsOf(node.axes, run.sizes) }, (_, i) =>
    test(i) !== 0 ? yes(i) : no(i),
  )
}

function aligned(run: Run, node: Node, place: number): (element: number) => number {
  return broadcastTo(run.sizes, operand(run, node, place), node.axes)
}

function operand(run: Run, node: Node, place: number): Operand {
  return { data: argument(run, node, place), axes: axesOf(run, node, place) }
}

/** Copies from one order of axes to another, broadcasting along the axes that the source does not have. */
function gather(run: Run, data: NumericArray, from: readonly string[], to: readonly string[]): Float64Array {
  const offsets = offsetsOf(run.sizes, to, from)
  return Float64Array.from(offsets, (offset) => data[offset])
}

function rename(run: Run, node: Node): Float64Array {
  const from = axesOf(run, node, 0).map((axis) => (axis === node.axis ? node.to! : axis))
  return gather(run, argument(run, node, 0), from, node.axes)
}

function reduce(run: Run, node: Node, start: number, step: (so: number, x: number) => number): Float64Array {
  const data = argument(run, node, 0)
  const own = axesOf(run, node, 0)
  const [offsets, stride] = [offsetsOf(run.sizes, node.axes, own), strideOf(run.sizes, own, node.axis!)]
  return Float64Array.from(offsets, (offset) => {
    let result = start
    for (let k = 0; k < run.sizes[node.axis!]; k++) result = step(result, data[offset + k * stride])
    return result
  })
}

function contract(run: Run, node: Node): Float64Array {
  const [a, b] = [argument(run, node, 0), argument(run, node, 1)]
  const [aAxes, bAxes] = [axesOf(run, node, 0), axesOf(run, node, 1)]
  const [aOffsets, bOffsets] = [
    offsetsOf(run.sizes, node.axes, aAxes),
    offsetsOf(run.sizes, node.axes, bAxes),
  ]
  const [aStride, bStride] = [strideOf(run.sizes, aAxes, node.axis!), strideOf(run.sizes, bAxes, node.axis!)]
  return Float64Array.from(aOffsets, (aOffset, i) => {
    let sum = 0
    for (let k = 0; k < run.sizes[node.axis!]; k++)
      sum += a[aOffset + k * aStride] * b[bOffsets[i] + k * bStride]
    return sum
  })
}

function pick(run: Run, node: Node): Float64Array {
  const [data, place] = [argument(run, node, 0), aligned(run, node, 1)]
  const own = axesOf(run, node, 0)
  const [offsets, stride] = [offsetsOf(run.sizes, node.axes, own), strideOf(run.sizes, own, node.axis!)]
  const length = run.sizes[node.axis!]
  return Float64Array.from(offsets, (offset, i) => {
    const k = place(i)
    return k >= 0 && k < length ? data[offset + k * stride] : 0
  })
}

function shift(run: Run, node: Node): Float64Array {
  const [data, [steps]] = [argument(run, node, 0), argument(run, node, 1)]
  const [length, stride] = [run.sizes[node.axis!], strideOf(run.sizes, node.axes, node.axis!)]
  return Float64Array.from({ length: elementsOf(node.axes, run.sizes) }, (_, i) => {
    const from = (Math.floor(i / stride) % length) - steps
    return from >= 0 && from < length ? data[i - steps * stride] : 0
  })
}
