/**
 * Sums over the pairs of a long axis without the pairs. For each element, the sum of the distances to all larger ones needs only
 * the elements in order: from one to the next, it grows by their distance as often as there are larger ones.
 */
import { Builder, type Ref } from './builder.ts'
import type { Node, Program } from './ir.ts'
import { simplify } from './simplify.ts'

/** From this size of an axis on, sorting is faster than comparing all pairs. */
export const SORTED_FROM = 129

/** sum(max(x[axis -> others] - x, 0), others) */
interface PairSum {
  readonly x: number
  readonly axis: string
  /** Whether the distances are those to smaller elements: of x - x[axis -> others]. */
  readonly isToSmaller: boolean
}

const CACHE = new WeakMap<Program, Map<string, Program>>()

/**
 * The same program, with each sum of distances over the pairs of a long axis computed by sorting: n log n operations instead
 * of n². Equal arguments give the same object. It is the given program if there is nothing to do.
 *
 * @param sizes of all axes but renamed ones
 * @example
 * withSortedPairs(sparsemax, { rows: 8, classes: 1000 }) // argsort, gather, cumsum, scatter
 */
export function withSortedPairs(program: Program, sizes: Readonly<Record<string, number>>): Program {
  const found = program.nodes.flatMap((_, id) => pairSumOf(program, id) ?? [])
  const long = found.filter(({ axis }) => sizes[program.renamed[axis] ?? axis] >= SORTED_FROM)
  if (long.length === 0) return program
  const axes = new Set(long.map(({ axis }) => axis))
  const known = CACHE.get(program) ?? new Map<string, Program>()
  CACHE.set(program, known)
  const key = [...axes].join()
  const made = known.get(key) ?? new Sorting(program, axes).program()
  known.set(key, made)
  return made
}

/** The axes with such sums, by the names that have sizes. */
export function pairAxesOf(program: Program): readonly string[] {
  const found = program.nodes.flatMap((_, id) => pairSumOf(program, id) ?? [])
  return [...new Set(found.map(({ axis }) => program.renamed[axis] ?? axis))]
}

function pairSumOf({ nodes, renamed }: Program, id: number): PairSum | undefined {
  const { op, args, axis: others } = nodes[id]
  if (op !== 'reduce_sum') return undefined
  const hinge = nodes[args[0]]
  const zero = nodes[hinge.args[1]]
  if (hinge.op !== 'max' || zero?.op !== 'constant' || zero.value !== 0) return undefined
  const { op: inner, args: ends } = nodes[hinge.args[0]]
  if (inner !== 'sub') return undefined
  const isPair = (there: number, here: number) => {
    const { op: moved, args: from, axis, to } = nodes[there]
    return (
      moved === 'rename' && from[0] === here && to === others && renamed[others!] === (renamed[axis!] ?? axis)
    )
  }
  const axisOf = (there: number) => nodes[there].axis!
  if (isPair(ends[0], ends[1])) return { x: ends[1], axis: axisOf(ends[0]), isToSmaller: false }
  if (isPair(ends[1], ends[0])) return { x: ends[0], axis: axisOf(ends[1]), isToSmaller: true }
  return undefined
}

/** Builds the program again, with nothing in it that only the pairs needed. */
class Sorting {
  readonly #program: Program
  readonly #axes: ReadonlySet<string>
  readonly #build: Builder
  readonly #placed = new Map<number, Ref>()

  constructor(program: Program, axes: ReadonlySet<string>) {
    this.#program = program
    this.#axes = axes
    this.#build = new Builder(program.axes, simplify, program.renamed)
  }

  program(): Program {
    const { value, denominators, gradients, ...rest } = this.#program
    const results = {
      value: this.#place(value),
      ...(denominators === undefined ? {} : { denominators: this.#place(denominators) }),
      gradients: Object.fromEntries(Object.entries(gradients).map(([name, id]) => [name, this.#place(id)])),
    }
    const nodes = this.#build.primitives()
    const axes = rest.axes.filter((axis) => isUsed(nodes, axis) || rest.renamed[axis] === undefined)
    const renamed = Object.fromEntries(Object.entries(rest.renamed).filter(([axis]) => axes.includes(axis)))
    return { ...rest, ...results, nodes, axes, renamed }
  }

  #place(id: number): Ref {
    const known = this.#placed.get(id)
    if (known !== undefined) return known
    const node = this.#program.nodes[id]
    const sum = pairSumOf(this.#program, id)
    const made = this.#build.expand(
      sum !== undefined && this.#axes.has(sum.axis)
        ? this.#sorted(sum)
        : this.#build.copy(
            node,
            node.args.map((arg) => this.#place(arg)),
          ),
      node.axes,
    )
    this.#placed.set(id, made)
    return made
  }

  /** Of the largest element, the sum is 0; of the kth one after it, it grows k times by the distance to the one before. */
  #sorted({ x, axis, isToSmaller }: PairSum): Ref {
    const build = this.#build
    const placed = this.#place(x)
    const falling = isToSmaller ? placed : build.neg(placed)
    const order = build.argsort(falling, axis)
    const sorted = build.gather(falling, order, axis)
    const before = build.shift(sorted, 1, axis)
    // Equal infinities have no distance.
    const step = build.select(build.eq(sorted, before), build.constant(0), build.sub(sorted, before))
    const count = build.real(build.index(axis))
    const isFirst = build.eq(build.index(axis), build.constant(0))
    const grown = build.select(isFirst, build.constant(0), build.mul(count, step))
    const sums = build.scatter(build.cumsum(grown, axis), order, axis)
    // An infinity has no distance to itself, and one NaN makes all distances NaN.
    const exact = build.select(build.make('is_finite', [placed]), sums, build.sub(placed, placed))
    const most = build.max(placed, axis)
    return build.select(build.eq(most, most), exact, most)
  }
}

function isUsed(nodes: readonly Node[], axis: string): boolean {
  return nodes.some((node) => node.axes.includes(axis) || node.axis === axis)
}
