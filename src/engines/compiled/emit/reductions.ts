/**
 * Reductions: sums and maxima while their loops run, in locals, or in memory if they have axes of loops deeper than
 * their own. A sum is accumulated in blocks, and the rounding error of the total is kept separately (compensated
 * summation).
 */
import type { Accumulator } from '../../../loops/loop-plan.ts'
import type { LaneOp } from '../lane-type.ts'
import { type Code, call, get, i32, ifElse, op, set, V128 } from '../wasm-encoder.ts'
import type { CodegenContext, OpenLoop } from './codegen-context.ts'
import type { ExpressionEmitter } from './expressions.ts'
import { compensated } from './helpers.ts'
import type { LoadStoreEmitter } from './load-store.ts'

/** Number of terms in a block. */
const BLOCK = 64

/** A sum in locals. */
interface LocalSum {
  readonly partial: number
  readonly total: number
  readonly lost: number
}

/** A maximum in locals: the maximum of the numbers, and all bits set if one of them was NaN. */
interface LocalMax {
  readonly largest: number
  /** Absent if NaN need not be detected. */
  readonly strange: number | undefined
}

/** The sums and maxima of a kernel: begun before their loop, finished after it. */
export class ReductionEmitter {
  readonly #context: CodegenContext
  readonly #memory: LoadStoreEmitter
  readonly #values: ExpressionEmitter
  readonly #sums = new Map<number, LocalSum>()
  readonly #maxima = new Map<number, LocalMax>()

  constructor(context: CodegenContext, memory: LoadStoreEmitter, values: ExpressionEmitter) {
    this.#context = context
    this.#memory = memory
    this.#values = values
  }

  /** Before its loop. */
  begin({ node, memory }: Accumulator) {
    const { f, helpers, words, lane } = this.#context
    const start = lane.constant(this.#isMax(node) ? Number.NEGATIVE_INFINITY : 0)
    if (memory !== undefined) {
      const buffers = this.#isMax(node) ? [memory.total] : [memory.partial, memory.total, memory.lost]
      for (const buffer of buffers)
        f.add(call(helpers.indexOf('fill'), words.base(buffer), words.bytes(buffer), start))
      return
    }
    if (this.#isMax(node)) {
      const skips = this.#context.nodes[node].hint === 'skips NaN'
      const max = { largest: f.local(V128), strange: skips ? undefined : f.local(V128) }
      this.#maxima.set(node, max)
      f.add(set(max.largest, start))
      if (max.strange !== undefined) f.add(set(max.strange, lane.constant(0)))
      return
    }
    const sum = { partial: f.local(V128), total: f.local(V128), lost: f.local(V128) }
    this.#sums.set(node, sum)
    f.add(set(sum.partial, start), set(sum.total, start), set(sum.lost, start))
  }

  /** Adds one term. */
  accumulate(node: number, memory: Accumulator['memory']) {
    const { axis, args } = this.#context.nodes[node]
    const { lane } = this.#context
    const loop = this.#context.loopOver(axis!)
    const [a, b] = args.map((arg) => this.#values.real(arg))
    const term = b === undefined ? a : lane.op('mul', a, b)
    const inside = loop.lanes && !loop.full ? this.#onlyInside(node, term, loop) : term
    if (memory !== undefined) {
      const [target, combine] = this.#isMax(node)
        ? ([memory.total, 'max'] as const)
        : ([memory.partial, 'add'] as const)
      return this.#memory.store(target, lane.op(combine, this.#memory.load(target), inside))
    }
    const terms = this.#ofTurn(node, inside, loop)
    if (terms.length < loop.copies) return
    if (this.#isMax(node)) this.#raise(this.#maxima.get(node)!, terms)
    else this.#add(this.#sums.get(node)!, terms)
  }

  /** The terms of the current iteration so far. */
  #ofTurn(node: number, term: Code, loop: OpenLoop): readonly Code[] {
    const earlier = loop.copies === 1 ? [] : (loop.terms.get(node) ?? [])
    const terms = [...earlier, this.#context.f.let(term)]
    loop.terms.set(node, terms)
    return terms
  }

  #add({ partial }: LocalSum, terms: readonly Code[]) {
    const { f, lane } = this.#context
    f.add(set(partial, lane.op('add', get(partial), this.#inPairs('add', terms))))
  }

  /**
   * WebAssembly's max returns NaN if one of its arguments is NaN, and takes seven instructions on x86. This takes
   * two and a third.
   */
  #raise({ largest, strange }: LocalMax, terms: readonly Code[]) {
    const { f, lane } = this.#context
    f.add(set(largest, lane.op('pmax', get(largest), this.#inPairs('pmax', terms))))
    if (strange === undefined) return
    const notNumbers = terms.map((term) => lane.op('ne', term, term))
    f.add(
      set(
        strange,
        op(
          'v128.or',
          get(strange),
          inPairs((a, b) => op('v128.or', a, b), notNumbers),
        ),
      ),
    )
  }

  /** At the end of an iteration, after the index of the loop has been incremented. */
  flushEveryBlock(accumulators: readonly Accumulator[], index: number, step: number) {
    const sums = accumulators.filter(({ node }) => !this.#isMax(node))
    if (sums.length === 0) return
    const isDue = op('i32.eqz', op('i32.and', get(index), i32(BLOCK * step - 1)))
    const flushes = this.#context.f.capture(() => {
      for (const accumulator of sums) this.#flush(accumulator)
    })
    this.#context.f.add(ifElse(isDue, flushes))
  }

  /** After its loop: from here on, a sum in a local is the node's value. */
  finish(accumulator: Accumulator, lanes: boolean) {
    const { node, memory } = accumulator
    const isMax = this.#isMax(node)
    if (!isMax) this.#flush(accumulator)
    if (memory !== undefined) return
    const value = isMax
      ? this.#across('max', largestOf(this.#maxima.get(node)!), lanes)
      : this.#across('add', get(this.#sums.get(node)!.total), lanes)
    this.#context.define(node, value)
  }

  #isMax(node: number): boolean {
    return this.#context.nodes[node].op === 'reduce_max'
  }

  /** Lanes beyond the end must not count. */
  #onlyInside(node: number, term: Code, loop: OpenLoop): Code {
    const mask = this.#context.maskOf(loop)
    if (!this.#isMax(node)) return op('v128.and', term, mask)
    return op('v128.bitselect', term, this.#context.lane.constant(Number.NEGATIVE_INFINITY), mask)
  }

  #flush({ node, memory }: Accumulator) {
    const { f, helpers, words, lane } = this.#context
    if (memory !== undefined) {
      const bases = [memory.partial, memory.total, memory.lost].map((buffer) => words.base(buffer))
      f.add(call(helpers.indexOf('flush'), ...bases, words.bytes(memory.partial)))
      return
    }
    const { partial, total, lost } = this.#sums.get(node)!
    const next = compensated(lane, f, get(partial), get(total), get(lost))
    f.add(set(lost, next.lost), set(total, next.total), set(partial, lane.constant(0)))
  }

  /** Horizontal reduction: combines the lanes, in pairs. The result is in all of them. */
  #across(combine: 'max' | 'add', value: Code, lanes: boolean): Code {
    if (!lanes) return value
    const { f, lane } = this.#context
    let found = value
    for (let distance = lane.count / 2; distance >= 1; distance /= 2) {
      const own = f.let(found)
      found = lane.op(combine, own, lane.swapped(own, distance))
    }
    return found
  }

  #inPairs(combine: LaneOp, terms: readonly Code[]): Code {
    return inPairs((a, b) => this.#context.lane.op(combine, a, b), terms)
  }
}

/** NaN, with all bits set, if one of the numbers was NaN. */
function largestOf({ largest, strange }: LocalMax): Code {
  return strange === undefined ? get(largest) : op('v128.or', get(largest), get(strange))
}

/** Combines a power of two of terms as a tree: one by one, each would wait for the one before. */
function inPairs(combine: (a: Code, b: Code) => Code, terms: readonly Code[]): Code {
  if (terms.length === 1) return terms[0]
  const middle = terms.length / 2
  return combine(inPairs(combine, terms.slice(0, middle)), inPairs(combine, terms.slice(middle)))
}
