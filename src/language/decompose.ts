/** Lowering to primitive ops: composite ops are decomposed, and ops that only guide the gradient are removed. */

import { Builder, type Ref } from './builder.ts'
import { decompose, timesSoftmax } from './composite.ts'
import { isComposite, isPseudoOp } from './ir.ts'
import { expandPseudoOp } from './pseudo-ops.ts'
import { simplify } from './simplify.ts'

/** The results of a program. */
export interface Roots {
  readonly value: Ref
  readonly denominators: Ref | undefined
  readonly gradients: ReadonlyMap<string, Ref>
}

/** What a node was made from. */
export interface NodeOrigin {
  /** Of the builder before. */
  readonly from: Ref
  /** Whether it is the whole of that node, and not a part of its decomposition. */
  readonly isResult: boolean
}

export interface Decomposed {
  readonly build: Builder
  readonly roots: Roots
  readonly sources: ReadonlyMap<Ref, NodeOrigin>
}

/**
 * The same roots in a new builder. Nodes that differed only in hints for the gradient are equal from here on.
 *
 * @example
 * decomposed(build, { value, denominators: undefined, gradients: new Map() }).build.primitives()
 */
export function decomposed(from: Builder, roots: Roots): Decomposed {
  const placing = new Placing(from)
  const gradients = new Map([...roots.gradients].map(([name, ref]) => [name, placing.placed(ref)]))
  const denominators = roots.denominators === undefined ? undefined : placing.placed(roots.denominators)
  const value = placing.placed(roots.value)
  return { build: placing.build, roots: { value, denominators, gradients }, sources: placing.sources }
}

class Placing {
  readonly build: Builder
  readonly sources = new Map<Ref, NodeOrigin>()
  readonly #from: Builder
  readonly #done = new Map<Ref, Ref>()

  constructor(from: Builder) {
    this.#from = from
    this.build = new Builder(from.axes, simplify, from.renamed)
  }

  /** With the axes that it had, even if a simplified argument needs fewer. */
  placed(ref: Ref): Ref {
    const known = this.#done.get(ref)
    if (known !== undefined) return known
    const before = this.build.nodes.length
    const copy = this.build.expand(this.#copy(ref), this.#from.axesOf(ref))
    this.#done.set(ref, copy)
    this.#trace(ref, copy, before)
    return copy
  }

  /** What was made for an argument has been traced to that already. */
  #trace(ref: Ref, copy: Ref, before: number) {
    for (let made = before; made < this.build.nodes.length; made++) {
      if (!this.sources.has(made)) this.sources.set(made, { from: ref, isResult: made === copy })
    }
    if (this.sources.get(copy)?.isResult !== true) this.sources.set(copy, { from: ref, isResult: true })
  }

  #copy(ref: Ref): Ref {
    const { op, args, axis } = this.#from.nodes[ref]
    if (op === 'stop_gradient' || op === 'straight_through') return this.placed(args[0])
    if (isComposite(op)) return decompose(this.build, op, this.placed(args[0]), axis!)
    if (isPseudoOp(op)) {
      const placed = args.map((arg) => this.placed(arg))
      return expandPseudoOp(this.build, op, placed)
    }
    return (
      this.#timesSoftmax(ref) ??
      this.build.copy(
        this.#from.nodes[ref],
        args.map((arg) => this.placed(arg)),
      )
    )
  }

  /** g times a softmax, where g is the same for the whole axis. */
  #timesSoftmax(ref: Ref): Ref | undefined {
    const { op, args } = this.#from.nodes[ref]
    if (op !== 'mul' && op !== 'mul_no_nan') return undefined
    const inner = this.#from.nodes[args[1]]
    if (inner.op !== 'softmax' || this.#from.axesOf(args[0]).includes(inner.axis!)) return undefined
    return timesSoftmax(this.build, op, this.placed(args[0]), this.placed(inner.args[0]), inner.axis!)
  }
}
