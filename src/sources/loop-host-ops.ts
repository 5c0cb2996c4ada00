/**
 * Ops on a whole axis between loops: calls of functions that a source brings along (loop-axis-ops.ts), in loops over the other axes.
 * Their operands and results are arrays in memory.
 */
import { isHostOp } from '../language/host-ops.ts'
import type { HostOp, Node } from '../language/ir.ts'
import type { TracedProgram } from '../language/lower.ts'
import { atom, type Code, indented } from './code.ts'
import { HELPER_NAMES, type HelperSyntax } from './loop-axis-ops.ts'
import { rebuilt } from './program.ts'

/** An array in memory, slowest axis first. */
export interface StoredArray {
  readonly name: string
  readonly axes: readonly string[]
}

/** What a call needs to know of the function that it is part of. */
export interface HostCallContext {
  readonly helpers: HelperSyntax
  size(axis: string): Code
  plus(a: Code, b: Code): Code
  times(a: Code, b: Code): Code
  loop(index: string, size: string): string
  readonly indent: string
  /** Memory that nobody reads afterwards. */
  spare(length: Code): string
}

/** Operands with all axes of their op, so that a line of each is at the same place. */
export function broadcastOperands<T extends TracedProgram>(traced: T): T {
  const made = rebuilt(traced, (build, node, args) => {
    if (!isHostOp(node.op) || node.op === 'ctc' || node.op === 'ctc_slope') return undefined
    const wanted = operandAxes(node, build.axesOf(args[0]))
    return build.copy(
      node,
      args.map((arg, place) => build.expand(arg, wanted[place] ?? wanted[0])),
    )
  })
  return { ...traced, ...made }
}

/** For each operand the axes that it needs in memory. */
function operandAxes({ op, axes, axis, to }: Node, first: readonly string[]): readonly (readonly string[])[] {
  if (op === 'soft_dtw' || op === 'soft_dtw_slope')
    return [first, first.filter((own) => own !== axis && own !== to)]
  if (op !== 'solve_lower' && op !== 'solve_upper') return [axes]
  const others = axes.filter((own) => own !== to)
  return [
    [...others, axis!, to!],
    [...others, axis!],
  ]
}

const INDICES = ['i', 'j', 'k', 'l', 'm', 'n1', 'n2', 'n3', 'n4', 'n5']

/**
 * The lines that compute a result from its operands.
 *
 * @param blank the class of CTC's blank
 */
export function hostOpLines(
  node: Node,
  operands: readonly StoredArray[],
  result: StoredArray,
  blank: number,
  context: HostCallContext,
): string[] {
  return new HostOpCall(node, operands, result, blank, context).lines()
}

class HostOpCall {
  readonly #node: Node
  readonly #operands: readonly StoredArray[]
  readonly #result: StoredArray
  readonly #blank: number
  readonly #context: HostCallContext
  readonly #open = new Map<string, string>()

  constructor(
    node: Node,
    operands: readonly StoredArray[],
    result: StoredArray,
    blank: number,
    context: HostCallContext,
  ) {
    this.#node = node
    this.#operands = operands
    this.#result = result
    this.#blank = blank
    this.#context = context
  }

  lines(): string[] {
    const { loop, size, indent } = this.#context
    const others = this.#others()
    others.forEach((axis, place) => {
      this.#open.set(axis, INDICES[place])
    })
    const inside = this.#statements()
    return others.reduceRight<string[]>((body, axis) => {
      return [loop(this.#open.get(axis)!, size(axis).text), ...indented(body, indent), '}']
    }, inside)
  }

  /** The axes that the call is repeated over. */
  #others(): readonly string[] {
    const { op, axis, to } = this.#node
    if (op === 'ctc' || op === 'ctc_slope') return this.#operands[2].axes
    const first = op.startsWith('soft_dtw') ? this.#operands[0] : this.#result
    return first.axes.filter((own) => own !== axis && own !== to)
  }

  #statements(): string[] {
    const { op } = this.#node
    const { helpers } = this.#context
    const name = helpers.name(HELPER_NAMES[op as HostOp])
    const called = (...args: readonly string[]) => `${name}(${args.join(', ')})`
    switch (op) {
      case 'ctc':
        return [helpers.set(this.#element(this.#result), called(...this.#row(), this.#table()))]
      case 'ctc_slope':
        return [helpers.run(called(...this.#row(), this.#table(), this.#table(), ...this.#slopeOfRow()))]
      case 'soft_dtw':
        return [helpers.set(this.#element(this.#result), called(...this.#pair(), this.#table()))]
      case 'soft_dtw_slope':
        return [helpers.run(called(...this.#pair(), this.#table(), this.#table(), this.#out(this.#result)))]
      case 'solve_lower':
      case 'solve_upper':
        return [helpers.run(called(...this.#system()))]
      default:
        return [helpers.run(called(...this.#line()))]
    }
  }

  #line(): string[] {
    const { op, axis } = this.#node
    const [first] = this.#operands
    const spare = op === 'argsort' ? [this.#spare(this.#context.size(axis!))] : []
    return [
      ...this.#operands.map((operand) => this.#read(operand)),
      this.#start(first),
      this.#stride(first, axis!),
      this.#context.size(axis!).text,
      this.#out(this.#result),
      ...spare,
    ]
  }

  #system(): string[] {
    const { axis, to } = this.#node
    const [matrix, right] = this.#operands
    return [
      ...[this.#read(matrix), this.#start(matrix), this.#stride(matrix, axis!), this.#stride(matrix, to!)],
      ...[this.#read(right), this.#start(right), this.#stride(right, axis!)],
      this.#context.size(axis!).text,
      ...[this.#out(this.#result), this.#start(this.#result), this.#stride(this.#result, to!)],
    ]
  }

  #pair(): string[] {
    const { axis, to } = this.#node
    const [costs, gamma] = this.#operands
    return [
      ...[this.#read(costs), this.#start(costs), this.#stride(costs, axis!), this.#stride(costs, to!)],
      ...[axis!, to!].map((own) => this.#context.size(own).text),
      this.#context.helpers.at(gamma.name, this.#start(gamma)),
    ]
  }

  #row(): string[] {
    const { axis, to } = this.#node
    const [x, labels, lengths, counts] = this.#operands
    const { helpers } = this.#context
    const count = ({ name }: StoredArray, own: StoredArray) =>
      helpers.size(helpers.at(name, this.#start(own)))
    return [
      ...[this.#read(x), this.#start(x), this.#stride(x, axis!), this.#stride(x, to!)],
      count(lengths, lengths),
      ...[this.#read(labels), this.#start(labels), this.#stride(labels, this.#listed())],
      count(counts, counts),
      String(this.#blank),
    ]
  }

  #slopeOfRow(): string[] {
    const { axis, to } = this.#node
    return [...[axis!, to!].map((own) => this.#context.size(own).text), this.#out(this.#result)]
  }

  /** The axis of the labels. */
  #listed(): string {
    const [, labels, lengths] = this.#operands
    return labels.axes.find((axis) => !lengths.axes.includes(axis))!
  }

  /** Room for one number for each state at each time, or for each pair of prefixes of two series. */
  #table(): string {
    const { op, axis, to } = this.#node
    const { plus, times, size } = this.#context
    const one = atom('1')
    if (op.startsWith('soft_dtw')) return this.#spare(times(plus(size(axis!), one), plus(size(to!), one)))
    return this.#spare(times(size(axis!), plus(times(atom('2'), size(this.#listed())), one)))
  }

  #spare(length: Code): string {
    return this.#context.helpers.pass(this.#context.spare(length), 'out')
  }

  #read({ name }: StoredArray): string {
    return this.#context.helpers.pass(name, 'reals')
  }

  #out({ name }: StoredArray): string {
    return this.#context.helpers.pass(name, 'out')
  }

  #element(kept: StoredArray): string {
    return `${kept.name}[${this.#start(kept)}]`
  }

  /** Where the line begins: `(i * rows + j) * classes` with 0 for axes that are not open. */
  #start({ axes }: StoredArray): string {
    const { plus, times, size } = this.#context
    let offset: Code | undefined
    for (const axis of axes) {
      const index = this.#open.get(axis)
      const before = offset === undefined ? undefined : times(offset, size(axis))
      if (index === undefined) offset = before
      else offset = before === undefined ? atom(index) : plus(before, atom(index))
    }
    return offset?.text ?? '0'
  }

  #stride({ axes }: StoredArray, axis: string): string {
    const behind = axes.slice(axes.indexOf(axis) + 1).map((own) => this.#context.size(own))
    const [first, ...rest] = behind
    return first === undefined
      ? '1'
      : rest.reduce((product, own) => this.#context.times(product, own), first).text
  }
}
