/**
 * Code generation: plan -> WebAssembly SIMD. It makes no decisions, because the plan says what is computed where. This
 * file emits the statements and the loops (with loop unrolling); loads, arithmetic and reductions are in emit/.
 */

import { costOf, type Loop, type Plan, type Statement } from '../../loops/loop-plan.ts'
import { ALL_FLOAT32, type ElementTypes } from './element-types.ts'
import { CodegenContext, type OpenLoop } from './emit/codegen-context.ts'
import { ExpressionEmitter } from './emit/expressions.ts'
import { Helpers } from './emit/helpers.ts'
import type { KernelParam } from './emit/kernel-params.ts'
import { LoadStoreEmitter } from './emit/load-store.ts'
import { ReductionEmitter } from './emit/reductions.ts'
import { WholeAxisEmitter } from './emit/whole-axis.ts'
import { HOST_IMPORTS } from './math.ts'
import {
  type Code,
  encodeModule,
  type FunctionBuilder,
  get,
  I32,
  i32,
  MAX_PAGES,
  op,
  set,
  whileLoop,
} from './wasm-encoder.ts'
import type { TargetFeatures } from './wide.ts'

export type { KernelParam as Word }

export interface Emitted {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly words: readonly KernelParam[]
}

/**
 * Loop unrolling: vectors per iteration of an innermost loop, as long as that many are left. In a chain of exp and
 * log each operation waits for the previous one; four independent chains overlap (sigmoid_focal 1024 x 1000: 24 ms
 * one by one, 11 in pairs, 7 in fours).
 */
const UNROLLED = [4, 2] as const
/** A long body unrolled four times runs out of registers (js_div 256 x 64: 460 us in fours, 280 in pairs). */
const UNROLLED_LONG = [2] as const
/** The cost from which a body counts as long: sigmoid_focal's 194 is not, binary_focal's 201 is. */
const LONG = 200

/**
 * The module of a plan. It imports its memory and exports `run(arguments)`. Every value is one vector: elements along the axis
 * of the current vectorized loop, or copies of the same number.
 *
 * @example
 * new WebAssembly.Module(emit(plan(legalize(program, variant)), { relaxed: false }).bytes)
 */
export function emit(plan: Plan, target: TargetFeatures, types: ElementTypes = ALL_FLOAT32): Emitted {
  const helpers = new Helpers(types.lane, target)
  const { f, words } = emitFunction(plan, target, types, helpers)
  const bytes = encodeModule({
    imports: HOST_IMPORTS,
    functions: [f, ...helpers.functions],
    exports: { run: HOST_IMPORTS.length },
    maxPages: MAX_PAGES,
  })
  return { bytes, words }
}

/** A kernel as one function of a module. */
export interface EmittedFunction {
  /** `run(arguments)` */
  readonly f: FunctionBuilder
  readonly words: readonly KernelParam[]
}

/**
 * The function of a plan, for a module that may have others.
 *
 * @param helpers those of the module
 */
export function emitFunction(
  plan: Plan,
  target: TargetFeatures,
  types: ElementTypes,
  helpers: Helpers,
): EmittedFunction {
  return new Emitter(plan, target, types, helpers).emit()
}

class Emitter {
  readonly #context: CodegenContext
  readonly #memory: LoadStoreEmitter
  readonly #values: ExpressionEmitter
  readonly #sums: ReductionEmitter
  readonly #lines: WholeAxisEmitter

  constructor(plan: Plan, target: TargetFeatures, types: ElementTypes, helpers: Helpers) {
    this.#context = new CodegenContext(plan, target, types, helpers)
    this.#memory = new LoadStoreEmitter(this.#context)
    this.#values = new ExpressionEmitter(this.#context, this.#memory)
    this.#sums = new ReductionEmitter(this.#context, this.#memory, this.#values)
    this.#lines = new WholeAxisEmitter(this.#context, this.#memory, this.#values)
  }

  emit(): EmittedFunction {
    const { f, plan, words } = this.#context
    const body = f.capture(() => this.#statements(plan.body))
    f.add(...words.prologue, body)
    return { f, words: words.list }
  }

  #statements(statements: readonly Statement[]) {
    for (const statement of statements) this.#statement(statement)
  }

  #statement(statement: Statement) {
    switch (statement.kind) {
      case 'loop':
        return this.#loop(statement)
      case 'compute':
        return this.#context.define(statement.node, this.#values.compute(statement.node))
      case 'load':
        return this.#context.define(statement.node, this.#load(statement))
      case 'store':
        return this.#memory.store(statement.buffer, this.#context.value(statement.node))
      case 'accumulate':
        return this.#sums.accumulate(statement.node, statement.memory)
      case 'whole axis':
        return this.#lines.emit(statement)
    }
  }

  #load({ node, source, buffer }: Statement & { kind: 'load' }): Code {
    return source === node ? this.#memory.load(buffer) : this.#memory.read(node, buffer)
  }

  #loop(loop: Loop) {
    const { axis, lanes, accumulators } = loop
    const { f, words, lane } = this.#context
    const width = lanes ? lane.count : 1
    const isSliced = this.#context.isSliced(axis)
    const last = isSliced ? words.last() : words.size(axis)
    const index = f.local(I32)
    for (const accumulator of accumulators) this.#sums.begin(accumulator)
    f.add(set(index, isSliced ? words.first() : i32(0)))
    for (const copies of this.#unrolling(loop)) {
      const end = f.let(op('i32.sub', last, i32(width * copies - 1)), I32)
      this.#turns(loop, { index, copies, full: true }, end)
    }
    this.#turns(loop, { index, copies: 1, full: lane.count === 1 }, last)
    for (const accumulator of accumulators) this.#sums.finish(accumulator, lanes)
  }

  #unrolling({ lanes, body }: Loop): readonly number[] {
    const isInnermost = body.every(({ kind }) => kind !== 'loop' && kind !== 'whole axis')
    if (!isInnermost || this.#context.lane.count === 1 || (!lanes && this.#context.laneLoop === undefined))
      return []
    return costOf(body, this.#context.program) > LONG ? UNROLLED_LONG : UNROLLED
  }

  /** Iterations from `index` on, as long as it is before `end`. */
  #turns(loop: Loop, turn: Pick<OpenLoop, 'index' | 'copies' | 'full'>, end: Code) {
    const { axis, lanes, accumulators, body } = loop
    const { index, copies } = turn
    const width = lanes ? this.#context.lane.count : 1
    const step = width * copies
    const open: OpenLoop = { ...turn, ...newLoop(), axis, lanes }
    const inside = this.#context.inside(open, () => {
      this.#context.unrolled(copies, body, (statement) => this.#statement(statement))
      this.#context.f.add(set(index, op('i32.add', get(index), i32(step))))
      this.#sums.flushEveryBlock(accumulators, index, width)
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
    totals: new Map(),
    mask: undefined,
    left: undefined,
  }
}
