/**
 * The IR builder: infers types and axes, simplifies nodes while they are built (peephole rewriting), and never
 * creates the same node twice (common subexpression elimination by hash consing). It does not know formulas, names
 * or losses.
 */
import {
  type ElementType,
  type FastMathFlag,
  type FormulaOp,
  isComposite,
  isPseudoOp,
  LOGIC_OPS,
  type Node,
} from './ir.ts'

/** A node, by its index. */
export type Ref = number

export interface Attributes {
  readonly axis?: string
  readonly to?: string
  readonly hint?: FastMathFlag
}

/** Peephole rewriting: the replacement for an op that is about to be created, or undefined to keep it. */
export type Rewrite = (
  build: Builder,
  op: FormulaOp,
  args: readonly Ref[],
  attributes: Attributes,
) => Ref | undefined

const LOGIC: ReadonlySet<FormulaOp> = new Set(LOGIC_OPS)

const REMOVES_AXIS: ReadonlySet<FormulaOp> = new Set([
  'reduce_sum',
  'reduce_max',
  'contract',
  'pick',
  'logsumexp',
  'solve_lower',
  'solve_upper',
  'soft_dtw',
] satisfies FormulaOp[])

const NO_AXES: readonly string[] = []
const NO_ATTRIBUTES: Attributes = {}

/**
 * Maximum number of nodes that are built for one program, most of which it does not keep. It bounds the time that
 * lowering takes, whatever the formula.
 */
const MAX_BUILT = 2 ** 13

/** A formula whose derivatives would take too long to build. */
export class TooManyNodes extends Error {
  override readonly name = 'TooManyNodes'
}

export class Builder {
  readonly nodes: Node<FormulaOp>[] = []
  /** The order in which every node lists its axes. */
  readonly axes: string[]
  /** Renamed axis -> the axis that its size comes from. */
  readonly renamed: Record<string, string>
  /** Axes that must have the same size, although each is declared separately. */
  readonly square: (readonly [string, string])[] = []
  readonly #rewrite: Rewrite
  readonly #known = new Map<string, Ref>()
  /** Nodes without attributes (most nodes), by op and arguments encoded as one number. */
  readonly #plain = new Map<number, Ref>()

  /**
   * @param rewrite tried on each op before it is created: those of simplify.ts
   * @param renamed axes that are second names from the start
   */
  constructor(axes: readonly string[], rewrite: Rewrite, renamed: Readonly<Record<string, string>> = {}) {
    this.axes = [...axes]
    this.renamed = { ...renamed }
    this.#rewrite = rewrite
  }

  // Leaves

  constant(value: number): Ref {
    return this.#intern({ op: 'constant', args: [], type: 'real', axes: [], value })
  }

  truth(value: boolean): Ref {
    return this.#intern({ op: 'constant', args: [], type: 'bool', axes: [], value: value ? 1 : 0 })
  }

  input(name: string, type: 'real' | 'index', axes: readonly string[]): Ref {
    return this.#intern({ op: 'input', args: [], type, axes: this.#sorted(axes), name })
  }

  scalar(name: string): Ref {
    return this.#intern({ op: 'scalar', args: [], type: 'real', axes: [], name })
  }

  index(axis: string): Ref {
    return this.#intern({ op: 'index', args: [], type: 'index', axes: [axis], axis })
  }

  size(axis: string): Ref {
    return this.#intern({ op: 'size', args: [], type: 'real', axes: [], axis })
  }

  cotangent(axes: readonly string[]): Ref {
    return this.#intern({ op: 'cotangent', args: [], type: 'real', axes: this.#sorted(axes) })
  }

  // Operations

  /** Any op by name. The named methods below are for rules that read like mathematics. */
  make(op: FormulaOp, args: readonly Ref[], attributes: Attributes = NO_ATTRIBUTES): Ref {
    return this.#rewrite(this, op, args, attributes) ?? this.raw(op, args, attributes)
  }

  /** The same without rewriting, for rules whose result would be rewritten to itself. */
  raw(op: FormulaOp, args: readonly Ref[], attributes: Attributes = NO_ATTRIBUTES): Ref {
    if (attributes === NO_ATTRIBUTES && args.length <= MOST_PACKED) return this.#internPlain(op, args)
    return this.#intern({
      op,
      args,
      type: this.#typeOf(op, args),
      axes: this.#axesOf(op, args, attributes),
      ...attributes,
    })
  }

  neg = (x: Ref): Ref => this.make('neg', [x])
  exp = (x: Ref): Ref => this.make('exp', [x])
  add = (a: Ref, b: Ref): Ref => this.make('add', [a, b])
  sub = (a: Ref, b: Ref): Ref => this.make('sub', [a, b])
  mul = (a: Ref, b: Ref): Ref => this.make('mul', [a, b])
  div = (a: Ref, b: Ref): Ref => this.make('div', [a, b])
  mulNoNan = (g: Ref, d: Ref): Ref => this.make('mul_no_nan', [g, d])
  eq = (a: Ref, b: Ref): Ref => this.make('eq', [a, b])
  lt = (a: Ref, b: Ref): Ref => this.make('lt', [a, b])
  select = (test: Ref, yes: Ref, no: Ref): Ref => this.make('select', [test, yes, no])

  /** The sum over an axis. If the node does not have the axis, it is multiplied by its size. */
  sum(x: Ref, axis: string): Ref {
    if (!this.axesOf(x).includes(axis)) return this.mul(x, this.size(axis))
    return this.make('reduce_sum', [x], { axis })
  }

  /** For each element of an axis, the sum of all other elements. */
  sumOthers(x: Ref, axis: string): Ref {
    if (!this.axesOf(x).includes(axis)) return this.mul(x, this.sub(this.size(axis), this.constant(1)))
    return this.make('sum_others', [x], { axis })
  }

  /** The maximum along an axis. If the node does not have the axis, this is the node itself. */
  max(x: Ref, axis: string, hint?: FastMathFlag): Ref {
    if (!this.axesOf(x).includes(axis)) return x
    return this.make('reduce_max', [x], { axis, ...(hint && { hint }) })
  }

  /** An index as a real number: the maximum of the index and a smaller real number. */
  real(x: Ref): Ref {
    return this.typeOf(x) === 'index' ? this.make('max', [x, this.constant(-(2 ** 31))]) : x
  }

  contract(a: Ref, b: Ref, axis: string): Ref {
    return this.make('contract', [a, b], { axis })
  }

  /** Whether an index is within an axis. */
  isInside(place: Ref, axis: string): Ref {
    const isAbove = this.make('le', [this.constant(0), place])
    return this.make('and', [isAbove, this.lt(place, this.size(axis))])
  }

  pick(x: Ref, place: Ref, axis: string): Ref {
    return this.make('pick', [x, place], { axis })
  }

  /** Places from the smallest to the largest; an axis that the node has not is in order already. */
  argsort(x: Ref, axis: string): Ref {
    return this.axesOf(x).includes(axis) ? this.make('argsort', [x], { axis }) : this.index(axis)
  }

  /** `place` has the axis: one element is read for each of its elements. */
  gather(x: Ref, place: Ref, axis: string): Ref {
    return this.axesOf(x).includes(axis) ? this.make('gather', [x, this.expand(place, [axis])], { axis }) : x
  }

  /** The element `steps` before each element along an axis, and 0 where there is none. */
  shift(x: Ref, steps: number, axis: string): Ref {
    return this.make('shift', [this.expand(x, [axis]), this.constant(steps)], { axis })
  }

  scatter(x: Ref, place: Ref, axis: string): Ref {
    return this.make('scatter', [x, this.expand(place, [axis])], { axis })
  }

  cumsum(x: Ref, axis: string): Ref {
    return this.make('cumsum', [this.expand(x, [axis])], { axis })
  }

  /** x plus the factor times the result before it: of the element before, or in reverse, of the one after. */
  recurrence(op: 'recurrence' | 'reverse_recurrence', x: Ref, factor: Ref, axis: string): Ref {
    return this.make(op, [this.expand(x, [axis]), this.expand(factor, [axis])], { axis })
  }

  /** The index of the largest of each element and all before it. */
  cummaxPlace(x: Ref, axis: string): Ref {
    return this.make('cummax_place', [this.expand(x, [axis])], { axis })
  }

  /** `args`: log-probabilities, labels, input lengths, target lengths, blank. */
  ctc(args: readonly Ref[], time: string, classes: string): Ref {
    return this.make('ctc', args, { axis: time, to: classes })
  }

  /** `rows` and `columns` are the axes of the matrix. The right-hand side has the rows, the solution the columns. */
  solve(op: 'solve_lower' | 'solve_upper', matrix: Ref, right: Ref, rows: string, columns: string): Ref {
    return this.make(op, [matrix, this.expand(right, [rows])], { axis: rows, to: columns })
  }

  /** The costs have both axes. */
  softDtw(costs: Ref, gamma: Ref, first: string, second: string): Ref {
    const pairs = this.expand(costs, [first, second, ...this.axesOf(gamma)])
    return this.make('soft_dtw', [pairs, gamma], { axis: first, to: second })
  }

  /** Requires that two axes have the same size. */
  requireSquare(rows: string, columns: string) {
    const [a, b] = [rows, columns].map((axis) => this.renamed[axis] ?? axis)
    if (a !== b) this.square.push([a, b])
  }

  /** Gives an axis a second name, so that every row can be combined with every other row. */
  rename(x: Ref, axis: string, to: string): Ref {
    this.nameAgain(axis, to)
    return this.axesOf(x).includes(axis) ? this.make('rename', [x], { axis, to }) : x
  }

  /** Introduces a second name of an axis. */
  nameAgain(axis: string, to: string) {
    if (this.axes.includes(to)) return
    this.axes.splice(this.axes.indexOf(axis) + 1, 0, to)
    this.renamed[to] = this.renamed[axis] ?? axis
  }

  /** Broadcasts along missing axes, so that the node has at least these. */
  expand(x: Ref, axes: readonly string[]): Ref {
    const wanted = this.#sorted([...new Set([...this.axesOf(x), ...axes])])
    if (wanted.length === this.axesOf(x).length) return x
    return this.#intern({ op: 'expand', args: [x], type: this.typeOf(x), axes: wanted })
  }

  /** The operation of another builder's node, applied to arguments of this one. */
  copy(node: Node<FormulaOp>, args: readonly Ref[]): Ref {
    const { op, axis } = node
    if (args.length === 0) return this.#intern(node)
    if (op === 'expand') return this.expand(args[0], node.axes)
    if (op === 'reduce_sum') return this.sum(args[0], axis!)
    if (op === 'reduce_max') return this.max(args[0], axis!, node.hint)
    if (op === 'rename') return this.rename(args[0], axis!, node.to!)
    if (axis === undefined && node.to === undefined && node.hint === undefined) return this.make(op, args)
    return this.make(op, args, {
      ...(axis && { axis }),
      ...(node.to && { to: node.to }),
      ...(node.hint && { hint: node.hint }),
    })
  }

  /**
   * The nodes for an engine.
   *
   * @throws TypeError if a composite op has not been decomposed
   */
  primitives(): readonly Node[] {
    const left = this.nodes.find(({ op }) => isComposite(op) || isPseudoOp(op) || op === 'straight_through')
    if (left !== undefined) throw new TypeError(`${left.op} has not been decomposed`)
    return this.nodes as readonly Node[]
  }

  // Questions

  opOf = (x: Ref): FormulaOp => this.nodes[x].op
  typeOf = (x: Ref): ElementType => this.nodes[x].type
  axesOf = (x: Ref): readonly string[] => this.nodes[x].axes
  argOf = (x: Ref, place: number): Ref => this.nodes[x].args[place]
  isLogic = (op: FormulaOp): boolean => LOGIC.has(op)

  /** The value of a constant node; undefined for other nodes. */
  constantOf(x: Ref): number | undefined {
    const node = this.nodes[x]
    return node.op === 'constant' ? node.value : undefined
  }

  truthOf(x: Ref): boolean | undefined {
    const value = this.typeOf(x) === 'bool' ? this.constantOf(x) : undefined
    return value === undefined ? undefined : value !== 0
  }

  is(x: Ref, value: number): boolean {
    return this.typeOf(x) !== 'bool' && this.constantOf(x) === value
  }

  #typeOf(op: FormulaOp, args: readonly Ref[]): ElementType {
    if (LOGIC.has(op)) return 'bool'
    if (op === 'argsort' || op === 'cummax_place') return 'index'
    if (op === 'rename' || op === 'gather' || op === 'stop_gradient') return this.typeOf(args[0])
    if (op === 'select' && this.typeOf(args[1]) === this.typeOf(args[2])) return this.typeOf(args[1])
    return 'real'
  }

  #axesOf(op: FormulaOp, args: readonly Ref[], { axis, to }: Attributes): readonly string[] {
    // A row's loss has the axes of its length; the slope is laid out as what it is the slope of.
    if (op === 'ctc') return this.axesOf(args[2])
    if (op === 'ctc_slope' || op === 'soft_dtw_slope') return this.axesOf(args[0])
    const union = this.#unionOf(args)
    if (op === 'rename') return this.#sorted(union.map((name) => (name === axis ? to! : name)))
    if (!REMOVES_AXIS.has(op)) return union
    return union.filter((name) => name !== axis && (op !== 'soft_dtw' || name !== to))
  }

  /** Almost always, one of the arguments has all of them in order. */
  #unionOf(args: readonly Ref[]): readonly string[] {
    let union: readonly string[] = NO_AXES
    for (const arg of args) {
      const axes = this.axesOf(arg)
      if (includesAll(union, axes)) continue
      union = includesAll(axes, union) ? axes : this.#sorted([...new Set([...union, ...axes])])
    }
    return union
  }

  #sorted(axes: readonly string[]): readonly string[] {
    if (axes.length < 2) return axes
    return [...axes].sort((a, b) => this.axes.indexOf(a) - this.axes.indexOf(b))
  }

  #intern(node: Node<FormulaOp>): Ref {
    const key = keyOf(node)
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const ref = this.#add(node)
    this.#known.set(key, ref)
    return ref
  }

  #internPlain(op: FormulaOp, args: readonly Ref[]): Ref {
    const key = packed(op, args)
    const known = this.#plain.get(key)
    if (known !== undefined) return known
    const type = this.#typeOf(op, args)
    const ref = this.#add({ op, args, type, axes: this.#axesOf(op, args, NO_ATTRIBUTES) })
    this.#plain.set(key, ref)
    return ref
  }

  #add(node: Node<FormulaOp>): Ref {
    if (this.nodes.length >= MAX_BUILT)
      throw new TooManyNodes(`more than ${MAX_BUILT} operations have to be built`)
    return this.nodes.push(Object.freeze(node)) - 1
  }
}

/** Maximum number of arguments that fit into a safe integer together with the op. */
const MOST_PACKED = 3
const OP_NUMBERS = new Map<FormulaOp, number>()

function numberOf(op: FormulaOp): number {
  const known = OP_NUMBERS.get(op) ?? OP_NUMBERS.size
  OP_NUMBERS.set(op, known)
  return known
}

/** Up to 128 ops. Arguments count from 1, so that different numbers of arguments give different keys. */
function packed(op: FormulaOp, args: readonly Ref[]): number {
  let key = 0
  for (const arg of args) key = key * (2 * MAX_BUILT) + arg + 1
  return key * 128 + numberOf(op)
}

function keyOf({ op, args, type, axes, value, name, axis, to, hint }: Node<FormulaOp>): string {
  let key = `${op} ${type} ${Object.is(value, -0) ? '-0' : value} ${name} ${axis} ${to} ${hint}`
  for (const arg of args) key += ` ${arg}`
  for (const one of axes) key += `,${one}`
  return key
}

function includesAll(axes: readonly string[], others: readonly string[]): boolean {
  return axes === others || others.every((axis) => axes.includes(axis))
}
