/** Calls of the functions that walk along whole axes (whole-axis/), each for one line, table or row of arrays in memory. */
import type { Node } from '../../../language/ir.ts'
import type { Buffer, WholeAxisStatement } from '../../../loops/loop-plan.ts'
import { isSingle, labelAxisOf, tableKeyOf } from '../../../loops/whole-axis.ts'
import { type Code, call, extractI32, F64, type FunctionBuilder, f64, op } from '../wasm-encoder.ts'
import { type CtcKinds, ctcBackward, ctcForward } from '../whole-axis/forward-backward.ts'
import { gather, scatter } from '../whole-axis/moves.ts'
import { argsort, type DigitBits, insertionSort, sortByDigits } from '../whole-axis/radix-sort.ts'
import { linearRecurrence, runningMaxPlace, runningSum } from '../whole-axis/running.ts'
import { type ElementKind, type Line, reversed } from '../whole-axis/scalar-code.ts'
import { type DtwKinds, softDtwBackward, softDtwForward } from '../whole-axis/soft-dtw.ts'
import { triangularSolve } from '../whole-axis/triangular-solve.ts'
import type { CodegenContext } from './codegen-context.ts'
import type { ExpressionEmitter } from './expressions.ts'
import type { LoadStoreEmitter } from './load-store.ts'

/** Emits whole-axis ops at the current point of a context. */
export class WholeAxisEmitter {
  readonly #context: CodegenContext
  readonly #memory: LoadStoreEmitter
  readonly #values: ExpressionEmitter

  constructor(context: CodegenContext, memory: LoadStoreEmitter, values: ExpressionEmitter) {
    this.#context = context
    this.#memory = memory
    this.#values = values
  }

  emit(statement: WholeAxisStatement) {
    const { op: name, axis } = this.#context.nodes[statement.node]
    switch (name) {
      case 'cumsum':
      case 'reverse_cumsum':
        return this.#runningSum(statement, name === 'reverse_cumsum')
      case 'recurrence':
      case 'reverse_recurrence':
        return this.#recurrence(statement, name === 'reverse_recurrence')
      case 'cummax_place':
        return this.#call(statement, name, (x, result) => runningMaxPlace(x, result))
      case 'gather':
        return this.#call(statement, name, (x, places, result) => gather(x, places, result))
      case 'scatter':
        return this.#call(statement, name, (x, places, result) => scatter(x, places, result))
      case 'argsort':
        return this.#call(statement, name, (x, result) => this.#argsort(x, result))
      case 'solve_lower':
      case 'solve_upper':
        return this.#solve(statement, name === 'solve_upper')
      case 'ctc':
      case 'ctc_slope':
        return this.#ctc(statement)
      case 'soft_dtw':
      case 'soft_dtw_slope':
        return this.#softDtw(statement)
      default:
        throw new Error(`the compiler does not support ${name} along ${axis}`)
    }
  }

  // Lines

  /** A function of lines along the axis: operands, count, result, workspace. Lanes are lines of their own. */
  #call(statement: WholeAxisStatement, name: string, write: (...kinds: ElementKind[]) => FunctionBuilder) {
    const { words, nodes } = this.#context
    const { operands, workspace, node, result } = statement
    const kinds = [...operands.map((_, place) => this.#kindOf(statement, place)), this.#resultKind(statement)]
    const target = this.#function(name, kinds, () => write(...kinds))
    const { axis } = nodes[node]
    const spare = workspace === undefined ? [] : [words.base(workspace)]
    this.#memory.eachLane((lane) => {
      const line = (buffer: Buffer | undefined) => spelled(this.#line(buffer!, axis!, lane))
      return call(target, ...operands.flatMap(line), words.size(axis!), ...line(result), ...spare)
    })
  }

  #runningSum(statement: WholeAxisStatement, isReversed: boolean) {
    const { words, nodes } = this.#context
    const { operands, node, result } = statement
    const { axis } = nodes[node]
    const count = words.size(axis!)
    const kinds = [this.#kindOf(statement, 0), this.#resultKind(statement)]
    const target = this.#function('cumsum', kinds, () => runningSum(kinds[0], kinds[1]))
    this.#memory.eachLane((lane) => {
      const [from, to] = [operands[0], result].map((buffer) => {
        const line = this.#line(buffer!, axis!, lane)
        return isReversed ? reversed(line, count) : line
      })
      return call(target, ...spelled(from), count, ...spelled(to))
    })
  }

  #recurrence(statement: WholeAxisStatement, isReversed: boolean) {
    const { words, nodes } = this.#context
    const { operands, node, result } = statement
    const { axis } = nodes[node]
    const count = words.size(axis!)
    const kinds = [this.#kindOf(statement, 0), this.#kindOf(statement, 1), this.#resultKind(statement)]
    const target = this.#function('recurrence', kinds, () => linearRecurrence(kinds[0], kinds[1], kinds[2]))
    this.#memory.eachLane((lane) => {
      const [x, factor, to] = [...operands, result].map((buffer) => {
        const line = this.#line(buffer!, axis!, lane)
        return spelled(isReversed ? reversed(line, count) : line)
      })
      return call(target, ...x, ...factor, count, ...to)
    })
  }

  #argsort(x: ElementKind, result: ElementKind): FunctionBuilder {
    const digits = (bits: DigitBits) => this.#function('sort', [bits], () => sortByDigits(bits))
    const short = this.#function('insertion sort', [x, result], () => insertionSort(x, result))
    return argsort(x, result, { short, byDigits: { 8: digits(8), 11: digits(11) } })
  }

  #line(buffer: Buffer, axis: string, lane = 0): Line {
    return { start: this.#memory.lineAddress(buffer, lane), stride: this.#stride(buffer, axis) }
  }

  // Tables

  #solve(statement: WholeAxisStatement, isUpper: boolean) {
    const { words, nodes, f } = this.#context
    const { axis, to } = nodes[statement.node]
    const { operands, result, workspace } = statement
    const [matrix, right] = [operands[0]!, operands[1]!]
    const kinds = [this.#kindOf(statement, 0), this.#kindOf(statement, 1), this.#resultKind(statement)]
    const target = this.#function(`solve ${isUpper}`, kinds, () =>
      triangularSolve(kinds[0], kinds[1], kinds[2], isUpper),
    )
    const lines = [this.#line(right, axis!), this.#line(result!, to!)]
    const args = [...this.#table(matrix, axis!, to!), lines[0].start, lines[0].stride]
    const rest = [words.size(axis!), lines[1].start, lines[1].stride, words.base(workspace!)]
    f.add(call(target, ...args, ...rest))
  }

  /** Where a table begins, and the distances along both of its axes. */
  #table(buffer: Buffer, axis: string, to: string): Code[] {
    return [this.#memory.lineAddress(buffer), this.#stride(buffer, axis), this.#stride(buffer, to)]
  }

  #ctc(statement: WholeAxisStatement) {
    const { nodes, target: features, words } = this.#context
    const node = nodes[statement.node]
    const { axis, to, args } = node
    const [logits, labels] = [statement.operands[0]!, statement.operands[1]!]
    const listed = labelAxisOf(nodes, node)
    const kinds: CtcKinds = {
      logits: this.#kindOf(statement, 0),
      labels: this.#kindOf(statement, 1),
      result: this.#lanesKind,
    }
    const params = [
      ...this.#table(logits, axis!, to!),
      ...[this.#memory.lineAddress(labels), this.#stride(labels, listed)],
      ...[axis!, to!, listed].map((own) => words.size(own)),
      ...args.slice(2).map((arg) => this.#integer(arg)),
      words.base(statement.workspace!),
    ]
    const own = Object.values(kinds)
    const forward = this.#function('ctc forward', own, () => ctcForward(kinds, features))
    const total = this.#total(node, () => call(forward, ...params))
    if (isSingle(node.op)) return this.#define(statement.node, op('f64.sub', f64(0), total))
    const backward = this.#function('ctc backward', own, () => ctcBackward(kinds, features))
    const result = this.#table(statement.result!, axis!, to!)
    return this.#context.f.add(call(backward, ...params, total, ...result))
  }

  #softDtw(statement: WholeAxisStatement) {
    const { nodes, target: features, words } = this.#context
    const node = nodes[statement.node]
    const { axis, to, args } = node
    const kinds: DtwKinds = { costs: this.#kindOf(statement, 0), result: this.#lanesKind }
    const params = [
      ...this.#table(statement.operands[0]!, axis!, to!),
      ...[axis!, to!].map((own) => words.size(own)),
      this.#number(args[1]),
      words.base(statement.workspace!),
    ]
    const own = Object.values(kinds)
    const forward = this.#function('soft dtw forward', own, () => softDtwForward(kinds, features))
    const total = this.#total(node, () => call(forward, ...params))
    if (isSingle(node.op)) return this.#define(statement.node, total)
    const backward = this.#function('soft dtw backward', own, () => softDtwBackward(kinds, features))
    const result = this.#table(statement.result!, axis!, to!)
    return this.#context.f.add(call(backward, ...params, ...result))
  }

  /** The value of a table, whose workspace is kept for its derivative: both are in the same iteration of the loops around them. */
  #total(node: Node, forward: () => Code): Code {
    const { totals } = this.#context
    const key = tableKeyOf(node)
    const known = totals.get(key) ?? this.#context.f.let(forward(), F64)
    totals.set(key, known)
    return known
  }

  // Operands

  #function(name: string, kinds: readonly (ElementKind | number)[], write: () => FunctionBuilder): number {
    return this.#context.helpers.ownIndexOf([name, ...kinds].join(' '), write)
  }

  #stride(buffer: Buffer, axis: string): Code {
    return this.#context.words.stride(buffer, buffer.axes.indexOf(axis))
  }

  get #lanesKind(): ElementKind {
    return this.#context.lane.native.bytes === 8 ? 'f64' : 'f32'
  }

  /** How an operand is stored. */
  #kindOf({ node, operands }: WholeAxisStatement, place: number): ElementKind {
    const { nodes, types } = this.#context
    const buffer = operands[place]!
    if (buffer.role !== 'input') return this.#kindOfLanes(nodes[nodes[node].args[place]])
    if (buffer.type === 'index') return 'i32'
    return types.narrow.has(buffer.name) ? 'f32' : this.#lanesKind
  }

  #resultKind({ node }: WholeAxisStatement): ElementKind {
    return this.#kindOfLanes(this.#context.nodes[node])
  }

  /** How a value is stored in memory that loops write. In float32 lanes an index is an int32. */
  #kindOfLanes({ type }: Node): ElementKind {
    return type === 'index' && this.#lanesKind === 'f32' ? 'i32' : this.#lanesKind
  }

  /** A number that is the same in all lanes. */
  #number(id: number): Code {
    const value = this.#values.real(id)
    const { lane } = this.#context
    const first = lane.extract(value, 0)
    return lane.native.bytes === 8 ? first : op('f64.promote_f32', first)
  }

  #integer(id: number): Code {
    const { lane, nodes } = this.#context
    return extractI32(lane.toInt32(this.#context.value(id), nodes[id].type === 'index'), 0)
  }

  #define(node: number, value: Code) {
    const { lane } = this.#context
    const splat =
      lane.native.bytes === 8 ? op('f64x2.splat', value) : op('f32x4.splat', op('f32.demote_f64', value))
    this.#context.define(node, splat)
  }
}

const spelled = ({ start, stride }: Line): Code[] => [start, stride]
