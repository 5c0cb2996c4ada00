/**
 * Values with first and second derivatives in intervals (forward mode), over many boxes of one function. What does
 * not depend on the variables is computed once, and a branch that is known not to be taken is not computed at all.
 * On a piece where it is known which side of each kink and condition holds, the function is that of this side.
 */
import * as elementary from './elementary.ts'
import {
  add,
  clipped,
  contains,
  ENTIRE,
  hull,
  type Interval,
  isPoint,
  mul,
  ONE,
  point,
  square,
  sub,
  ZERO,
} from './interval.ts'
import { BINARY, isRoot, type UnaryRow } from './primitives.ts'
import { type Box, type BranchSides, encloseNode, isSelection, type Tape, type TapeNode } from './tape.ts'

/** The value, the slopes too, or the second derivatives as well. */
export type Order = 0 | 1 | 2

/** A derivative that is 0 exactly is undefined. */
type Derivative = Interval | undefined

interface Step {
  readonly id: number
  readonly node: TapeNode
  readonly choice: number | undefined
  /** Its place among the variables. */
  readonly place: number
}

/**
 * Evaluates the first root of a tape. Results are those of the latest call of `run`; with order 0, values alone.
 *
 * @example
 * const jets = new Jets(tape, ['x'], new Map())
 * jets.run([interval(0, 1)], 1)
 * jets.slope() // bounds of the slope from 0 to 1
 */
export class Jets {
  readonly #root: number
  readonly #steps: readonly Step[]
  readonly #count: number
  /** Second derivatives by variables i <= j, row by row, and which these are. */
  readonly #pairs: number
  readonly #firsts: readonly number[]
  readonly #seconds: readonly number[]
  readonly #values: Interval[] = []
  readonly #slopes: Derivative[]
  readonly #bends: Derivative[]
  /** No kink, jump or undecided condition lies in the box, so that the second derivatives hold. */
  readonly #isSmooth: Uint8Array
  /** Nothing jumps in the box, so that the first derivatives bound the differences. */
  readonly #isContinuous: Uint8Array
  readonly #varies: readonly boolean[]
  #order: Order = 0

  /**
   * @param by the variables of interest, in the order of `run`
   * @param others the numbers of all other variables
   */
  constructor(tape: Tape, by: readonly string[], others: Box, choices?: BranchSides) {
    const { nodes, roots } = tape
    this.#root = roots[0]
    this.#count = by.length
    this.#pairs = (by.length * (by.length + 1)) / 2
    const pairs = by.flatMap((_, i) => by.slice(i).map((_, ahead) => [i, i + ahead] as const))
    this.#firsts = pairs.map(([i]) => i)
    this.#seconds = pairs.map(([, j]) => j)
    this.#slopes = new Array<Derivative>(nodes.length * this.#count).fill(undefined)
    this.#bends = new Array<Derivative>(nodes.length * this.#pairs).fill(undefined)
    this.#isSmooth = new Uint8Array(nodes.length).fill(1)
    this.#isContinuous = new Uint8Array(nodes.length).fill(1)
    const varies = varyingNodes(tape, by)
    this.#varies = varies
    const steps: Step[] = []
    for (const id of neededNodes(tape, choices)) {
      const node = nodes[id]
      const step = { id, node, choice: choices?.get(id), place: placeAmong(by, node) }
      if (varies[id]) steps.push(step)
      else this.#values[id] = encloseNode(node, this.#values, others, step.choice)
    }
    this.#steps = steps
  }

  run(at: readonly Interval[], order: Order) {
    this.#order = order
    for (const step of this.#steps) {
      const { id, node, place, choice } = step
      if (place >= 0) this.#enter(id, place, at[place])
      else this.#compute(node, id, choice)
    }
  }

  /** Of the latest run. */
  get order(): Order {
    return this.#order
  }

  value(id = this.#root): Interval {
    return this.#values[id]
  }

  /** By the variable at a place. */
  slope(place = 0, id = this.#root): Interval {
    return this.#slopes[id * this.#count + place] ?? ZERO
  }

  /** Of a pair of variables. */
  bend(i = 0, j = 0, id = this.#root): Interval {
    return this.#bends[id * this.#pairs + this.#pairOf(Math.min(i, j), Math.max(i, j))] ?? ZERO
  }

  /** Whether a node depends on the variables. */
  varies(id: number): boolean {
    return this.#varies[id]
  }

  isSmooth(id = this.#root): boolean {
    return this.#isSmooth[id] === 1
  }

  isContinuous(id = this.#root): boolean {
    return this.#isContinuous[id] === 1
  }

  #enter(id: number, place: number, value: Interval) {
    this.#values[id] = value
    this.#slopes[id * this.#count + place] = ONE
  }

  #compute(node: TapeNode, id: number, choice: number | undefined) {
    const value = encloseNode(node, this.#values, NOWHERE, choice)
    this.#values[id] = value
    if (this.#order === 0) return
    if (choice !== undefined) return this.#chosen(node, id, choice)
    this.#inherit(id, node.args)
    switch (node.op) {
      case 'linear':
        return this.#weighted(id, node.args, node.factorBounds)
      case 'logsumexp':
        return this.#logSumExp(id, node.args)
      case 'select':
        return this.#selected(id, node.args)
      case 'opaque':
        return this.#unknown(id)
      default:
        if (node.unary !== undefined) return this.#unary(node, id, node.unary)
        if (node.binary !== undefined) return this.#binary(node, id)
        return isPoint(value) ? this.#flat(id) : this.#unknown(id)
    }
  }

  /** Kinks and jumps of the arguments are those of the node. */
  #inherit(id: number, args: readonly number[]) {
    let [isSmooth, isContinuous] = [1, 1]
    for (const arg of args) {
      isSmooth &= this.#isSmooth[arg]
      isContinuous &= this.#isContinuous[arg]
    }
    this.#isSmooth[id] = isSmooth
    this.#isContinuous[id] = isContinuous
  }

  #chosen(node: TapeNode, id: number, choice: number) {
    if (node.op === 'abs') {
      this.#inherit(id, node.args)
      this.#weighted(id, node.args, [point(choice)])
    } else if (isSelection(node.op)) this.#same(id, node.args[choice])
    else this.#constant(id)
  }

  #same(id: number, arg: number) {
    this.#isSmooth[id] = this.#isSmooth[arg]
    this.#isContinuous[id] = this.#isContinuous[arg]
    for (let i = 0; i < this.#count; i++)
      this.#slopes[id * this.#count + i] = this.#slopes[arg * this.#count + i]
    if (this.#order < 2) return
    for (let k = 0; k < this.#pairs; k++)
      this.#bends[id * this.#pairs + k] = this.#bends[arg * this.#pairs + k]
  }

  #constant(id: number) {
    this.#isSmooth[id] = 1
    this.#isContinuous[id] = 1
    this.#flat(id)
  }

  #flat(id: number) {
    this.#slopes.fill(undefined, id * this.#count, (id + 1) * this.#count)
    this.#bends.fill(undefined, id * this.#pairs, (id + 1) * this.#pairs)
  }

  #unknown(id: number) {
    this.#isSmooth[id] = 0
    this.#isContinuous[id] = 0
    this.#flat(id)
    this.#slopes.fill(ENTIRE, id * this.#count, (id + 1) * this.#count)
  }

  #selected(id: number, [test, yes, no]: readonly number[]) {
    const { lo, hi } = this.#values[test]
    if (lo > 0) return this.#same(id, yes)
    if (hi === 0) return this.#same(id, no)
    this.#flat(id)
    this.#isSmooth[id] = 0
    this.#isContinuous[id] = 0
    for (let i = 0; i < this.#count; i++)
      this.#slopes[id * this.#count + i] = hull(this.slope(i, yes), this.slope(i, no))
  }

  #isFlat(id: number): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#slopes[id * this.#count + i] !== undefined) return false
    return true
  }

  #unary(node: TapeNode, id: number, row: UnaryRow) {
    const [arg] = node.args
    if (this.#isFlat(arg)) return this.#flat(id)
    const [x, y] = [this.#values[arg], this.#values[id]]
    this.#note(id, row, x)
    const slope = row.slope(x, y)
    const [from, to] = [arg * this.#count, id * this.#count]
    for (let i = 0; i < this.#count; i++) this.#slopes[to + i] = scaled(this.#slopes[from + i], slope)
    if (this.#order < 2) return
    const bend = row.bend(x, y, slope)
    for (let k = 0; k < this.#pairs; k++) {
      const [i, j] = [this.#firsts[k], this.#seconds[k]]
      const curved = scaled(crossed(this.#slopes[from + i], this.#slopes[from + j], i === j), bend)
      this.#bends[id * this.#pairs + k] = total(curved, scaled(this.#bends[arg * this.#pairs + k], slope))
    }
  }

  #note(id: number, { joint }: UnaryRow, x: Interval) {
    if (joint === undefined || !meets(joint, x)) return
    this.#isSmooth[id] = 0
    if (joint === 'step' || joint === 'steps') this.#isContinuous[id] = 0
  }

  #binary({ op, args: [left, right], binary }: TapeNode, id: number) {
    const [a, b, y] = [this.#values[left], this.#values[right], this.#values[id]]
    const [da, db] = binary!.slopes(a, b, y)
    const isKink = op === 'pow' ? isRoot(a, b) : (op === 'max' || op === 'min') && !isPoint(da)
    if (isKink) this.#isSmooth[id] = 0
    const [atLeft, atRight, at] = [left * this.#count, right * this.#count, id * this.#count]
    const slopes = this.#slopes
    for (let i = 0; i < this.#count; i++)
      slopes[at + i] = total(scaled(slopes[atLeft + i], da), scaled(slopes[atRight + i], db))
    if (this.#order < 2) return
    const [aa, ab, bb] = binary!.bends(a, b, y)
    for (let k = 0; k < this.#pairs; k++) {
      const [i, j] = [this.#firsts[k], this.#seconds[k]]
      const own = total(
        scaled(this.#bends[left * this.#pairs + k], da),
        scaled(this.#bends[right * this.#pairs + k], db),
      )
      const [ai, aj, bi, bj] = [
        slopes[atLeft + i],
        slopes[atLeft + j],
        slopes[atRight + i],
        slopes[atRight + j],
      ]
      const mixed = scaled(total(product(ai, bj), product(aj, bi)), ab)
      const pure = total(scaled(crossed(ai, aj, i === j), aa), scaled(crossed(bi, bj, i === j), bb))
      this.#bends[id * this.#pairs + k] = total(total(own, mixed), pure)
    }
  }

  #weighted(id: number, args: readonly number[], factors: readonly Interval[]) {
    this.#sum(this.#slopes, this.#count, id, args, factors)
    if (this.#order === 2) this.#sum(this.#bends, this.#pairs, id, args, factors)
  }

  #sum(of: Derivative[], width: number, id: number, args: readonly number[], factors: readonly Interval[]) {
    for (let i = 0; i < width; i++) {
      let sum: Derivative
      for (let place = 0; place < args.length; place++)
        sum = total(sum, scaled(of[args[place] * width + i], factors[place]))
      of[id * width + i] = sum
    }
  }

  /** The gradient is the softmax p, the second derivative that of a variance: sum p g g' - (sum p g)(sum p g)'. */
  #logSumExp(id: number, args: readonly number[]) {
    const shares = this.#softmax(args)
    this.#weighted(id, args, shares)
    if (this.#order < 2) return
    for (let k = 0; k < this.#pairs; k++) {
      const [i, j] = [this.#firsts[k], this.#seconds[k]]
      let spread: Derivative
      for (let place = 0; place < args.length; place++) {
        const at = args[place] * this.#count
        spread = total(
          spread,
          scaled(crossed(this.#slopes[at + i], this.#slopes[at + j], i === j), shares[place]),
        )
      }
      const at = id * this.#count
      const mean = crossed(this.#slopes[at + i], this.#slopes[at + j], i === j)
      const variance = total(spread, scaled(mean, MINUS))
      const bounded =
        i === j && variance !== undefined ? clipped(variance, 0, Number.POSITIVE_INFINITY) : variance
      this.#bends[id * this.#pairs + k] = total(bounded, this.#bends[id * this.#pairs + k])
    }
  }

  #softmax(args: readonly number[]): Interval[] {
    return args.map((own) => {
      let sum = ZERO
      for (const arg of args)
        sum = add(sum, arg === own ? ONE : elementary.exp(sub(this.#values[arg], this.#values[own])))
      return clipped(BINARY.div.enclose(ONE, sum), 0, 1)
    })
  }

  #pairOf(i: number, j: number): number {
    return i * this.#count - (i * (i - 1)) / 2 + (j - i)
  }
}

const MINUS = point(-1)
const NOWHERE: Box = new Map()

const placeAmong = (by: readonly string[], { op, name }: TapeNode) =>
  op === 'variable' ? by.indexOf(name!) : -1

/** The nodes that the first root is computed from, in their order, but for branches that are not taken. */
function neededNodes({ nodes, roots }: Tape, choices: BranchSides | undefined): number[] {
  const isNeeded = new Uint8Array(nodes.length)
  isNeeded[roots[0]] = 1
  for (let id = roots[0]; id >= 0; id--)
    if (isNeeded[id] === 1) for (const arg of countedArgs(nodes[id], choices?.get(id))) isNeeded[arg] = 1
  return Array.from(isNeeded.keys()).filter((id) => isNeeded[id] === 1)
}

/** The arguments that a node depends on, if it is known which side holds. */
function countedArgs({ op, args }: TapeNode, choice: number | undefined): readonly number[] {
  if (choice === undefined || op === 'abs') return args
  return isSelection(op) ? [args[choice]] : []
}

/** Whether each node depends on one of the variables. */
function varyingNodes({ nodes }: Tape, by: readonly string[]): boolean[] {
  const varies: boolean[] = []
  for (const node of nodes) varies.push(placeAmong(by, node) >= 0 || node.args.some((arg) => varies[arg]))
  return varies
}

/** Whether a kink or jump lies within the argument. */
function meets(joint: NonNullable<UnaryRow['joint']>, x: Interval): boolean {
  switch (joint) {
    case 'steps':
      return Math.floor(2 * x.lo) !== Math.floor(2 * x.hi) || 2 * x.lo === Math.floor(2 * x.lo)
    case 'edge':
      return x.lo <= 0
    case 'step':
      return contains(x, 0)
    case 'kink':
      return x.lo < 0 && x.hi > 0
  }
}

function scaled(x: Derivative, factor: Interval): Derivative {
  if (x === undefined || (factor.lo === 0 && factor.hi === 0)) return undefined
  if (factor.lo === 1 && factor.hi === 1) return x
  return mul(x, factor)
}

function product(a: Derivative, b: Derivative): Derivative {
  return a === undefined || b === undefined ? undefined : mul(a, b)
}

/** The product of two slopes; of a slope with itself, its square. */
function crossed(a: Derivative, b: Derivative, isSame: boolean): Derivative {
  if (!isSame) return product(a, b)
  return a === undefined ? undefined : square(a)
}

function total(a: Derivative, b: Derivative): Derivative {
  if (a === undefined) return b
  return b === undefined ? a : add(a, b)
}
