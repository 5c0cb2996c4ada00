/**
 * Instruction selection: emits the value of a node from the values of its arguments, one row per op. Functions that
 * need several steps are in math.ts.
 */
import type { Node } from '../../../language/ir.ts'
import { memoryReadOf } from '../../../loops/access-map.ts'
import { isScalar, readsInput } from '../../../loops/loop-plan.ts'
import type { LaneType } from '../lane-type.ts'
import { type MathOp, mathOf } from '../math.ts'
import { type Code, call, type FunctionBuilder, get, op } from '../wasm-encoder.ts'
import type { CodegenContext } from './codegen-context.ts'
import type { SpecialCase } from './helpers.ts'
import type { LoadStoreEmitter } from './load-store.ts'

/** Emits nodes at the current point of a context. */
export class ExpressionEmitter {
  readonly #context: CodegenContext
  readonly #memory: LoadStoreEmitter

  constructor(context: CodegenContext, memory: LoadStoreEmitter) {
    this.#context = context
    this.#memory = memory
  }

  compute(id: number): Code {
    const node = this.#context.nodes[id]
    if (readsInput(this.#context.program, node)) return this.#read(id, node)
    const value = (id: number) => this.#context.value(id)
    switch (node.op) {
      case 'index':
        return this.#index(node.axis!)
      case 'expand':
        return value(node.args[0])
      case 'select':
        return this.#select(node)
      case 'eq':
      case 'lt':
      case 'le':
        return this.#compare(node.op, node.args)
      case 'and':
      case 'or':
        return op(`v128.${node.op}`, ...node.args.map(value))
      case 'not':
        return op('v128.not', value(node.args[0]))
      default:
        return this.#elementwise(node)
    }
  }

  /** As a number. */
  real(id: number): Code {
    const value = this.#context.value(id)
    return this.#context.nodes[id].type === 'index' ? this.#context.lane.indexToReal(value) : value
  }

  /** As int32. */
  #whole(id: number): Code {
    const { lane, nodes } = this.#context
    return lane.toInt32(this.#context.value(id), nodes[id].type === 'index')
  }

  #read(id: number, node: Node): Code {
    if (node.op === 'pick') return this.#memory.pick(node, this.#whole(node.args[1]))
    const { source } = memoryReadOf(this.#context.nodes, id)
    return this.#memory.read(id, this.#context.inputBuffer(this.#context.nodes[source]))
  }

  #index(axis: string): Code {
    const { lane } = this.#context
    const loop = this.#context.loopOver(axis)
    const first = loop.lanes ? lane.indices(get(loop.index)) : lane.indexSplat(get(loop.index))
    const skipped = this.#context.skippedIn(loop)
    return skipped === 0 ? first : lane.indexAdd(first, skipped)
  }

  #select({ args, type }: Node): Code {
    const [test, yes, no] = args
    const as = (id: number) => (type === 'real' ? this.real(id) : this.#context.value(id))
    const condition = this.#context.value(test)
    if (this.#isZero(no)) return op('v128.and', as(yes), condition)
    if (this.#isZero(yes)) return op('v128.andnot', as(no), condition)
    return op('v128.bitselect', as(yes), as(no), condition)
  }

  /** Whether all bits of a node are 0. */
  #isZero(id: number): boolean {
    const { op: name, value } = this.#context.nodes[id]
    return name === 'constant' && Object.is(value, 0)
  }

  #compare(name: 'eq' | 'lt' | 'le', [a, b]: readonly number[]): Code {
    const { nodes, lane } = this.#context
    const types = [nodes[a].type, nodes[b].type]
    if (types.includes('real')) return lane.op(name, this.real(a), this.real(b))
    const areTruths = types.every((type) => type === 'bool')
    return lane.compareWhole(name, areTruths, this.#context.value(a), this.#context.value(b))
  }

  #elementwise({ op: name, args, hint }: Node): Code {
    const { f, program, lane } = this.#context
    const math = mathOf(lane)
    if (name === 'polygamma') return this.#polygamma(args)
    const [a, b] = args.map((arg) => this.real(arg))
    if (name === 'log1p' && this.#isUnit(args[0])) return this.#special('log1pUnitInterval', a)
    if (name === 'exp' && hint === 'up to 0') return this.#special('expUpToZero', f.let(a))
    if (name in math.ops) return this.#math(name as MathOp, args.length === 1 ? [a] : [a, b])
    // If one argument is a constant other than NaN, one comparison replaces several instructions.
    if ((name === 'max' || name === 'min') && isScalar(program, args[1])) return lane.op(`p${name}`, a, b)
    const simple = SIMPLE[name]
    if (simple === undefined) throw new Error(`the compiler does not support ${name}`)
    return simple(lane, f, a, b)
  }

  /** Whether a node is exp(-|x|), which is between 0 and 1. */
  #isUnit(id: number): boolean {
    const { nodes } = this.#context
    const inner = (node: Node) => nodes[node.args[0]]
    const node = nodes[id]
    return node.op === 'exp' && inner(node).op === 'neg' && inner(inner(node)).op === 'abs'
  }

  #polygamma([n, x]: readonly number[]): Code {
    const { nodes, helpers } = this.#context
    return call(helpers.indexOf(`polygamma ${nodes[n].value!}`), this.real(x))
  }

  #special(name: SpecialCase, x: Code): Code {
    const { f, target, helpers, lane } = this.#context
    return target.outlined ? call(helpers.indexOf(name), x) : mathOf(lane)[name](f, target, x)
  }

  #math(name: MathOp, args: readonly Code[]): Code {
    const { f, target, helpers, lane } = this.#context
    const { write, inline } = mathOf(lane).ops[name]
    if (!inline || target.outlined) return call(helpers.indexOf(name), ...args)
    return write(f, target, ...args.map((arg) => f.let(arg)))
  }
}

type Simple = (lane: LaneType, f: FunctionBuilder, a: Code, b: Code) => Code

/** Ops that are a single instruction, or a few. */
const SIMPLE: Readonly<Record<string, Simple>> = {
  neg: (lane, _, a) => lane.op('neg', a),
  abs: (lane, _, a) => lane.op('abs', a),
  sqrt: (lane, _, a) => lane.op('sqrt', a),
  safe_sqrt: (lane, _, a) => lane.op('sqrt', a),
  floor: (lane, _, a) => lane.op('floor', a),
  round: (lane, _, a) => lane.op('nearest', a),
  add: (lane, _, a, b) => lane.op('add', a, b),
  sub: (lane, _, a, b) => lane.op('sub', a, b),
  mul: (lane, _, a, b) => lane.op('mul', a, b),
  div: (lane, _, a, b) => lane.op('div', a, b),
  max: (lane, _, a, b) => lane.op('max', a, b),
  min: (lane, _, a, b) => lane.op('min', a, b),
  // g * d, but 0 where g is 0.
  mul_no_nan: (lane, _, g, d) => op('v128.and', lane.op('mul', g, d), lane.op('ne', g, lane.constant(0))),
  is_finite: (lane, _, a) => lane.op('lt', lane.op('abs', a), lane.constant(Number.POSITIVE_INFINITY)),
  sign: (lane, f, a) => {
    const x = f.let(a)
    const one = op('v128.or', op('v128.and', x, lane.constant(-0)), lane.constant(1))
    const isZeroOrNaN = op('v128.not', lane.op('gt', lane.op('abs', x), lane.constant(0)))
    return op('v128.bitselect', x, one, isZeroOrNaN)
  },
}
