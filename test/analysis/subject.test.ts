/** What is analysed is what is served: the scalars of a loss have the values that the program computes. */
import { describe, expect, it } from 'vitest'
import { subjectOf } from '../../src/analysis/subject.ts'
import { evaluate, tapeOf } from '../../src/analysis/tape.ts'
import { interpret } from '../../src/language/interpret.ts'
import { elementsOf } from '../../src/language/ir.ts'
import { lower } from '../../src/language/lower.ts'
import { customLoss, type Definition, defaultSignature } from '../../src/losses/custom.ts'
import { scopeOf } from '../../src/losses/program.ts'
import { randomFrom } from '../support/sample.ts'

const real = (axes: string) => ({ axes, kind: 'real', differentiable: true }) as const

const DEFINITIONS: readonly [string, Definition][] = [
  [
    'axes in another order than those of the first input',
    { inputs: { x: real('rows,a'), w: real('a,rows') }, formula: 'sum(exp(x * w) * index(a), a)' },
  ],
  ['a shift', { inputs: { x: real('rows,time') }, formula: 'sum(exp(x - 2 * shift(x, -2, time)), time)' }],
  [
    'windows',
    { inputs: { x: real('rows,time') }, formula: 'sum(exp(conv(x, [1, 2, 3], time)) * index(time), time)' },
  ],
  [
    'declared sizes',
    {
      inputs: { x: real('rows,others=rows'), v: real('row=3') },
      formula: 'sum(x * index(others), others) * sum(v * index(row), row)',
    },
  ],
  ['a scalar', { inputs: { x: real('rows,a'), s: real('') }, formula: 'sum(tanh(s * x) * index(a), a)' }],
  ['a diagonal', { inputs: { x: real('rows,i,j') }, formula: 'sum(diag(x, i, j) * (1 + index(i)), i)' }],
  [
    'functions of its own, in lines',
    { inputs: { x: real('rows,a') }, formula: ['f(u, v) = u * exp(v)', 'sum(f(x, index(a)), a)'] },
  ],
]

describe('the scalars of a loss', () => {
  it.each(DEFINITIONS)('with %s have the value of its program', (_, definition) => {
    const loss = customLoss(definition)
    const sizes = { rows: 2, a: 3, i: 3, time: 5 }
    const subject = subjectOf({ loss, params: {}, of: 'x', domain: {}, sizes })
    const [{ scalars, root }] = subject.cases as [(typeof subject.cases)[0]]
    const random = randomFrom(5)
    const inputs = Object.fromEntries(
      Object.entries(loss.inputs).map(([name, { axes }]) => [
        name,
        Float64Array.from({ length: elementsOf(axes, subject.sizes) }, () => 2 * random() - 1),
      ]),
    )
    const tape = tapeOf(scalars, [root])
    const values = evaluate(tape, (name) => {
      const [input, place] = name.split('.') as [string, string]
      return inputs[input]![Number(place)]!
    })
    const program = lower(loss.formula, scopeOf(loss, defaultSignature(loss)), [])
    const served = interpret(program, { sizes: subject.sizes, inputs, scalars: {} }).values
    const sum = served.reduce((total, value) => total + value, 0)
    expect(values[tape.roots[0]!]).toBeCloseTo(sum, 10)
  })
})
