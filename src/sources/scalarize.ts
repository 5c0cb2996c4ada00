/**
 * A program for known sizes as one without axes: every element of every value is a node of its own, and sums are added up
 * term by term. What depends on constants and places alone is folded on the way.
 */
import type { Position } from '../language/ast.ts'
import { Builder, type Ref } from '../language/builder.ts'
import type { Node, Op } from '../language/ir.ts'
import { elementsOf } from '../language/ir.ts'
import { locationOf } from '../language/source-locations.ts'
import { offsetsOf, type Sizes, strideOf } from '../language/strides.ts'
import { CannotWrite, type SourceProgram } from './contract.ts'
import { simplifyUnit } from './unit-cotangent.ts'

export interface ScalarProgram {
  readonly nodes: readonly Node[]
  /** In the order of the elements of the value. */
  readonly values: readonly Ref[]
  /** Input -> the gradients of its elements, in its own layout. */
  readonly gradients: Readonly<Record<string, readonly Ref[]>>
  /** Node -> the name of the formula's line, for lines that are one number. */
  readonly names: ReadonlyMap<Ref, string>
}

/** The name of an element of an input. */
export function elementName(input: string, place: number): string {
  return `${input}[${place}]`
}

/** A query with more steps than this is not one that a warehouse plans in reasonable time. */
const MOST_NODES = 20_000

/** Whether an op needs a recursion along an axis, which no expression says. */
export function isRecursive(op: Op): boolean {
  return RECURSIVE.has(op)
}

const RECURSIVE: ReadonlySet<Op> = new Set([
  'cummax_place',
  'ctc',
  'ctc_slope',
  'soft_dtw',
  'soft_dtw_slope',
] satisfies Op[])

/**
 * @param scalars the values of the parameters
 * @throws CannotWrite for ops on a whole axis, and for too many elements
 */
export function scalarise(
  source: SourceProgram,
  sizes: Sizes,
  scalars: Readonly<Record<string, number>>,
): ScalarProgram {
  return new Scalariser(source, sizes, scalars).write()
}

/** With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0. */
function sigmoid(build: Builder, x: Ref): Ref {
  const e = build.exp(build.neg(build.make('abs', [x])))
  const isRight = build.make('le', [build.constant(0), x])
  return build.div(build.select(isRight, build.constant(1), e), build.add(build.constant(1), e))
}

/** max(x, 0) + log(1 + exp(-|x|)) */
function softplus(build: Builder, x: Ref): Ref {
  const e = build.exp(build.neg(build.make('abs', [x])))
  return build.add(build.make('max', [x, build.constant(0)]), build.make('log1p', [e]))
}

class Scalariser {
  readonly #source: SourceProgram
  readonly #sizes: Sizes
  readonly #scalars: Readonly<Record<string, number>>
  readonly #build = new Builder([], simplifyUnit)
  readonly #made: (readonly Ref[])[] = []

  constructor(source: SourceProgram, sizes: Sizes, scalars: Readonly<Record<string, number>>) {
    this.#source = source
    this.#sizes = sizes
    this.#scalars = scalars
  }

  write(): ScalarProgram {
    const { program, names } = this.#source
    program.nodes.forEach((node, id) => {
      this.#made.push(this.#elements(node))
      if (this.#build.nodes.length > MOST_NODES)
        throw new CannotWrite(
          node.op,
          `takes more than ${MOST_NODES} steps for so many columns`,
          this.#placeOf(id),
        )
    })
    const gradients = Object.entries(program.gradients).map(([name, id]) => {
      const { axes } = program.nodes[id]
      const own = program.inputs[name]?.axes ?? axes
      return [name, [...offsetsOf(this.#sizes, own, axes)].map((offset) => this.#made[id][offset])] as const
    })
    const single = [...names].flatMap(([id, name]) =>
      this.#made[id].length === 1 ? [[this.#made[id][0], name] as const] : [],
    )
    return {
      nodes: this.#build.primitives(),
      values: this.#made[program.value],
      gradients: Object.fromEntries(gradients),
      names: new Map(single.reverse()),
    }
  }

  #placeOf(id: number): Position | undefined {
    return locationOf(this.#source.program.nodes, this.#source.places, id)
  }

  #elements(node: Node): readonly Ref[] {
    const { op, args, axes, axis, value, type, name } = node
    const build = this.#build
    switch (op) {
      case 'constant':
        return [type === 'bool' ? build.truth(value !== 0) : build.constant(value!)]
      case 'scalar':
        return [build.constant(this.#scalars[name!])]
      case 'size':
        return [build.constant(this.#sizes[axis!])]
      case 'index':
        return Array.from({ length: this.#sizes[axis!] }, (_, place) => build.constant(place))
      case 'cotangent':
        return Array.from({ length: elementsOf(axes, this.#sizes) }, () => build.constant(1))
      case 'input':
        return this.#input(node)
      case 'expand':
        return this.#aligned(args[0], axes)
      case 'rename':
        return this.#renamed(node)
      case 'reduce_sum':
        return this.#lines(args[0], node).map((line) => line.reduce((sum, x) => build.add(sum, x)))
      case 'reduce_max':
        return this.#lines(args[0], node).map((line) =>
          line.reduce((most, x) => build.make('max', [most, x])),
        )
      case 'contract':
        return this.#contract(node)
      case 'pick':
        return this.#pick(node)
      case 'shift':
      case 'cumsum':
      case 'reverse_cumsum':
      case 'recurrence':
      case 'reverse_recurrence':
      case 'argsort':
      case 'gather':
      case 'scatter':
        return this.#alongLines(node)
      case 'solve_lower':
      case 'solve_upper':
        return this.#solved(node)
      default:
        return this.#elementwise(node)
    }
  }

  /** Ops on a whole axis, for each line along it. */
  #alongLines(node: Node): readonly Ref[] {
    const { axes, axis } = node
    const operands = node.args.map((arg) => this.#aligned(arg, axes))
    const stride = strideOf(this.#sizes, axes, axis!)
    const others = axes.filter((own) => own !== axis)
    const found: Ref[] = []
    for (const start of offsetsOf(this.#sizes, others, axes)) {
      const line = Array.from({ length: this.#sizes[axis!] }, (_, k) => start + k * stride)
      const results = this.#line(
        node,
        operands.map((operand) => line.map((at) => operand[at])),
      )
      line.forEach((at, k) => {
        found[at] = results[k]
      })
    }
    return found
  }

  #line({ op, args }: Node, [x, places]: readonly (readonly Ref[])[]): readonly Ref[] {
    const build = this.#build
    const zero = build.constant(0)
    switch (op) {
      case 'shift': {
        const steps = this.#source.program.nodes[args[1]].value!
        return x.map((_, k) => x[k - steps] ?? zero)
      }
      case 'cumsum':
        return this.#runningSums(x)
      case 'reverse_cumsum':
        return this.#runningSums(x.toReversed()).toReversed()
      case 'recurrence':
        return this.#recurrence(x, places)
      case 'reverse_recurrence':
        return this.#recurrence(x.toReversed(), places.toReversed()).toReversed()
      case 'gather':
        return places.map((place) => this.#pickFrom(x, place))
      case 'scatter':
        return x.map((_, k) => {
          const here = x.map((own, i) => build.select(build.eq(places[i], build.constant(k)), own, zero))
          return here.reduce((sum, own) => build.add(sum, own))
        })
      default:
        return this.#order(x)
    }
  }

  #runningSums(x: readonly Ref[]): Ref[] {
    const sums: Ref[] = []
    for (const own of x) sums.push(sums.length === 0 ? own : this.#build.add(sums.at(-1)!, own))
    return sums
  }

  #recurrence(x: readonly Ref[], factors: readonly Ref[]): Ref[] {
    const build = this.#build
    const results: Ref[] = []
    for (const [k, own] of x.entries()) {
      const last = results.at(-1)
      results.push(last === undefined ? own : build.add(build.mulNoNan(last, factors[k]), own))
    }
    return results
  }

  /** Each element is compared with each other one: the number of those before it is its rank. NaN is last. */
  #order(x: readonly Ref[]): Ref[] {
    const build = this.#build
    const [zero, one] = [build.constant(0), build.constant(1)]
    const isNumber = x.map((own) => build.eq(own, own))
    const isBefore = (j: number, i: number) => {
      const isLess = j < i ? build.make('le', [x[j], x[i]]) : build.lt(x[j], x[i])
      const isBroken = build.make('not', [isNumber[i]])
      const isFirst = j < i ? isBroken : build.make('and', [isBroken, isNumber[j]])
      return build.make('or', [isLess, isFirst])
    }
    const ranks = x.map((_, i) => {
      const before = x.flatMap((_, j) => (j === i ? [] : [build.select(isBefore(j, i), one, zero)]))
      return before.reduce((sum, own) => build.add(sum, own), zero)
    })
    const indices = x.map((_, i) => build.constant(i))
    return indices.map((rank) => {
      return ranks.reduceRight((rest, own, i) => build.select(build.eq(own, rank), indices[i], rest), zero)
    })
  }

  /** By substitution, from the first row or from the last one. */
  #solved({ op, args: [matrix, right], axes, axis, to }: Node): readonly Ref[] {
    const build = this.#build
    const others = axes.filter((own) => own !== to)
    const size = this.#sizes[axis!]
    const [a, b] = [this.#aligned(matrix, [...others, axis!, to!]), this.#aligned(right, [...others, axis!])]
    const rows = Array.from({ length: size }, (_, row) => (op === 'solve_lower' ? row : size - 1 - row))
    const solutions = Array.from({ length: elementsOf(others, this.#sizes) }, (_, system) => {
      const x: Ref[] = []
      for (const row of rows) {
        const coefficient = (column: number) => a[(system * size + row) * size + column]
        const rest = x.reduce(
          (left, own, column) => build.sub(left, build.mul(coefficient(column), own)),
          b[system * size + row],
        )
        x[row] = build.div(rest, coefficient(row))
      }
      return x
    }).flat()
    return [...offsetsOf(this.#sizes, axes, [...others, to!])].map((offset) => solutions[offset])
  }

  #pickFrom(x: readonly Ref[], place: Ref): Ref {
    const build = this.#build
    return x.reduceRight(
      (rest, own, k) => build.select(build.eq(place, build.constant(k)), own, rest),
      build.constant(0),
    )
  }

  #input({ name, axes, type }: Node): Ref[] {
    const own = this.#source.program.inputs[name!].axes
    const real = type === 'index' ? 'real' : (type as 'real')
    return [...offsetsOf(this.#sizes, axes, own)].map((offset) =>
      this.#build.input(elementName(name!, offset), real, []),
    )
  }

  #axesOf(id: number): readonly string[] {
    return this.#source.program.nodes[id].axes
  }

  #aligned(id: number, axes: readonly string[]): Ref[] {
    return [...offsetsOf(this.#sizes, axes, this.#axesOf(id))].map((offset) => this.#made[id][offset])
  }

  #elementwise({ op, args, axes }: Node): Ref[] {
    const operands = args.map((arg) => this.#aligned(arg, axes))
    return Array.from({ length: elementsOf(axes, this.#sizes) }, (_, i) => {
      const own = operands.map((operand) => operand[i])
      if (op === 'sigmoid') return sigmoid(this.#build, own[0])
      return op === 'softplus' ? softplus(this.#build, own[0]) : this.#build.make(op, own)
    })
  }

  #renamed({ args, axes, axis, to }: Node): Ref[] {
    const from = this.#axesOf(args[0]).map((own) => (own === axis ? to! : own))
    return [...offsetsOf(this.#sizes, axes, from)].map((offset) => this.#made[args[0]][offset])
  }

  /** For each element of the node, the elements of an argument along the node's axis. */
  #lines(id: number, { axes, axis }: Node): Ref[][] {
    const own = this.#axesOf(id)
    const stride = strideOf(this.#sizes, own, axis!)
    return [...offsetsOf(this.#sizes, axes, own)].map((offset) => {
      return Array.from({ length: this.#sizes[axis!] }, (_, k) => this.#made[id][offset + k * stride])
    })
  }

  #contract(node: Node): Ref[] {
    const [a, b] = node.args.map((arg) => this.#lines(arg, node))
    return a.map((line, i) => {
      return line.map((x, k) => this.#build.mul(x, b[i][k])).reduce((sum, x) => this.#build.add(sum, x))
    })
  }

  /** One after the other is compared with the place. */
  #pick(node: Node): Ref[] {
    const lines = this.#lines(node.args[0], node)
    const places = this.#aligned(node.args[1], node.axes)
    return lines.map((line, i) => this.#pickFrom(line, places[i]))
  }
}
