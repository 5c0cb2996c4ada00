/** Runs small formulas in a fixed scope. */
import { interpret } from '../../src/language/interpret.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'

const matrix = { type: 'real', axes: ['rows', 'columns'] } as const
const vector = { type: 'real', axes: ['rows'] } as const

/** x and y are matrices, v is a vector, i has one index per row, s is a scalar, mode is a word. */
export const SCOPE: Scope = {
  inputs: { x: matrix, y: matrix, predictions: matrix, v: vector, i: { type: 'index', axes: ['rows'] } },
  absent: ['w'],
  params: { s: { kind: 'scalar' }, mode: { kind: 'word', value: 'soft', words: ['soft', 'hard'] } },
  axes: ['rows', 'columns'],
}

export interface Values {
  readonly x?: readonly number[]
  readonly y?: readonly number[]
  readonly v?: readonly number[]
  readonly i?: readonly number[]
  readonly s?: number
  readonly rows?: number
}

export interface Evaluated {
  readonly values: number[]
  readonly gradients: Readonly<Record<string, number[]>>
}

/** Value and gradients of a formula. x and y have the shape `rows` x (their length / rows). */
export function evaluateFormula(text: string, values: Values, wants: readonly string[] = []): Evaluated {
  const rows = values.rows ?? 1
  const program = lower(parse(text), SCOPE, wants)
  const columns = (values.x ?? values.y ?? [0]).length / rows
  const inputs = {
    x: Float64Array.from(values.x ?? []),
    y: Float64Array.from(values.y ?? []),
    v: Float64Array.from(values.v ?? []),
    i: Int32Array.from(values.i ?? []),
  }
  const found = interpret(program, { sizes: { rows, columns }, inputs, scalars: { s: values.s ?? 0 } })
  const gradients = Object.entries(found.gradients).map(([name, data]) => [name, Array.from(data)] as const)
  return { values: Array.from(found.values), gradients: Object.fromEntries(gradients) }
}

/** The value of a formula without inputs. */
export function numberOf(text: string): number {
  return evaluateFormula(text, { x: [0], y: [0], v: [0] }).values[0]!
}
