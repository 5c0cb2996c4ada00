/** Error messages for authors of custom losses: they point to the error, and use the names of the request. */
import { describe, expect, it } from 'vitest'
import { Problem } from '../../src/errors.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { checkRequest } from '../../src/schemas/check.ts'
import { createInlineSource } from '../../src/schemas/inline.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import json from '../../src/wire/json/index.ts'

const inline = createInlineSource()
const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 1e6, maxCost: 1e9 })
const limits = { maxElements: 100, maxTensors: 9 }

function told(body: object): string {
  try {
    const { resolved, request } = inline(json.decode(Buffer.from(JSON.stringify(body)), limits))
    checkRequest(resolved, request, { plans })
  } catch (error) {
    if (error instanceof Problem) return error.message
    throw error
  }
  throw new Error('nothing is wrong with it')
}

describe('a formula alone', () => {
  const x = [[1.5, 2]]
  it.each([
    [
      { formula: 'sum(x)', x },
      '/formula, line 1, column 1: sum takes at least 2 arguments (number, axes), found 1; the axes have no names here: "..." stands for all of them',
    ],
    [
      { formula: 'sum(x, classes)', x },
      '/formula, line 1, column 8: there is no axis "classes"; the axes have no names here: "..." stands for all of them',
    ],
    [
      { formula: 'x ? 1 : 0', x: [true, false] },
      '/formula, line 1, column 1: expected a condition, such as x > 0, found a number; write "x == 1"',
    ],
    [{ formula: 'pick(x, y, classes)', x, y: [1] }, '/axes: no input has the axis classes'],
    [
      { formula: 'x * t', x, t: 0.5, axes: { t: 'rows;' } },
      '/axes/t: must be names of axes separated by commas, as in rows,classes or rows,others=rows',
    ],
    [
      { formula: 'x * t', x, t: 0.5 },
      '/t: has shape [], but x has [1, 2]; inputs are not broadcast. If t is one number for all rows, declare its axes as ""',
    ],
    [
      { formula: 'x * s - y', params: { s: 2 } },
      '/formula: the body contains no tensors: send those that the formula uses (x, y) as top-level members',
    ],
    [{ formula: 'x * t', x, t: [0.5], axes: { t: '' } }, '/t: expected one number, got shape [1]'],
    [
      { formula: 'x * t', x: 1, t: 0.5, axes: { t: '', x: '' } },
      '/axes: at least one input must have axes; "..." is any number of axes, even none',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,others=rows' } },
      '/x: has 2 along its axis others, but x has 1 rows',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,__proto__' } },
      '/axes/x: __proto__ is not allowed as the name of an axis: choose another name',
    ],
    [
      { formula: 'x[rows -> __proto__]', x: [[1, 2]], axes: { x: 'rows,classes' } },
      '/formula, line 1, column 1: "__proto__" cannot be the name of an axis',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,column=3' } },
      '/x: has 2 elements along its axis column, which must have 3',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,classes,classes' } },
      '/axes/x: has the axis classes twice: give each its own name and the same size, as in rows,classes,other_classes=classes',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,others=row' } },
      '/axes/x: no input has the axis row, which is declared as the size of others. Did you mean "rows"?',
    ],
    [
      { formula: 'x', x, 'a.b': x },
      '/a.b: must consist of letters, digits and _, and must not begin with a digit',
    ],
  ])('%j: %s', (body, message) => expect(told(body)).toBe(message))
})

describe('a request', () => {
  const none = { shape: [0, 3], dtype: 'float32', data: [] }
  const scaled = { formula: 's * x^2', axes: { s: '', x: 'rows' }, s: 2, x: [1, 2], hessian: 'diagonal' }
  const withRows =
    '/hessian: diagonal requires the gradient of an input with rows; the request asks for none of formula, which has those of x'
  const integers =
    '/gradients: there is no gradient: x were sent as integers; send floats, or "gradients": false'
  it.each([
    [
      { formula: 'sum(x^2, rows)', axes: { x: 'rows,c' }, x: none, reduction: 'batchmean' },
      'the batchmean over an empty batch is undefined; use sum or none',
    ],
    [
      { formula: 'x^2', x: [], reduction: 'mean' },
      'the mean over an empty batch is undefined; use sum or none, or send a denominator',
    ],
    [{ ...scaled, gradients: ['s'] }, withRows],
    [{ ...scaled, gradients: [] }, withRows],
    [
      { formula: 'x - sum(x, rows)', axes: { x: 'rows' }, x: [1, 2], hessian: 'diagonal' },
      '/hessian: diagonal requires a loss whose rows are independent; formula couples the rows of a batch',
    ],
    [
      { formula: 'sort(x, t)', axes: { x: 'rows,t' }, x: [[1, 2]], hessian: 'diagonal' },
      '/hessian: of formula: sort has no second derivative here',
    ],
    [{ formula: 'x^2', x: { dtype: 'int32', shape: [2], data: [1, 2] } }, integers],
    [{ formula: 'x^2', x: [true, false] }, integers],
    [
      { formula: 'x^2 * toString', x: [1], toString: [3] },
      '/toString: is not allowed as a name: choose another name',
    ],
  ])('%j: %s', (body, message) => expect(told(body)).toBe(message))
})

describe('a definition', () => {
  const of = (inputs: object, formula: string) => ({ definition: { inputs, formula } })
  it.each([
    [of({}, '3'), '/definition/inputs: must declare at least one input'],
    [
      { ...of({ x: {} }, 'abs(x)'), x: [1.5] },
      '/gradients: no input of formula is declared with "differentiable": true; declare one, or send "gradients": false',
    ],
    [
      { ...of({ x: {} }, 'abs(x)'), x: [1.5], gradients: ['x'] },
      '/gradients/0: formula has no gradients here',
    ],
    [
      { ...of({ x: { axes: 'rows,3,3' } }, 'x'), x: [[[1.5]]] },
      '/definition/inputs/x/axes: has the axis 3 twice: give each its own name and the same size, as in rows,row=3,column=3',
    ],
    [
      { ...of({ x: { axes: 'rows=classes,classes=rows,others=rows' } }, 'x'), x: [[[1.5]]] },
      '/definition/inputs/x/axes: the size of the axis classes is declared in terms of itself: declare a number or another axis',
    ],
    [
      { ...of({ x: { axes: 'a=b,b=a' } }, 'x'), x: [[1.5]] },
      '/definition/inputs/x/axes: the size of the axis b is declared in terms of itself: declare a number or another axis',
    ],
    [
      { ...of({ x: { axes: 'rows,a=rows' }, y: { axes: 'rows,a=3' } }, 'x'), x: [[1.5]], y: [[1]] },
      '/definition/inputs/y/axes: the axis a has the size 3 here, but rows in another input',
    ],
    [
      { ...of({ x: { axes: '...,...' } }, 'x'), x: [1.5] },
      '/definition/inputs/x/axes: has ... twice, so it is ambiguous which axes belong to which',
    ],
  ])('%j: %s', (body, message) => expect(told(body)).toBe(message))
})
