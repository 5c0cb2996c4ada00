/** Whole-axis ops: sorting, shifting, cumulative sums, CTC. */
import { beforeAll, describe, expect, it } from 'vitest'
import compiled from '../../src/engines/compiled.ts'
import type { Engine } from '../../src/engines/contract.ts'
import { NoHessian } from '../../src/language/hessian.ts'
import { interpret } from '../../src/language/interpret.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { expectClose } from '../support/close.ts'
import { CTC_SCOPE } from '../support/ctc.ts'
import { evaluateFormula, SCOPE as FORMULA_SCOPE } from '../support/formulas.ts'
import { randomFrom } from '../support/sample.ts'

const values = (text: string, x: number[], rows = 1) => evaluateFormula(text, { x, rows }).values

describe('whole-axis ops', () => {
  it.each<[string, string, number[], number[]]>([
    ['sort puts the smallest first', 'sort(x, columns)', [3, 1, 2], [1, 2, 3]],
    ['order says where they were, equal ones by place', 'order(x, columns)', [2, 1, 2, 1], [1, 3, 0, 2]],
    ['NaN goes last', 'order(x, columns)', [Number.NaN, 2, 1], [2, 1, 0]],
    ['the order of the order is the rank', 'order(order(x, columns), columns)', [30, 10, 20], [2, 0, 1]],
    ['cummax is the largest so far', 'cummax(x, columns)', [2, 1, 3, 3, -1], [2, 2, 3, 3, 3]],
    ['cummin is the smallest so far', 'cummin(x, columns)', [2, 3, 1, 4], [2, 2, 1, 1]],
    ['a NaN stays', 'cummax(x, columns)', [2, Number.NaN, 3], [2, Number.NaN, Number.NaN]],
    ['of a minimum, too', 'cummin(x, columns)', [2, Number.NaN, 1], [2, Number.NaN, Number.NaN]],
    [
      'infinities are numbers',
      'cummax(x, columns)',
      [-Infinity, -5, Infinity, 9],
      [-Infinity, -5, Infinity, Infinity],
    ],
    [
      'a recurrence multiplies what came before, and the first factor does not count',
      'recurrence(x, index(columns) == 0 ? log(-1) : 0.5, columns)',
      [8, 2, 1],
      [8, 6, 4],
    ],
    [
      'a reverse recurrence begins at the end',
      'reverse_recurrence(x, index(columns) + 1, columns)',
      [1, 2, 4],
      [11, 10, 4],
    ],
    [
      'what is 0 adds nothing, whatever its factor is',
      'recurrence(x, 1 / 0, columns)',
      [0, 0, 3, -1],
      [0, 0, 3, Infinity],
    ],
    [
      'logcumsumexp keeps its digits beyond the range of exp',
      'logcumsumexp(x, columns)',
      [-2000, -2000, 1000, 1000, -5],
      [-2000, -2000 + Math.LN2, 1000, 1000 + Math.LN2, 1000 + Math.LN2],
    ],
    [
      'infinities have no distance',
      'logcumsumexp(x, columns)',
      [-Infinity, 2, Infinity, Infinity, 1],
      [-Infinity, 2, Infinity, Infinity, Infinity],
    ],
    ['cumsum adds up what came before', 'cumsum(x, columns)', [1, 2, 3], [1, 3, 6]],
    [
      'gather reads at places, 0 outside',
      'gather(x, index(columns) + 1 > 2 ? index(columns) : index(columns), columns)',
      [5, 6, 7],
      [5, 6, 7],
    ],
    ['shift reads what stood before, 0 at the beginning', 'shift(x, 1, columns)', [5, 6, 7], [0, 5, 6]],
    ['shift by less than 0 reads what comes', 'shift(x, -2, columns)', [5, 6, 7], [7, 0, 0]],
    ['shift beyond the axis reads nothing', 'shift(x, 3, columns)', [5, 6, 7], [0, 0, 0]],
    ['scatter undoes a sort', 'scatter(sort(x, columns), order(x, columns), columns)', [3, 1, 2], [3, 1, 2]],
  ])('%s', (_, text, x, want) => {
    expect(values(text, x)).toEqual(want)
  })

  it('keeps rows independent', () => {
    expect(values('sort(x, columns)', [2, 1, 4, 3], 2)).toEqual([1, 2, 3, 4])
    expect(values('cumsum(x, rows)', [1, 2, 3, 4], 2)).toEqual([1, 2, 4, 6])
    expect(values('cummax(x, columns)', [2, 1, 4, 3], 2)).toEqual([2, 2, 4, 4])
    expect(values('cummax(x, rows)', [2, 1, 1, 3], 2)).toEqual([2, 1, 2, 3])
  })

  it('differentiates a weighted sort: each element gets the weight of its rank', () => {
    const { gradients } = evaluateFormula(
      'sum(sort(x, columns) * index(columns), columns)',
      { x: [3, 1, 2] },
      ['x'],
    )
    expect(gradients.x).toEqual([2, 0, 1])
  })

  it('shifts each row, or the rows', () => {
    expect(values('shift(x, 1, columns)', [1, 2, 3, 4], 2)).toEqual([0, 1, 0, 3])
    expect(values('shift(x, 1, rows)', [1, 2, 3, 4], 2)).toEqual([0, 0, 1, 2])
  })

  it('differentiates a shift: each element gets the gradient of the place where it is read', () => {
    const { gradients } = evaluateFormula(
      'sum(shift(x, 1, columns) * y, columns)',
      { x: [1, 1, 1], y: [1, 10, 100] },
      ['x'],
    )
    expect(gradients.x).toEqual([10, 100, 0])
  })

  it('differentiates a cumulative sum: each element gets the sum of the gradients from its place on', () => {
    const { gradients } = evaluateFormula(
      'sum(cumsum(x, columns) * y, columns)',
      { x: [1, 1, 1], y: [1, 10, 100] },
      ['x'],
    )
    expect(gradients.x).toEqual([111, 110, 100])
  })

  it('differentiates a recurrence by what each element flows into', () => {
    const { gradients } = evaluateFormula(
      'sum(recurrence(x, y, columns) * index(columns), columns)',
      { x: [1, 2, 4], y: [7, 3, 5] },
      ['x', 'y'],
    )
    // 1, 3 + 2, 25 + 4, weighed by 0, 1 and 2.
    expect(gradients.x).toEqual([33, 11, 2])
    expect(gradients.y).toEqual([0, 11, 10])
  })

  it('differentiates logcumsumexp by the shares of what came before', () => {
    const { gradients } = evaluateFormula('sum(logcumsumexp(x, columns), columns)', { x: [0, 0, 0] }, ['x'])
    expectClose(Float64Array.from(gradients.x!), [1 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 / 3], {
      relative: 1e-15,
      absolute: 0,
      what: 'the gradient',
    })
  })

  it.each([
    ['a running sum', 'sum(cumsum(x, columns), columns)', [3, 2, 1]],
    ['moved elements', 'sum(scatter(x, index(columns) - 1, columns), columns)', [0, 1, 1]],
  ])('differentiates %s that all weigh the same by their places, too', (_, text, want) => {
    expect(evaluateFormula(text, { x: [1, 2, 4] }, ['x']).gradients.x).toEqual(want)
  })
})

describe('the gradient of a cumulative maximum', () => {
  it.each([
    ['goes to where it stands', 'cummax(x, columns)', [2, 1, 3, 0], [2, 0, 2, 0]],
    ['goes to the first of equal ones', 'cummax(x, columns)', [2, 2, 1, 2], [4, 0, 0, 0]],
    ['of a minimum, too', 'cummin(x, columns)', [2, 2, 1, 1], [2, 0, 2, 0]],
    [
      'weighs each place by what it receives',
      'cummax(x, columns) * index(columns)',
      [2, 1, 3, 0],
      [1, 0, 5, 0],
    ],
  ])('%s: %s', (_, text, x, want) => {
    expect(evaluateFormula(text, { x }, ['x']).gradients.x).toEqual(want)
  })

  it('has no second derivative, and reports that', () => {
    expect(() => lower(parse('cummax(x * x, columns)'), FORMULA_SCOPE, ['x'], undefined, ['x'])).toThrow(
      NoHessian,
    )
  })
})

describe('ctc', () => {
  const program = lower(parse('ctc(x, labels, times, lengths, 0, time, classes)'), CTC_SCOPE, ['x'])
  const sizes = { rows: 1, time: 4, classes: 3, labels: 3 }
  const random = randomFrom(4)
  const x = Float64Array.from({ length: 12 }, () => -3 * random())
  const run = (labels: number[], { times = 4, data = x } = {}) =>
    interpret(program, {
      sizes,
      inputs: {
        x: data,
        labels: Int32Array.of(...labels, 0, 0, 0).slice(0, 3),
        times: Int32Array.of(times),
        lengths: Int32Array.of(labels.length),
      },
      scalars: {},
    })

  /** Every path through the classes, and its labels without repeats and blanks. */
  function bruteForce(labels: readonly number[], times: number): number {
    let total = 0
    for (let path = 0; path < 3 ** times; path++) {
      const steps = Array.from({ length: times }, (_, t) => Math.floor(path / 3 ** t) % 3)
      const kept = steps.filter((step, t) => step !== 0 && step !== steps[t - 1])
      if (kept.join() === labels.join())
        total += Math.exp(steps.reduce((sum, step, t) => sum + x[3 * t + step]!, 0))
    }
    return -Math.log(total)
  }

  it.each([[[]], [[1]], [[1, 2]], [[2, 2]], [[1, 2, 1]]])('sums over all alignments of %j', (labels) => {
    expectClose(run(labels).values, [bruteForce(labels, 4)], { relative: 1e-12 })
    if (labels.length < 3)
      expectClose(run(labels, { times: 3 }).values, [bruteForce(labels, 3)], { relative: 1e-12 })
  })

  it('has the gradient of central differences, and none beyond the length', () => {
    const { gradients } = run([1, 2], { times: 3 })
    const slopes = Array.from(x, (value, place) => {
      const at = (step: number) => run([1, 2], { times: 3, data: x.with(place, value + step) }).values[0]!
      return (at(1e-6) - at(-1e-6)) / 2e-6
    })
    expectClose(gradients.x!, slopes, { relative: 1e-7, absolute: 1e-8 })
    expect(Array.from(gradients.x!.slice(9))).toEqual([0, 0, 0])
  })

  it('is infinite if the labels do not fit, with gradient 0', () => {
    const { values: loss, gradients } = run([2, 2], { times: 2 })
    expect(loss[0]).toBe(Number.POSITIVE_INFINITY)
    expect(Array.from(gradients.x!, Math.abs).every((g) => g === 0)).toBe(true)
  })
})

describe('the compiled engine', () => {
  let engine: Engine
  beforeAll(async () => {
    engine = (await compiled.open('test')) as Engine
  })

  it.each([
    'sort(x, columns)',
    'exp(sort(sin(x), columns)) * y',
    'cummax(x * y, columns) - cummin(exp(x), rows) * v',
    'cummax(cumsum(x, columns), columns) * y',
    'cumsum(sort(cumsum(x * y, columns), columns), columns)',
    'sum(gather(x, order(y, columns), columns) * y, columns)',
    'scatter(x * x, order(y, columns), columns) + v',
    'sum(cumsum(x, rows), columns) * s',
    '(x - shift(x, 1, columns))^2 * shift(y, -1, columns)',
    'shift(v, 1, columns) * x',
  ])('runs %s, with the reference result', async (text) => {
    const matrix = { type: 'real', axes: ['rows', 'columns'] } as const
    const scope: Scope = {
      inputs: { x: matrix, y: matrix, v: { type: 'real', axes: ['rows'] } },
      absent: [],
      params: { s: { kind: 'scalar' } },
      axes: ['rows', 'columns'],
    }
    const program = lower(parse(text), scope, ['x', 'y'])
    const random = randomFrom(1)
    const numbers = (length: number) => Float32Array.from({ length }, () => 4 * random() - 2)
    const inputs = { x: numbers(35), y: numbers(35), v: numbers(5) }
    const [sizes, scalars] = [{ rows: 5, columns: 7 }, { s: 0.5 }]
    const want = interpret(program, { sizes, inputs, scalars })
    const columns = Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, [data]]))
    const got = await engine.run({
      programKey: text,
      program,
      precision: 'float32',
      sizes,
      inputs: columns,
      scalars,
      cotangent: [Float32Array.of(1)],
    })
    expect(got.engine).toBe('compiled')
    expectClose(got.values, want.values, { relative: 1e-5 })
    for (const [name, data] of Object.entries(want.gradients))
      expectClose(got.gradients[name]!, data, { relative: 1e-5, what: name })
  })
})
