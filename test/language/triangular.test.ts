/** Triangular systems and diagonals: against the definition, numbers from hand, and a Gaussian whose covariance is known. */
import { describe, expect, it } from 'vitest'
import { interpret } from '../../src/language/interpret.ts'
import { costOf } from '../../src/language/ir.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { expectClose } from '../support/close.ts'
import { check, evaluate, nested, openInterpreter } from '../support/evaluate.ts'
import { randomFrom } from '../support/sample.ts'

const scope: Scope = {
  inputs: {
    a: { type: 'real', axes: ['rows', 'i', 'j'] },
    b: { type: 'real', axes: ['rows', 'i'] },
    c: { type: 'real', axes: ['rows', 'i', 'k'] },
    d: { type: 'real', axes: ['rows', 'j'] },
    shared: { type: 'real', axes: ['j', 'i'] },
  },
  absent: [],
  params: {},
  axes: ['rows', 'i', 'j', 'k'],
}

function run(
  text: string,
  inputs: Record<string, number[]>,
  sizes: Record<string, number>,
  wants: string[] = [],
) {
  const program = lower(parse(text), scope, wants)
  const data = Object.fromEntries(Object.entries(inputs).map(([name, x]) => [name, Float64Array.from(x)]))
  return interpret(program, { sizes, inputs: data, scalars: {} })
}

describe('a triangular system', () => {
  const lowerMatrix = [2, 99, 99, 1, 4, 99, 3, 5, 8]
  const upperMatrix = [2, 1, 3, 99, 4, 5, 99, 99, 8]
  const sizes = { rows: 1, i: 3, j: 3 }

  it('is solved from the first row down, and what is above the diagonal is not read', () => {
    // 2 x = 2, x + 4 y = 9, 3 x + 5 y + 8 z = 37
    expect(
      Array.from(run('solve_lower(a, b, i, j)', { a: lowerMatrix, b: [2, 9, 37] }, sizes).values),
    ).toEqual([1, 2, 3])
    const unread = { a: lowerMatrix.map((x) => (x === 99 ? Number.NaN : x)), b: [2, 9, 37] }
    expect(Array.from(run('solve_triangular(a, b, i, j)', unread, sizes).values)).toEqual([1, 2, 3])
  })

  it('is solved from the last row up where it is upper', () => {
    expect(
      Array.from(run('solve_upper(a, b, i, j)', { a: upperMatrix, b: [13, 23, 24] }, sizes).values),
    ).toEqual([1, 2, 3])
  })

  it('with its axes exchanged is the transposed one', () => {
    // 2 x + y + 3 z = 13, 4 y + 5 z = 23, 8 z = 24
    const transposed = run('solve_upper(a, d, j, i)', { a: lowerMatrix, d: [13, 23, 24] }, sizes)
    expect(Array.from(transposed.values)).toEqual([1, 2, 3])
  })

  it('may be one for all rows, in any layout, with many right-hand sides', () => {
    const random = randomFrom(3)
    const numbers = (count: number) => Array.from({ length: count }, () => 2 * random() - 1)
    const size = { rows: 2, i: 4, j: 4, k: 3 }
    // `shared` lies in memory with its columns first.
    const shared = numbers(16).map((x, at) => (at % 5 === 0 ? 3 + x : x))
    const c = numbers(24)
    const { values } = run('solve_lower(shared, c, i, j)', { shared, c }, size)
    for (let row = 0; row < 2; row++)
      for (let i = 0; i < 4; i++)
        for (let k = 0; k < 3; k++) {
          let product = 0
          for (let j = 0; j <= i; j++) product += shared[j * 4 + i]! * values[row * 12 + j * 3 + k]!
          expect(product).toBeCloseTo(c[row * 12 + i * 3 + k]!, 12)
        }
  })

  it('that is singular is infinite or NaN, and leaves its neighbours alone', () => {
    const a = [0, 0, 1, 1, 1, 0, 1, 1]
    const { values } = run('solve_lower(a, b, i, j)', { a, b: [1, 1, 3, 5] }, { rows: 2, i: 2, j: 2 })
    expect(Array.from(values)).toEqual([Infinity, -Infinity, 3, 2])
  })

  it('on a branch that is not taken passes nothing on, whatever its matrix contains', () => {
    const a = [0, 0, Number.NaN, 0]
    const text = 'sum(b, i) > 0 ? sum(solve_lower(a, b, i, j), j) : sum(b, i)'
    const { gradients } = run(text, { a, b: [-1, 0] }, { rows: 1, i: 2, j: 2 }, ['a', 'b'])
    expect(Array.from(gradients.a!, Math.abs)).toEqual([0, 0, 0, 0])
    expect(Array.from(gradients.b!)).toEqual([1, 1])
  })

  it('counts with the products that it sums up', () => {
    const size = { rows: 5, i: 10, j: 10, k: 3 }
    expect(costOf(lower(parse('solve_lower(shared, c, i, j)'), scope, []), size).operations).toBe(
      100 + 150 + 150 * 10,
    )
  })

  it.each([
    ['solve_lower(b, b, i, j)', 'the matrix must have the axes i and j'],
    ['solve_lower(a, a, i, j)', 'the right-hand side must not have the axis j'],
    ['solve_lower(a, b, i, i)', 'the axis "i" is named twice'],
    ['solve_lower(a, b, i, classes)', 'there is no axis "classes"'],
  ])('%s is refused: %s', (text, problem) => {
    expect(() => lower(parse(text), scope, [])).toThrow(problem)
  })
})

const gaussian = checkDefinition(
  {
    inputs: {
      x: { axes: 'rows,i', differentiable: true },
      factor: { axes: 'i,j', differentiable: true },
    },
    formula: 'sum(solve_lower(factor, x, i, j)^2, j) / 2 + sum(log(diag(factor, i, j)), i)',
  },
  '',
)
const interpreter = await openInterpreter()
const tensors = (x: unknown, factor: unknown) =>
  new Map([
    ['x', nested(x)],
    ['factor', nested(factor)],
  ])

describe('a Gaussian with a full covariance', () => {
  // L = [[2, 0], [1, 3]]: L L' = [[4, 2], [2, 10]], with the inverse [[10, -2], [-2, 4]] / 36 and the determinant 36.
  const factor = [
    [2, 0],
    [1, 3],
  ]

  it('is the quadratic form of the inverse, and half the logarithm of the determinant', async () => {
    const { loss, gradients } = await evaluate(interpreter, gaussian, tensors([[3, -1]], factor), {
      reduction: 'none',
    })
    expectClose(loss.data, [(10 * 9 + 2 * 2 * 3 + 4) / 36 / 2 + Math.log(36) / 2], { relative: 1e-14 })
    expectClose(gradients.get('x')!.data, [(10 * 3 + 2) / 36, (-2 * 3 - 4) / 36], { relative: 1e-14 })
    expect(gradients.get('factor')!.data[1]).toBe(0)
  })

  it('has the diagonal of the inverse as its second derivative', async () => {
    const { hessian } = await evaluate(interpreter, gaussian, tensors([[3, -1]], factor), {
      reduction: 'sum',
      gradients: ['x'],
      hessian: 'diagonal',
    })
    expectClose(hessian!.get('x')!.data, [10 / 36, 4 / 36], { relative: 1e-13 })
  })

  it.each([
    [
      [
        [2, 0, 0],
        [1, 3, 0],
      ],
      '/factor: has 3 along its axis j, but i has 2: the matrix must be square',
    ],
  ])('wants a square matrix, not %j', (matrix, detail) => {
    expect(() => check(gaussian, tensors([[3, -1]], matrix))).toThrow(detail)
  })
})
