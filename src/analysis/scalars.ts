/**
 * The graph that proofs are about: one formula at given sizes, unrolled to scalars over real numbers. Each node is
 * one number. Constants are exact, and sums are kept as linear combinations of other nodes, so that
 * `predictions - targets` is one variable once `predictions` is written as `targets + residual`.
 */
import type { BinaryOp, LogicOp, UnaryOp } from '../language/ir.ts'
import {
  compare,
  floorOf,
  keyOf,
  negated,
  ONE,
  plus,
  type Rational,
  rational,
  reciprocal,
  signOf,
  times,
  toNumber,
  withinSizeLimit,
  ZERO,
} from './rational.ts'

/**
 * The ops of scalars. `linear` is a sum of multiples of its arguments and a constant; `opaque` is a number of which
 * only bounds are known; without bounds, not even that it is defined.
 */
export type ScalarOp =
  | UnaryOp
  | BinaryOp
  | LogicOp
  | 'variable'
  | 'constant'
  | 'linear'
  | 'square'
  | 'logsumexp'
  | 'select'
  | 'opaque'

/** A scalar, by its index. */
export type Scalar = number

export interface ScalarNode {
  readonly op: ScalarOp
  readonly args: readonly Scalar[]
  /** `variable`. */
  readonly name?: string
  /** `constant`: its float64; `linear`: that of its constant. */
  readonly value?: number
  /** The same, exactly; undefined for infinities and NaN. */
  readonly exact?: Rational
  /** `linear`: one for each argument. */
  readonly factors?: readonly Rational[]
  /** `opaque`. */
  readonly bounds?: readonly [number, number]
}

interface Linear {
  readonly terms: ReadonlyMap<Scalar, Rational>
  readonly offset: Rational
}

/** Whether the value of the op is never below 0. */
const NEVER_NEGATIVE: ReadonlySet<ScalarOp> = new Set([
  'abs',
  'square',
  'exp',
  'sigmoid',
  'softplus',
  'sqrt',
  'safe_sqrt',
] satisfies ScalarOp[])
/** f(-x) = -f(x). */
const ODD: ReadonlySet<ScalarOp> = new Set([
  'tanh',
  'atan',
  'asin',
  'sin',
  'erf',
  'sign',
] satisfies ScalarOp[])

/** Ops that have no value for some numbers: 0 times one of them is not 0 everywhere. */
const NOT_TOTAL: ReadonlySet<ScalarOp> = new Set([
  'log',
  'log1p',
  'log2',
  'log10',
  'sqrt',
  'safe_sqrt',
  'div',
  'pow',
  'asin',
  'acos',
  'lgamma',
  'digamma',
  'polygamma',
  'opaque',
] satisfies ScalarOp[])

/** Exact values of functions at 0 and at 1. */
const AT_ZERO: Readonly<Partial<Record<ScalarOp, Rational>>> = {
  exp: ONE,
  expm1: ZERO,
  log1p: ZERO,
  sqrt: ZERO,
  safe_sqrt: ZERO,
  tanh: ZERO,
  sin: ZERO,
  cos: ONE,
  atan: ZERO,
  asin: ZERO,
  erf: ZERO,
  sigmoid: { top: 1n, bottom: 2n },
}
const AT_ONE: Readonly<Partial<Record<ScalarOp, Rational>>> = {
  log: ZERO,
  log2: ZERO,
  log10: ZERO,
  sqrt: ONE,
  safe_sqrt: ONE,
  lgamma: ZERO,
}

/** Builds a graph and never the same node twice. */
export class Scalars {
  readonly nodes: ScalarNode[] = []
  readonly #known = new Map<string, Scalar>()
  /** Whether each node has a value for all numbers. */
  readonly #isTotal: boolean[] = []
  readonly #isCanonical: boolean

  /**
   * @param isCanonical whether sums, products and comparisons are brought to one form. Without that, the graph has
   * the operations of the program, and rounds as they do.
   */
  constructor(isCanonical = true) {
    this.#isCanonical = isCanonical
  }

  variable(name: string): Scalar {
    return this.#intern({ op: 'variable', args: [], name }, name)
  }

  constant(value: number): Scalar {
    const exact = rational(value)
    return exact === undefined
      ? this.#intern({ op: 'constant', args: [], value }, String(value))
      : this.exact(exact, value)
  }

  exact(exact: Rational, value = toNumber(exact)): Scalar {
    return this.#intern({ op: 'constant', args: [], value: value + 0, exact }, keyOf(exact))
  }

  truth(value: boolean): Scalar {
    return this.exact(value ? ONE : ZERO)
  }

  /** A number between bounds, about which nothing else is known. */
  opaque(args: readonly Scalar[], name: string, bounds: readonly [number, number]): Scalar {
    return this.#intern({ op: 'opaque', args, name, bounds }, `${name} ${bounds}`)
  }

  sum(args: readonly Scalar[]): Scalar {
    return args.length === 0 ? this.constant(0) : args.reduce((a, b) => this.make('add', [a, b]))
  }

  logsumexp(args: readonly Scalar[]): Scalar {
    return args.length === 1 ? args[0] : this.#intern({ op: 'logsumexp', args }, '')
  }

  select(test: Scalar, yes: Scalar, no: Scalar): Scalar {
    const known = this.constantOf(test)
    if (known !== undefined) return signOf(known) !== 0 ? yes : no
    return yes === no ? yes : this.#intern({ op: 'select', args: [test, yes, no] }, '')
  }

  make(op: UnaryOp | BinaryOp | LogicOp | 'square', args: readonly Scalar[]): Scalar {
    if (op === 'stop_gradient') return args[0]
    const rewritten = this.#isCanonical ? this.#canonical(op, args) : undefined
    return rewritten ?? this.#intern({ op, args }, '')
  }

  /** The exact number that a node is; undefined if it is none. */
  constantOf(id: Scalar): Rational | undefined {
    const { op, exact } = this.nodes[id]
    return op === 'constant' ? exact : undefined
  }

  /** The nodes that a root depends on, itself last. */
  reachable(root: Scalar): Scalar[] {
    const isNeeded = new Uint8Array(root + 1)
    isNeeded[root] = 1
    for (let id = root; id >= 0; id--)
      if (isNeeded[id]) for (const arg of this.nodes[id].args) isNeeded[arg] = 1
    return Array.from(isNeeded.keys()).filter((id) => isNeeded[id])
  }

  /** Names of the variables that a root depends on. */
  variablesOf(root: Scalar): string[] {
    return this.reachable(root).flatMap((id) =>
      this.nodes[id].op === 'variable' ? [this.nodes[id].name!] : [],
    )
  }

  /**
   * The same function with other things in place of some nodes.
   *
   * @param change what a node becomes; undefined to rebuild it from its changed arguments
   */
  replace(root: Scalar, change: (id: Scalar) => Scalar | undefined): Scalar {
    const done = new Map<Scalar, Scalar>()
    for (const id of this.reachable(root)) {
      const node = this.nodes[id]
      done.set(
        id,
        change(id) ??
          (node.args.length === 0
            ? id
            : this.#rebuilt(
                node,
                node.args.map((arg) => done.get(arg)!),
              )),
      )
    }
    return done.get(root)!
  }

  /**
   * The function at an exact place, as it is on one side of its kinks. Equal nodes are equal numbers, whether they
   * are rational or not.
   *
   * @param choose which side counts at a node: see `Choices` of tape.ts
   */
  settled(root: Scalar, variable: string, at: Rational, choose: (id: Scalar) => number | undefined): Scalar {
    return this.#onSide(root, choose, (name) => (name === variable ? this.exact(at) : undefined))
  }

  /** The function as it is on one side of its kinks. */
  onSide(root: Scalar, choose: (id: Scalar) => number | undefined): Scalar {
    return this.#onSide(root, choose, () => undefined)
  }

  #onSide(
    root: Scalar,
    choose: (id: Scalar) => number | undefined,
    leaf: (name: string) => Scalar | undefined,
  ): Scalar {
    const done = new Map<Scalar, Scalar>()
    for (const id of this.reachable(root)) {
      const node = this.nodes[id]
      const args = node.args.map((arg) => done.get(arg)!)
      const own = node.op === 'variable' ? (leaf(node.name!) ?? id) : id
      done.set(id, args.length === 0 ? own : this.#nodeOnSide(node, args, choose(id)))
    }
    return done.get(root)!
  }

  #nodeOnSide(node: ScalarNode, args: readonly Scalar[], choice: number | undefined): Scalar {
    if (choice === undefined) return this.#rebuilt(node, args)
    if (node.op === 'abs') return this.combination(args, [choice > 0 ? ONE : negated(ONE)], ZERO)
    return node.op === 'max' || node.op === 'min' || node.op === 'select'
      ? args[choice]
      : this.constant(choice)
  }

  /**
   * A function of another graph, in this one.
   *
   * @param variable what takes the place of a variable
   */
  copy(
    from: Scalars,
    root: Scalar,
    variable: (name: string) => Scalar = (name) => this.variable(name),
  ): Scalar {
    const done = new Map<Scalar, Scalar>()
    for (const id of from.reachable(root)) {
      const node = from.nodes[id]
      const args = node.args.map((arg) => done.get(arg)!)
      if (node.op === 'variable') done.set(id, variable(node.name!))
      else if (node.op === 'constant')
        done.set(id, node.exact === undefined ? this.constant(node.value!) : this.exact(node.exact))
      else done.set(id, this.#rebuilt(node, args))
    }
    return done.get(root)!
  }

  /** A node of the same kind on other arguments. */
  #rebuilt(node: ScalarNode, args: readonly Scalar[]): Scalar {
    if (node.op === 'select') return this.select(args[0], args[1], args[2])
    if (node.op === 'logsumexp') return this.logsumexp(args)
    if (node.op === 'opaque') return this.opaque(args, node.name!, node.bounds!)
    if (node.op === 'linear') return this.combination(args, node.factors!, node.exact!)
    return this.make(node.op as UnaryOp, args)
  }

  /** The sum of multiples of nodes, and a constant. */
  combination(args: readonly Scalar[], factors: readonly Rational[], offset: Rational): Scalar {
    let sum: Linear | undefined = { terms: new Map(), offset }
    args.forEach((arg, place) => {
      const scaled = scaledBy(this.#linear(arg), factors[place])
      const isLost = signOf(factors[place]) === 0 && !this.#isTotal[arg]
      sum =
        sum === undefined || scaled === undefined || isLost ? undefined : added(sum, scaled, this.#isTotal)
    })
    if (sum !== undefined) return this.#fromLinear(sum)
    return args.reduce((total, arg, place) => {
      const product = this.#intern({ op: 'mul', args: [this.exact(factors[place]), arg] }, '')
      return this.#intern({ op: 'add', args: [total, product] }, '')
    }, this.exact(offset))
  }

  difference(a: Scalar, b: Scalar): Scalar {
    return this.combination([a, b], [ONE, negated(ONE)], ZERO)
  }

  #canonical(op: ScalarOp, args: readonly Scalar[]): Scalar | undefined {
    const [a, b] = args
    switch (op) {
      case 'add':
        return this.#isFinite(a, b) ? this.combination([a, b], [ONE, ONE], ZERO) : undefined
      case 'sub':
        return this.#isFinite(a, b) ? this.difference(a, b) : undefined
      case 'neg':
        return this.#isFinite(a) ? this.combination([a], [negated(ONE)], ZERO) : undefined
      case 'mul':
        return this.#isFinite(a, b) ? this.#product(a, b) : undefined
      case 'mul_no_nan':
        if (this.constantOf(a)?.top === 0n) return this.constant(0)
        return this.#isFinite(a, b) ? this.#product(a, b) : undefined
      case 'div':
        return this.#isFinite(a, b) ? this.#quotient(a, b) : undefined
      case 'pow':
        return this.#power(a, b)
      case 'square':
      case 'abs':
        return this.#even(op, a)
      case 'max':
      case 'min':
        return this.#larger(op, a, b)
      case 'lt':
      case 'le':
      case 'eq':
        return this.#comparison(op, a, b)
      case 'is_finite':
        return this.#isFinite(a) ? this.truth(true) : undefined
      case 'and':
      case 'or':
      case 'not':
        return this.#logic(op, a, b)
      default:
        return this.#function(op, a)
    }
  }

  #isFinite(...args: readonly Scalar[]): boolean {
    return args.every((arg) => this.nodes[arg].op !== 'constant' || this.nodes[arg].exact !== undefined)
  }

  #product(a: Scalar, b: Scalar): Scalar | undefined {
    const [ca, cb] = [this.constantOf(a), this.constantOf(b)]
    if (ca !== undefined) return this.combination([b], [ca], ZERO)
    if (cb !== undefined) return this.combination([a], [cb], ZERO)
    const [x, y] = [this.#primitive(a), this.#primitive(b)]
    const factor = withinSizeLimit(times(x.factor, y.factor))
    if (factor === undefined) return undefined
    const [first, second] = [x.id, y.id].sort((p, q) => p - q)
    const core =
      first === second ? this.make('square', [first]) : this.#intern({ op: 'mul', args: [first, second] }, '')
    return this.combination([core], [factor], ZERO)
  }

  #quotient(a: Scalar, b: Scalar): Scalar | undefined {
    const divisor = this.constantOf(b)
    if (divisor !== undefined) {
      const factor = reciprocal(divisor)
      return factor === undefined ? undefined : this.combination([a], [factor], ZERO)
    }
    const [x, y] = [this.#primitive(a), this.#primitive(b)]
    const factor = withinSizeLimit(times(x.factor, reciprocal(y.factor)!))
    if (factor === undefined) return undefined
    if (signOf(factor) === 0) return undefined
    return this.combination([this.#intern({ op: 'div', args: [x.id, y.id] }, '')], [factor], ZERO)
  }

  #power(base: Scalar, exponent: Scalar): Scalar | undefined {
    const n = this.constantOf(exponent)
    if (n?.top === 1n && n.bottom === 2n) return this.make('sqrt', [base])
    if (n === undefined || n.bottom !== 1n) return undefined
    if (n.top === 1n) return base
    if (n.top === 0n) return this.constant(1)
    if (n.top === 2n) return this.make('square', [base])
    const known = this.constantOf(base)
    const folded =
      known === undefined || n.top < 0n || n.top > 32n ? undefined : powerOf(known, Number(n.top))
    if (folded !== undefined) return this.exact(folded)
    return n.top === -1n ? this.make('div', [this.constant(1), base]) : undefined
  }

  #even(op: 'square' | 'abs', a: Scalar): Scalar | undefined {
    const { op: inner, args } = this.nodes[a]
    if (op === 'abs' && NEVER_NEGATIVE.has(inner)) return a
    if (op === 'square' && inner === 'abs') return this.make('square', [args[0]])
    const known = this.constantOf(a)
    if (known !== undefined) return this.exact(op === 'abs' ? magnitudeOf(known) : times(known, known))
    const { factor, id } = this.#primitive(a)
    if (id === a) return undefined
    const outside = op === 'abs' ? magnitudeOf(factor) : withinSizeLimit(times(factor, factor))
    return outside === undefined ? undefined : this.combination([this.make(op, [id])], [outside], ZERO)
  }

  #larger(op: 'max' | 'min', a: Scalar, b: Scalar): Scalar | undefined {
    if (a === b) return a
    const known = this.constantOf(this.#isFinite(a, b) ? this.difference(a, b) : a)
    if (known !== undefined && this.#isFinite(a, b)) return signOf(known) >= 0 === (op === 'max') ? a : b
    return a > b ? this.#intern({ op, args: [b, a] }, '') : undefined
  }

  /** Real numbers are finite, and compared with 0. */
  #comparison(op: 'lt' | 'le' | 'eq', a: Scalar, b: Scalar): Scalar | undefined {
    const [x, y] = [this.#infinite(a), this.#infinite(b)]
    if (x !== undefined || y !== undefined) {
      const [left, right] = [x ?? 0, y ?? 0]
      return this.truth(op === 'lt' ? left < right : op === 'le' ? left <= right : left === right)
    }
    const difference = this.difference(a, b)
    const known = this.constantOf(difference)
    if (known !== undefined) {
      const sign = signOf(known)
      return this.truth(op === 'lt' ? sign < 0 : op === 'le' ? sign <= 0 : sign === 0)
    }
    return this.#intern({ op, args: [difference, this.constant(0)] }, '')
  }

  #infinite(a: Scalar): number | undefined {
    const { op, exact, value } = this.nodes[a]
    return op === 'constant' && exact === undefined ? value : undefined
  }

  #logic(op: 'and' | 'or' | 'not', a: Scalar, b: Scalar): Scalar | undefined {
    const [x, y] = [this.constantOf(a), b === undefined ? undefined : this.constantOf(b)]
    if (op === 'not') return x === undefined ? undefined : this.truth(signOf(x) === 0)
    const decides = op === 'or'
    if (x !== undefined) return (signOf(x) !== 0) === decides ? this.truth(decides) : b
    if (y !== undefined) return (signOf(y) !== 0) === decides ? this.truth(decides) : a
    return a === b ? a : undefined
  }

  #function(op: ScalarOp, a: Scalar): Scalar | undefined {
    const known = this.constantOf(a)
    if (known !== undefined) return this.#functionOfConstant(op, known)
    if (op === 'log' && this.nodes[a].op === 'exp') return this.nodes[a].args[0]
    const power = op === 'exp' || op === 'expm1' ? this.#powerInExponent(a) : undefined
    if (power !== undefined) return op === 'exp' ? power : this.combination([power], [ONE], negated(ONE))
    const { factor } = this.#primitive(a)
    if (signOf(factor) > 0) return undefined
    const turned = this.combination([a], [negated(ONE)], ZERO)
    if (op === 'cos') return this.make('cos', [turned])
    return ODD.has(op)
      ? this.combination([this.make(op as UnaryOp, [turned])], [negated(ONE)], ZERO)
      : undefined
  }

  /** e^(c ln(1 + u)) is (1 + u)^c, where u is never negative: both have a value everywhere. */
  #powerInExponent(a: Scalar): Scalar | undefined {
    const { op, args, factors, exact } = this.nodes[a]
    const isMultiple = op === 'linear' && args.length === 1 && signOf(exact!) === 0
    const [inner, factor] = isMultiple ? [args[0], factors![0]] : [a, ONE]
    const { op: log, args: inside } = this.nodes[inner]
    if (log !== 'log1p' || !this.#isNeverNegative(inside[0])) return undefined
    return this.make('pow', [this.combination([inside[0]], [ONE], ONE), this.exact(factor)])
  }

  #isNeverNegative(a: Scalar): boolean {
    const { op, args, factors, exact } = this.nodes[a]
    if (op !== 'linear') return NEVER_NEGATIVE.has(op) && this.#isTotal[a]
    const isSum = signOf(exact!) >= 0 && factors!.every((factor) => signOf(factor) > 0)
    return isSum && args.every((arg) => this.#isNeverNegative(arg))
  }

  #functionOfConstant(op: ScalarOp, x: Rational): Scalar | undefined {
    if (op === 'sign') return this.constant(signOf(x))
    if (op === 'floor') return this.exact(floorOf(x))
    if (op === 'log1p') return this.make('log', [this.exact(plus(ONE, x))])
    const exact = signOf(x) === 0 ? AT_ZERO[op] : compare(x, ONE) === 0 ? AT_ONE[op] : undefined
    return exact === undefined ? undefined : this.exact(exact)
  }

  /** A node as a multiple of one whose first factor is 1. */
  #primitive(a: Scalar): { readonly factor: Rational; readonly id: Scalar } {
    const node = this.nodes[a]
    if (node.op !== 'linear') return { factor: ONE, id: a }
    const factor = node.factors![0]
    const scaled = scaledBy(this.#linear(a), reciprocal(factor)!)
    return scaled === undefined ? { factor: ONE, id: a } : { factor, id: this.#fromLinear(scaled) }
  }

  #linear(a: Scalar): Linear {
    const node = this.nodes[a]
    if (node.op === 'constant' && node.exact !== undefined) return { terms: new Map(), offset: node.exact }
    if (node.op !== 'linear') return { terms: new Map([[a, ONE]]), offset: ZERO }
    return { terms: new Map(node.args.map((arg, place) => [arg, node.factors![place]])), offset: node.exact! }
  }

  #fromLinear({ terms, offset }: Linear): Scalar {
    const sorted = [...terms].sort(([a], [b]) => a - b)
    if (sorted.length === 0) return this.exact(offset)
    if (sorted.length === 1 && signOf(offset) === 0 && keyOf(sorted[0][1]) === '1') return sorted[0][0]
    const factors = sorted.map(([, factor]) => factor)
    const key = `${factors.map(keyOf)} ${keyOf(offset)}`
    return this.#intern(
      { op: 'linear', args: sorted.map(([arg]) => arg), factors, exact: offset, value: toNumber(offset) },
      key,
    )
  }

  #intern(node: ScalarNode, detail: string): Scalar {
    const key = `${node.op} ${node.args} ${detail}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    this.#known.set(key, this.nodes.length)
    this.#isTotal.push(!NOT_TOTAL.has(node.op) && node.args.every((arg) => this.#isTotal[arg]))
    return this.nodes.push(node) - 1
  }
}

function powerOf(base: Rational, n: number): Rational | undefined {
  let power: Rational | undefined = ONE
  for (let k = 0; k < n && power !== undefined; k++) power = withinSizeLimit(times(power, base))
  return power
}

function magnitudeOf(x: Rational): Rational {
  return signOf(x) < 0 ? negated(x) : x
}

function scaledBy({ terms, offset }: Linear, factor: Rational): Linear | undefined {
  const result = new Map<Scalar, Rational>()
  if (signOf(factor) === 0) return { terms: result, offset: ZERO }
  for (const [arg, own] of terms) {
    const product = withinSizeLimit(times(own, factor))
    if (product === undefined) return undefined
    result.set(arg, product)
  }
  const moved = withinSizeLimit(times(offset, factor))
  return moved === undefined ? undefined : { terms: result, offset: moved }
}

/** Undefined where something would cancel that does not have a value everywhere. */
function added(a: Linear, b: Linear, isTotal: readonly boolean[]): Linear | undefined {
  const terms = new Map(a.terms)
  for (const [arg, factor] of b.terms) {
    const sum = withinSizeLimit(plus(terms.get(arg) ?? ZERO, factor))
    if (sum === undefined) return undefined
    if (signOf(sum) !== 0) terms.set(arg, sum)
    else if (!isTotal[arg]) return undefined
    else terms.delete(arg)
  }
  const offset = withinSizeLimit(plus(a.offset, b.offset))
  return offset === undefined ? undefined : { terms, offset }
}
