/**
 * Forward-over-reverse differentiation: the exact diagonal of the second derivative. The gradient (reverse mode) is
 * differentiated once more in forward mode, with respect to one element of an input at a time. The effect of an
 * element on the rest of its row is carried along as a sum of terms
 *
 *     d n / d x_k = sum of  coefficient * reach(k) * [the indices of n are those of x_k, or lie at a distance from them]
 *
 * so that a softmax costs as much as its gradient, and no matrix of classes by classes is created. The indices k
 * have axis names of their own (`classes'`), which become those of the input in the end. Products are gated: an
 * element that does not count has no effect, even on a branch that was not taken.
 */
import type { Position } from './ast.ts'
import type { Builder, Ref } from './builder.ts'
import { slopesOf } from './composite.ts'
import { derivativesOf, onTriangle } from './gradient.ts'
import { isHostOp } from './host-ops.ts'
import { type FormulaOp, isComposite, type Node } from './ir.ts'

interface Term {
  /** Over the axes of the node itself. */
  readonly coefficient: Ref
  /** Over the axes of k, and others; undefined for 1. */
  readonly reach: Ref | undefined
  /** Axis of the node -> the index of x_k at which the term is not 0. */
  readonly same: ReadonlyMap<string, Match>
}

/** The index of the node is that of x_k along the axis `source` of the input, plus `ahead`. */
interface Match {
  readonly source: string
  readonly ahead: number
}

/** Maximum number of terms of a node. A window of length n turns one term into n, and a window of a window into n^2. */
const MAX_TERMS = 512

/** A program has an op without a second derivative. */
export class NoHessian extends Error {
  override readonly name = 'NoHessian'
  readonly op: FormulaOp
  /** The node of the builder that it was thrown for. */
  readonly ref: Ref
  /** Where the formula has it; whoever lowers a formula knows. */
  at: Position | undefined

  constructor(message: string, op: FormulaOp, ref: Ref) {
    super(message)
    this.op = op
    this.ref = ref
  }

  /** The message with the function that the formula calls, which may be lowered to several ops: sort, not argsort. */
  get inWords(): string {
    const line = this.at?.source.split('\n')[this.at.line - 1]
    const called = /^\w+(?= *\()/.exec(line?.slice(this.at!.column - 1) ?? '')?.[0]
    return called === undefined ? this.message : this.message.replace(`${this.op} has`, `${called} has`)
  }
}

/**
 * The diagonal for one input.
 *
 * @param gradient the gradient of that input, with the input's axes
 * @returns a node with the input's axes
 * @throws NoHessian if the gradient contains a whole-axis op (sorting, CTC, soft-DTW)
 * @example
 * const b = new Builder(['rows']), x = b.input('x', 'real', ['rows'])
 * diagonalHessian(b, b.mul(b.constant(2), x), x) // 2
 */
export function diagonalHessian(build: Builder, gradient: Ref, input: Ref): Ref {
  const axes = coupledAxes(build, gradient, input)
  const terms = new Map<Ref, readonly Term[]>([
    [
      input,
      [
        {
          coefficient: build.constant(1),
          reach: undefined,
          same: new Map(axes.map((source) => [source, { source, ahead: 0 }])),
        },
      ],
    ],
  ])
  for (let y = input + 1; y <= gradient; y++) {
    const found = merged(build, termsOf(build, y, terms))
    if (found.length > MAX_TERMS)
      throw new NoHessian('too many elements depend on each other for a second derivative', build.opOf(y), y)
    if (found.length > 0) terms.set(y, found)
  }
  const parts = (terms.get(gradient) ?? []).map((term) => onDiagonal(build, term, axes))
  const sum = parts.reduce((total, part) => build.add(total, part), build.constant(0))
  return build.expand(sum, build.axesOf(input))
}

const probeOf = (axis: string) => `${axis}'`

/** Axes of the input along which one element affects another: those that an op removes, renames or operates along. */
function coupledAxes(build: Builder, gradient: Ref, input: Ref): string[] {
  const reached = new Set([input])
  const found = new Set<string>()
  for (let id = input + 1; id <= gradient; id++) {
    const { args, axis } = build.nodes[id]
    if (!args.some((arg) => reached.has(arg))) continue
    reached.add(id)
    if (axis !== undefined) found.add(axis)
  }
  return build.axesOf(input).filter((axis) => found.has(axis))
}

function termsOf(build: Builder, y: Ref, terms: ReadonlyMap<Ref, readonly Term[]>): Term[] {
  const node = build.nodes[y]
  const varying = node.args.flatMap((arg, place) => (terms.get(arg) ?? []).map((term) => ({ term, place })))
  if (varying.length === 0) return []
  if (node.op === 'solve_lower' || node.op === 'solve_upper')
    return varying.map(({ term, place }) =>
      solved(build, place === 0 ? ofMatrix(build, term, y) : term, node),
    )
  if (isHostOp(node.op)) throw new NoHessian(`${node.op} has no second derivative here`, node.op, y)
  if (node.op === 'expand') return varying.map(({ term }) => term)
  if (node.op === 'rename') return varying.map(({ term }) => renamed(build, term, node.axis!, node.to!))
  if (node.op === 'shift')
    return varying.map(({ term }) => shifted(build, term, node.axis!, build.constantOf(node.args[1])!))
  if (node.op === 'pick')
    return varying.flatMap(({ term, place }) => (place === 0 ? [picked(build, term, node)] : []))
  if (isComposite(node.op)) return varying.flatMap(({ term }) => throughComposite(build, term, y))
  const slopes = derivativesOf(build, y, (arg) => terms.has(arg))
  const scaled = varying.flatMap(({ term, place }) => {
    const slope = slopes[place]
    return slope === undefined ? [] : [times(build, term, slope)]
  })
  return REDUCING.has(node.op) ? scaled.map((term) => summed(build, term, node.axis!)) : scaled
}

/** d y_j = own_j dx_j + all_j sum_k(share_k dx_k). */
function throughComposite(build: Builder, term: Term, y: Ref): Term[] {
  const { axis } = build.nodes[y]
  const { own, all, share } = slopesOf(build, y)
  const counted = share === undefined ? term : times(build, term, share)
  const shared = times(build, summed(build, counted, axis!), all)
  return own === undefined ? [shared] : [times(build, term, own), shared]
}

/** Their derivative is a sum over the axis of the derivatives of the elements. */
const REDUCING: ReadonlySet<FormulaOp> = new Set(['reduce_sum', 'reduce_max', 'contract'])

/** If either is 0, the product is 0, whatever the other one is. */
function times(build: Builder, term: Term, slope: Ref): Term {
  const zero = build.constant(0)
  const product = build.mulNoNan(term.coefficient, slope)
  const isConstant = build.constantOf(slope) !== undefined
  return { ...term, coefficient: isConstant ? product : build.select(build.eq(slope, zero), zero, product) }
}

function summed(build: Builder, term: Term, axis: string): Term {
  const { coefficient, reach, same } = term
  const match = same.get(axis)
  if (match !== undefined) return reaching(build, term, axis, match)
  if (reach === undefined || !build.axesOf(reach).includes(axis))
    return { ...term, coefficient: build.sum(coefficient, axis) }
  return { coefficient: build.constant(1), reach: build.sum(build.mulNoNan(reach, coefficient), axis), same }
}

/** Of all indices along the axis, only that of x_k counts: the whole term becomes the reach of x_k. */
function reaching(
  build: Builder,
  { coefficient, reach, same }: Term,
  axis: string,
  { source, ahead }: Match,
): Term {
  const whole = reach === undefined ? coefficient : build.mulNoNan(reach, coefficient)
  const there = ahead === 0 ? whole : build.shift(whole, -ahead, axis)
  const rest = new Map([...same].filter(([own]) => own !== axis))
  return { coefficient: build.constant(1), reach: build.rename(there, axis, probeOf(source)), same: rest }
}

/** A shifted element depends on the x_k of the element that it reads. */
function shifted(build: Builder, { coefficient, reach, same }: Term, axis: string, steps: number): Term {
  const match = same.get(axis)
  const isAlong = reach !== undefined && build.axesOf(reach).includes(axis)
  return {
    coefficient: build.shift(coefficient, steps, axis),
    reach: isAlong ? build.shift(reach, steps, axis) : reach,
    same: match === undefined ? same : new Map(same).set(axis, { ...match, ahead: match.ahead + steps }),
  }
}

function renamed(build: Builder, { coefficient, reach, same }: Term, axis: string, to: string): Term {
  return {
    coefficient: build.rename(coefficient, axis, to),
    reach: reach === undefined ? undefined : build.rename(reach, axis, to),
    same: new Map([...same].map(([own, match]) => [own === axis ? to : own, match])),
  }
}

/** Picks from the terms what is picked from the node. The index itself is not differentiable. */
function picked(build: Builder, term: Term, { args, axis }: Node<FormulaOp>): Term {
  const { coefficient, reach, same } = term
  const place = args[1]
  const match = same.get(axis!)
  if (match !== undefined) {
    const whole = reaching(build, term, axis!, match)
    const own = build.add(build.index(probeOf(match.source)), build.constant(match.ahead))
    const here = build.eq(own, place)
    return { ...whole, reach: build.select(here, whole.reach!, build.constant(0)) }
  }
  return {
    coefficient: build.pick(coefficient, place, axis!),
    reach: reach === undefined ? undefined : build.pick(reach, place, axis!),
    same,
  }
}

/** dA changes the solution of A x = b as -dA x on the right-hand side would. */
function ofMatrix(build: Builder, term: Term, solution: Ref): Term {
  const node = build.nodes[solution]
  return summed(build, times(build, term, onTriangle(build, node, build.neg(solution))), node.to!)
}

/** The solution depends on every element of the right-hand side: one system for each x_k. */
function solved(build: Builder, { coefficient, reach, same }: Term, node: Node<FormulaOp>): Term {
  const [rows, match] = [node.axis!, same.get(node.axis!)]
  const whole = reach === undefined ? coefficient : build.mulNoNan(reach, coefficient)
  const right = match === undefined ? whole : onlyAt(build, whole, rows, match)
  return {
    coefficient: build.constant(1),
    reach: build.solve(node.op as 'solve_lower', node.args[0], right, rows, node.to!),
    same: new Map([...same].filter(([own]) => own !== rows)),
  }
}

/** As a function of the index along an axis and of that of x_k. */
function onlyAt(build: Builder, x: Ref, axis: string, { source, ahead }: Match): Ref {
  build.nameAgain(source, probeOf(source))
  const place = build.add(build.index(probeOf(source)), build.constant(ahead))
  return build.select(build.eq(build.index(axis), place), x, build.constant(0))
}

/** Combines terms with the same reach. */
function merged(build: Builder, terms: readonly Term[]): Term[] {
  const found = new Map<string, Term>()
  for (const term of terms) {
    const key = `${term.reach} ${[...term.same].map(([own, { source, ahead }]) => `${own} ${source} ${ahead}`).sort()}`
    const before = found.get(key)
    const coefficient =
      before === undefined ? term.coefficient : build.add(before.coefficient, term.coefficient)
    found.set(key, { ...term, coefficient })
  }
  return [...found.values()]
}

/** The term where the index in the gradient equals that of k. */
function onDiagonal(build: Builder, { coefficient, reach, same }: Term, axes: readonly string[]): Ref {
  const matches = [...same.values()]
  if (matches.some(({ ahead }) => ahead !== 0)) return build.constant(0)
  if (reach === undefined) return coefficient
  const free = axes.filter((axis) => !matches.some(({ source }) => source === axis))
  const here = free.reduce((ref, axis) => build.pick(ref, build.index(axis), probeOf(axis)), reach)
  return build.mulNoNan(here, coefficient)
}
