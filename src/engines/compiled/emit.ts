/**
 * Plan -> WebAssembly. Every value is one vector: four elements along the axis of the open lane loop, or four times the
 * same number. It decides nothing: what is computed where stands in the plan. Here are the statements and the loops; how
 * each reads, computes and adds up is said in emit/.
 */
import { CodegenContext, type OpenLoop } from './emit/codegen-context.ts'
import { ExpressionEmitter } from './emit/expressions.ts'
import type { KernelParam } from './emit/kernel-params.ts'
import { LoadStoreEmitter } from './emit/load-store.ts'
import { ReductionEmitter } from './emit/reductions.ts'
import { costOf, type Loop, type Plan, type Statement } from './loop-plan.ts'
import { HOST_IMPORTS } from './math.ts'
import { type Code, encodeModule, get, I32, i32, MAX_PAGES, op, set, whileLoop } from './wasm-encoder.ts'
import type { Target } from './wide.ts'

export type { KernelParam as Word }

export interface Emitted {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly words: readonly KernelParam[]
}

/**
 * Vectors that a turn of an innermost loop takes, as long as so many are left: a chain of exp and log waits for itself,
 * four of them side by side do not (sigmoid_focal 1024 x 1000: 24 ms one by one, 11 in pairs, 7 in fours).
 */
const UNROLLED = [4, 2] as const
/** Of a long body four at once outgrow the registers (js_div 256 x 64: 460 us in fours, 280 in pairs). */
const UNROLLED_LONG = [2] as const
/** The cost of a body from which on it is long: sigmoid_focal's 194 is not, binary_focal's 201 is. */
const LONG = 200

/**
 * The module of a plan: it imports its memory and exports `run(arguments)`.
 *
 * @example
 * new WebAssembly.Module(emit(plan(expand(program, true)), { relaxed: false }).bytes)
 */
export function emit(plan: Plan, target: Target): Emitted {
  return new Emitter(plan, target).emit()
}

class Emitter {
  readonly #context: CodegenContext
  readonly #memory: LoadStoreEmitter
  readonly #values: ExpressionEmitter
  readonly #sums: ReductionEmitter

  constructor(plan: Plan, target: Target) {
    this.#context = new CodegenContext(plan, target)
    this.#memory = new LoadStoreEmitter(this.#context)
    this.#values = new ExpressionEmitter(this.#context, this.#memory)
    this.#sums = new ReductionEmitter(this.#context, this.#memory, this.#values)
  }

  emit(): Emitted {
    const { f, plan, words, helpers } = this.#context
    const body = f.capture(() => this.#statements(plan.body))
    f.add(...words.prologue, body)
    const bytes = encodeModule({
      imports: HOST_IMPORTS,
      functions: [f, ...helpers.functions],
      exports: { run: HOST_IMPORTS.length },
      maxPages: MAX_PAGES,
    })
    return { bytes, words: words.list }
  }

  #statements(statements: readonly Statement[]) {
    for (const statement of statements) this.#statement(statement)
  }

  #statement(statement: Statement) {
    const { nodes } = this.#context
    switch (statement.kind) {
      case 'loop':
        return this.#loop(statement)
      case 'compute':
        return this.#context.define(statement.node, this.#values.compute(nodes[statement.node]))
      case 'load':
        return this.#context.define(
          statement.node,
          this.#memory.read(nodes[statement.node], statement.buffer),
        )
      case 'store':
        return this.#memory.store(statement.buffer, this.#context.value(statement.node))
      case 'accumulate':
        return this.#sums.accumulate(statement.node, statement.memory)
    }
  }

  #loop(loop: Loop) {
    const { axis, lanes, accumulators } = loop
    const { f, words } = this.#context
    const isSliced = this.#context.isSliced(axis)
    const last = isSliced ? words.last() : words.size(axis)
    const index = f.local(I32)
    for (const accumulator of accumulators) this.#sums.begin(accumulator)
    f.add(set(index, isSliced ? words.first() : i32(0)))
    for (const copies of this.#unrolling(loop)) {
      const end = f.let(op('i32.sub', last, i32((lanes ? 4 : 1) * copies - 1)), I32)
      this.#turns(loop, { index, copies, full: true }, end)
    }
    this.#turns(loop, { index, copies: 1, full: false }, last)
    for (const accumulator of accumulators) this.#sums.finish(accumulator, lanes)
  }

  #unrolling({ lanes, body }: Loop): readonly number[] {
    const isInnermost = body.every(({ kind }) => kind !== 'loop')
    if (!isInnermost || (!lanes && this.#context.laneLoop === undefined)) return []
    return costOf(body, this.#context.program) > LONG ? UNROLLED_LONG : UNROLLED
  }

  /** Turns from `index` on, while it lies before `end`. */
  #turns(loop: Loop, turn: Pick<OpenLoop, 'index' | 'copies' | 'full'>, end: Code) {
    const { axis, lanes, accumulators, body } = loop
    const { index, copies } = turn
    const step = (lanes ? 4 : 1) * copies
    const open: OpenLoop = { ...turn, ...newLoop(), axis, lanes }
    const inside = this.#context.inside(open, () => {
      this.#context.unrolled(copies, body, (statement) => this.#statement(statement))
      this.#context.f.add(set(index, op('i32.add', get(index), i32(step))))
      this.#sums.flushEveryBlock(accumulators, index, lanes ? 4 : 1)
    })
    this.#context.f.add(whileLoop(op('i32.lt_s', get(index), end), inside))
  }
}

function newLoop() {
  return {
    prologue: [],
    addresses: new Map(),
    tiles: new Map(),
    terms: new Map(),
    mask: undefined,
    left: undefined,
  }
}
