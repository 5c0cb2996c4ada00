/** lgamma, digamma and polygamma in WGSL, in float32, one line per step: engines/gamma.ts has the algorithm. */
import * as gamma from '../gamma.ts'
import { literal } from './literal.ts'

/** The functions of math.ts that these call. */
export const NEEDS = ['is_nan', 'log1', 'quotient'] as const

/**
 * @example
 * lgamma() // 'fn lgamma1(x: f32) -> f32 { ... }'
 */
export function lgamma(): string {
  return ofLogarithms('lgamma1', gamma.lgamma)
}

/** `fn digamma1` */
export function digamma(): string {
  return ofLogarithms('digamma1', gamma.digamma)
}

/** `fn polygamma_3`: the third derivative of digamma. */
export function polygamma(n: number): string {
  return functionOf(`polygamma_${n}`, (on) => gamma.polygamma(on, n, ARGUMENT))
}

const ARGUMENT: gamma.ReducedArgument<string> = {
  x: 'x',
  size: 'abs(x)',
  rest: 'rest',
  distance: 'abs(rest)',
}

function ofLogarithms(name: string, run: typeof gamma.lgamma<string>): string {
  return functionOf(name, (on) => {
    const [ofSize, ofDistance] = [ARGUMENT.size, ARGUMENT.distance].map((of) => on.keep(`log1(${of})`))
    return run(on, ARGUMENT, { ofSize, ofDistance })
  })
}

function functionOf(name: string, run: (on: gamma.Arithmetic<string>) => string): string {
  const lines: string[] = []
  const result = run(arithmeticOf(lines))
  return `
fn ${name}(x: f32) -> f32 {
  let rest = x - round(x);
${lines.map((line) => `  ${line}`).join('\n')}
  return select(${result}, x, is_nan(x));
}`
}

function arithmeticOf(lines: string[]): gamma.Arithmetic<string> {
  return {
    number: (value) => (Number.isFinite(value) ? literal(value) : notFinite(value)),
    add: (a, b) => `(${a} + ${b})`,
    sub: (a, b) => `(${a} - ${b})`,
    mul: (a, b) => `(${a} * ${b})`,
    div: (a, b) => `quotient(${a}, ${b})`,
    madd: (a, b, c) => `fma(${a}, ${b}, ${c})`,
    less: (a, b) => `(${a} < ${b})`,
    select: (test, yes, no) => `select(${no}, ${yes}, ${test})`,
    keep: (x) => {
      lines.push(`let k${lines.length} = ${x};`)
      return `k${lines.length - 1}`
    },
  }
}

function notFinite(value: number): string {
  if (Number.isNaN(value)) return 'words.nan'
  return value > 0 ? 'words.infinity' : '-words.infinity'
}
