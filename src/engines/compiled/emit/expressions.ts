/**
 * Instruction selection: emits the value of a node from the values of its arguments, one row per op. Functions that
 * need several steps are in math.ts.
 */
import type { Node } from '../../../language/ir.ts'
import { isScalar, readsInput } from '../loop-plan.ts'
import { expUpToZero, log1pUnitInterval, MATH, type MathOp } from '../math.ts'
import { memoryReadOf } from '../memory-read.ts'
import {
  type Code,
  call,
  constF32x4,
  constI32x4,
  type FunctionBuilder,
  get,
  IOTA,
  op,
} from '../wasm-encoder.ts'
import type { CodegenContext } from './codegen-context.ts'
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

  /** As float32. */
  real(id: number): Code {
    const value = this.#context.value(id)
    return this.#context.nodes[id].type === 'index' ? op('f32x4.convert_i32x4_s', value) : value
  }

  /** As int32. */
  #whole(id: number): Code {
    const value = this.#context.value(id)
    return this.#context.nodes[id].type === 'index' ? value : op('i32x4.trunc_sat_f32x4_s', value)
  }

  #read(id: number, node: Node): Code {
    if (node.op === 'pick') return this.#memory.pick(node, this.#whole(node.args[1]))
    const { source } = memoryReadOf(this.#context.nodes, id)
    return this.#memory.read(id, this.#context.inputBuffer(this.#context.nodes[source]))
  }

  #index(axis: string): Code {
    const loop = this.#context.loopOver(axis)
    const start = op('i32x4.splat', get(loop.index))
    const first = loop.lanes ? op('i32x4.add', start, IOTA) : start
    const skipped = this.#context.skippedIn(loop)
    return skipped === 0 ? first : op('i32x4.add', first, constI32x4(skipped))
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
    const { nodes } = this.#context
    const areWhole = nodes[a].type !== 'real' && nodes[b].type !== 'real'
    if (!areWhole) return op(`f32x4.${name}`, this.real(a), this.real(b))
    const whole = { eq: 'i32x4.eq', lt: 'i32x4.lt_s', le: 'i32x4.le_s' } as const
    return op(whole[name], this.#context.value(a), this.#context.value(b))
  }

  #elementwise({ op: name, args, hint }: Node): Code {
    const { f, target, program } = this.#context
    if (name === 'polygamma') return this.#polygamma(args)
    const [a, b] = args.map((arg) => this.real(arg))
    if (name === 'log1p' && this.#isUnit(args[0])) return log1pUnitInterval(f, target, a)
    if (name === 'exp' && hint === 'up to 0') return expUpToZero(f, target, f.let(a))
    if (name in MATH) return this.#math(name as MathOp, args.length === 1 ? [a] : [a, b])
    if ((name === 'max' || name === 'min') && isScalar(program, args[1])) return againstNumber(name, a, b)
    const simple = SIMPLE[name]
    if (simple === undefined) throw new Error(`the compiler does not support ${name}`)
    return simple(f, a, b)
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

  #math(name: MathOp, args: readonly Code[]): Code {
    const { f, target, helpers } = this.#context
    const { write, inline } = MATH[name]
    if (!inline) return call(helpers.indexOf(name), ...args)
    return write(f, target, ...args.map((arg) => f.let(arg)))
  }
}

/** If one argument is a constant other than NaN, one comparison replaces several instructions. */
function againstNumber(name: 'max' | 'min', a: Code, number: Code): Code {
  return op(`f32x4.p${name}`, a, number)
}

type Simple = (f: FunctionBuilder, a: Code, b: Code) => Code

/** Ops that are a single instruction, or a few. */
const SIMPLE: Readonly<Record<string, Simple>> = {
  neg: (_, a) => op('f32x4.neg', a),
  abs: (_, a) => op('f32x4.abs', a),
  sqrt: (_, a) => op('f32x4.sqrt', a),
  safe_sqrt: (_, a) => op('f32x4.sqrt', a),
  floor: (_, a) => op('f32x4.floor', a),
  round: (_, a) => op('f32x4.nearest', a),
  add: (_, a, b) => op('f32x4.add', a, b),
  sub: (_, a, b) => op('f32x4.sub', a, b),
  mul: (_, a, b) => op('f32x4.mul', a, b),
  div: (_, a, b) => op('f32x4.div', a, b),
  max: (_, a, b) => op('f32x4.max', a, b),
  min: (_, a, b) => op('f32x4.min', a, b),
  // g * d, but 0 where g is 0.
  mul_no_nan: (_, g, d) => op('v128.and', op('f32x4.mul', g, d), op('f32x4.ne', g, constF32x4(0))),
  is_finite: (_, a) => op('f32x4.lt', op('f32x4.abs', a), constF32x4(Number.POSITIVE_INFINITY)),
  sign: (f, a) => {
    const x = f.let(a)
    const one = op('v128.or', op('v128.and', x, constI32x4(-0x80000000)), constF32x4(1))
    const isZeroOrNaN = op('v128.not', op('f32x4.gt', op('f32x4.abs', x), constF32x4(0)))
    return op('v128.bitselect', x, one, isZeroOrNaN)
  },
}
