/**
 * The math library on single numbers. The host of a launch evaluates expressions of parameters before it; a portable
 * kernel does the same in WebAssembly. Both use these functions, never those of a runtime, which differ in their last
 * bits from machine to machine.
 */
import type { FormulaOp } from '../../language/ir.ts'
import { evaluateScalar } from '../../language/scalar.ts'
import { type Helper, Helpers } from './emit/helpers.ts'
import { FLOAT64 } from './lane-type.ts'
import { HOST_FUNCTIONS, HOST_IMPORTS, type MathOp, mathOf } from './math.ts'
import {
  type Code,
  call,
  encodeStandaloneModule,
  extractF64,
  F64,
  FunctionBuilder,
  get,
  op,
} from './wasm-encoder.ts'
import type { TargetFeatures } from './wide.ts'

/** Rounding must not depend on whether a machine has fused arithmetic. */
export const SCALAR_TARGET: TargetFeatures = { relaxed: false }

/** Whether an op is a function of the math library. */
export function isMathOp(name: string): name is MathOp {
  return Object.hasOwn(mathOf(FLOAT64).ops, name)
}

/**
 * A call of a function of the library.
 *
 * @param helpers those for float64 lanes and `SCALAR_TARGET`
 * @param args numbers
 */
export function scalarCall(helpers: Helpers, name: Helper, ...args: readonly Code[]): Code {
  const lanes = args.map((arg) => op('f64x2.splat', arg))
  return extractF64(call(helpers.indexOf(name), ...lanes), 0)
}

type Run = (a: number, b: number) => number

/** Compiled on first use: few losses have functions of parameters. */
const COMPILED = new Map<Helper, Run>()

/**
 * The value of an element-wise op, as a portable kernel computes it.
 *
 * @example
 * evaluateScalarNode('log', [2]) // 0.6931471805599453
 */
export function evaluateScalarNode(name: FormulaOp, args: readonly number[]): number {
  const [a, b] = args
  if (isMathOp(name)) return compiled(name)(a, b)
  return name === 'polygamma' ? compiled(`polygamma ${a}`)(b, b) : evaluateScalar(name, args)
}

function compiled(name: Helper): Run {
  const run = COMPILED.get(name) ?? compile(name)
  COMPILED.set(name, run)
  return run
}

function compile(name: Helper): Run {
  const f = new FunctionBuilder([F64, F64], [F64])
  const helpers = new Helpers(FLOAT64, SCALAR_TARGET)
  f.add(scalarCall(helpers, name, get(0), ...(name === 'pow' ? [get(1)] : [])))
  const bytes = encodeStandaloneModule({
    imports: HOST_IMPORTS,
    functions: [f, ...helpers.functions],
    exports: { run: HOST_IMPORTS.length },
  })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { ...HOST_FUNCTIONS } })
  return exports.run as Run
}
