/** Expressions without axes, as code on float64 numbers: what the service computes in JavaScript before a launch. */
import type { Helper, Helpers } from '../engines/compiled/emit/helpers.ts'
import { isMathOp, scalarCall } from '../engines/compiled/scalar-math.ts'
import { type Code, F64, type FunctionBuilder, f64, op, select } from '../engines/compiled/wasm-encoder.ts'
import type { Node, Op } from '../language/ir.ts'
import { isElementwise } from '../language/scalar.ts'
import { COTANGENT } from '../loops/legalize.ts'
import type { Precision } from '../tensor.ts'
import { rounded } from './code.ts'
import { KernelUnavailable } from './contract.ts'

/** Where the leaves of an expression come from. */
export interface Leaves {
  size(axis: string): Code
  param(name: string): Code
  /** As it is rounded for the lanes. */
  readonly cotangent: Code
  readonly precision: Precision
}

/** Emits the scalar nodes of a program, each once. */
export class ScalarEmitter {
  readonly #f: FunctionBuilder
  readonly #nodes: readonly Node[]
  readonly #leaves: Leaves
  readonly #helpers: Helpers
  readonly #values = new Map<number, Code>()
  readonly #ofCotangent = new Set<number>()

  /** @param helpers those for float64 lanes */
  constructor(f: FunctionBuilder, nodes: readonly Node[], leaves: Leaves, helpers: Helpers) {
    this.#f = f
    this.#nodes = nodes
    this.#leaves = leaves
    this.#helpers = helpers
  }

  /** A number; 1 and 0 for truth values. */
  value(id: number): Code {
    const known = this.#values.get(id)
    if (known !== undefined) return known
    const value = this.#f.let(this.#rounded(id), F64)
    this.#values.set(id, value)
    return value
  }

  /** Values that depend on the cotangent are rounded, as in a launch with one cotangent per value. */
  #rounded(id: number): Code {
    const { name, args } = this.#nodes[id]
    const value = this.#computed(this.#nodes[id])
    if (name !== COTANGENT && !args.some((arg) => this.#ofCotangent.has(arg))) return value
    this.#ofCotangent.add(id)
    return rounded(this.#leaves.precision, value)
  }

  #computed({ op: name, args, value, name: param, axis }: Node): Code {
    if (name === 'constant') return f64(value!)
    if (name === 'size') return this.#leaves.size(axis!)
    if (name === 'scalar') return param === COTANGENT ? this.#leaves.cotangent : this.#leaves.param(param!)
    const operands = args.map((arg) => this.value(arg))
    if (name === 'select') return select(isTrue(operands[0]), operands[1], operands[2])
    if (!isElementwise(name)) throw new KernelUnavailable(`${name} of a single number`)
    return this.#elementwise(name, args, this.#narrowed(args, operands))
  }

  #narrowed(args: readonly number[], operands: readonly Code[]): readonly Code[] {
    if (!args.some((arg) => this.#ofCotangent.has(arg))) return operands
    return operands.map((operand) => this.#f.let(rounded(this.#leaves.precision, operand), F64))
  }

  #elementwise(name: Op, args: readonly number[], operands: readonly Code[]): Code {
    if (name === 'polygamma') return this.#call(`polygamma ${this.#nodes[args[0]].value!}`, operands[1])
    if (isMathOp(name)) return this.#call(name, ...operands)
    const simple = SIMPLE[name]
    if (simple === undefined) throw new KernelUnavailable(`${name} of a single number`)
    const [a, b] = operands
    return simple(a, b, (inner, ...inners) => this.#f.let(this.#call(inner, ...inners), F64))
  }

  #call(name: Helper, ...operands: readonly Code[]): Code {
    return scalarCall(this.#helpers, name, ...operands)
  }
}

type Call = (name: Helper, ...operands: readonly Code[]) => Code

const [ZERO, ONE] = [f64(0), f64(1)]
const truth = (condition: Code): Code => op('f64.convert_i32_s', condition)

/** Whether a truth value, as a number, is true. */
export const isTrue = (value: Code): Code => op('f64.ne', value, ZERO)

/** As in language/scalar.ts. */
const SIMPLE: Readonly<Record<string, (a: Code, b: Code, call: Call) => Code>> = {
  neg: (a) => op('f64.neg', a),
  abs: (a) => op('f64.abs', a),
  sqrt: (a) => op('f64.sqrt', a),
  safe_sqrt: (a) => op('f64.sqrt', a),
  floor: (a) => op('f64.floor', a),
  round: (a) => op('f64.nearest', a),
  stop_gradient: (a) => a,
  add: (a, b) => op('f64.add', a, b),
  sub: (a, b) => op('f64.sub', a, b),
  mul: (a, b) => op('f64.mul', a, b),
  div: (a, b) => op('f64.div', a, b),
  max: (a, b) => op('f64.max', a, b),
  min: (a, b) => op('f64.min', a, b),
  mul_no_nan: (a, b) => select(op('f64.eq', a, ZERO), ZERO, op('f64.mul', a, b)),
  lt: (a, b) => truth(op('f64.lt', a, b)),
  le: (a, b) => truth(op('f64.le', a, b)),
  eq: (a, b) => truth(op('f64.eq', a, b)),
  and: (a, b) => truth(op('i32.and', isTrue(a), isTrue(b))),
  or: (a, b) => truth(op('i32.or', isTrue(a), isTrue(b))),
  not: (a) => truth(op('f64.eq', a, ZERO)),
  is_finite: (a) => truth(op('f64.lt', op('f64.abs', a), f64(Number.POSITIVE_INFINITY))),
  sign: (a) => {
    const other = select(op('f64.ne', a, a), a, ZERO)
    return select(op('f64.gt', a, ZERO), ONE, select(op('f64.lt', a, ZERO), f64(-1), other))
  },
  sigmoid: (a, _, call) => {
    const e = call('exp', op('f64.neg', op('f64.abs', a)))
    const share = op('f64.div', ONE, op('f64.add', ONE, e))
    return select(op('f64.lt', a, ZERO), op('f64.mul', e, share), share)
  },
  softplus: (a, _, call) => {
    const e = call('exp', op('f64.neg', op('f64.abs', a)))
    return op('f64.add', op('f64.max', a, ZERO), call('log1p', e))
  },
}
