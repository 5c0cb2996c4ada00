/**
 * Legalization of shifts, which read the element n steps before the current one. Cheap arithmetic is recomputed there, from the
 * neighbors of tensors in memory, so its result need not be stored. Any other result is stored once and read at a distance.
 */
import type { Builder, Ref } from '../language/builder.ts'
import { type FormulaOp, LOGIC_OPS } from '../language/ir.ts'

/** Up to this many operations are recomputed for a neighbor instead of storing their result. */
const CHEAP_TO_REPEAT = 4

const CHEAP: ReadonlySet<FormulaOp> = new Set([
  'neg',
  'abs',
  'sign',
  'add',
  'sub',
  'mul',
  'max',
  'min',
  'mul_no_nan',
  ...LOGIC_OPS,
  'select',
  'expand',
] satisfies FormulaOp[])

/**
 * x, `steps` elements before the current one, and 0 where there is none. Reads beyond the ends of the axis give arbitrary values,
 * which the condition discards.
 *
 * @example
 * shifted(build, build.sub(x, y), 1, 'time') // 1 <= index(time) ? x[time - 1] - y[time - 1] : 0
 */
export function legalizeShift(build: Builder, x: Ref, steps: number, axis: string): Ref {
  const index = build.index(axis)
  const isInside =
    steps > 0
      ? build.make('le', [build.constant(steps), index])
      : build.lt(index, build.add(build.size(axis), build.constant(steps)))
  return build.select(isInside, new NeighborReads(build, steps, axis).of(x), build.constant(0))
}

class NeighborReads {
  readonly #build: Builder
  readonly #steps: number
  readonly #axis: string

  constructor(build: Builder, steps: number, axis: string) {
    this.#build = build
    this.#steps = steps
    this.#axis = axis
  }

  of(x: Ref): Ref {
    return this.#repeated(x, { left: CHEAP_TO_REPEAT }) ?? this.#throughFactor(x) ?? this.#stored(x)
  }

  /** Recomputed from the neighbors of tensors in memory; undefined if that costs more than storing the result. */
  #repeated(x: Ref, budget: { left: number }): Ref | undefined {
    const build = this.#build
    const op = build.opOf(x)
    if (!this.#varies(x)) return x
    if (op === 'index') return build.sub(x, build.constant(this.#steps))
    if (isRead(build, x)) return this.#stored(x)
    if (!CHEAP.has(op) || (op !== 'expand' && --budget.left < 0)) return undefined
    const args = build.nodes[x].args.map((arg) => this.#repeated(arg, budget))
    return args.includes(undefined) ? undefined : this.#remade(x, args as Ref[])
  }

  /** A factor that does not vary along the axis is applied after the read, so that all windows share one stored result. */
  #throughFactor(x: Ref): Ref | undefined {
    const { args } = this.#build.nodes[x]
    const varying = args.filter((arg) => this.#varies(arg))
    if (!CHEAP.has(this.#build.opOf(x)) || varying.length !== 1) return undefined
    return this.#remade(
      x,
      args.map((arg) => (this.#varies(arg) ? this.of(arg) : arg)),
    )
  }

  /** A copy with the same axes, even if none of its new arguments has them. */
  #remade(x: Ref, args: readonly Ref[]): Ref {
    return this.#build.expand(this.#build.copy(this.#build.nodes[x], args), this.#build.axesOf(x))
  }

  #stored(x: Ref): Ref {
    const { op, args, axis } = this.#build.nodes[x]
    if (op !== 'shift') return this.#read(x, this.#steps, this.#axis)
    const own = this.#build.constantOf(args[1])!
    return axis === this.#axis
      ? this.#read(args[0], own + this.#steps, axis)
      : this.#read(this.#stored(args[0]), own, axis!)
  }

  #read(x: Ref, steps: number, axis: string): Ref {
    return this.#build.make('shift', [x, this.#build.constant(steps)], { axis })
  }

  #varies(x: Ref): boolean {
    return this.#build.axesOf(x).includes(this.#axis)
  }
}

/** Whether x is in memory before the kernel runs, with any axis names and at any distance. */
function isRead(build: Builder, x: Ref): boolean {
  const op = build.opOf(x)
  if (op === 'shift' || op === 'rename') return isRead(build, build.argOf(x, 0))
  return op === 'input' || op === 'cotangent'
}
