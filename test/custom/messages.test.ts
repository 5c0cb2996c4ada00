/** Error messages for authors of custom losses: where the definition is wrong, in the words of the request. */
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
      '/t: has shape [], but x has [1, 2]; inputs are not broadcast. If t is one number for all rows, declare it with the axes ""',
    ],
    [
      { formula: 'x * s - y', params: { s: 2 } },
      '/formula: there is no tensor in the body: send those that the formula uses (it names x, y) as top-level members',
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
      '/axes/x: has the axis classes twice: give each a name of its own and the same size, as in rows,classes,other_classes=classes',
    ],
    [
      { formula: 'x', x: [[1, 2]], axes: { x: 'rows,others=row' } },
      '/axes/x: no input has the axis row, whose size others should have. Did you mean "rows"?',
    ],
    [
      { formula: 'x', x, 'a.b': x },
      '/a.b: must consist of letters, digits and _, and must not begin with a digit',
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
      '/definition/inputs/x/axes: has the axis 3 twice: give each a name of its own and the same size, as in rows,row=3,column=3',
    ],
    [
      { ...of({ x: { axes: 'rows=classes,classes=rows,others=rows' } }, 'x'), x: [[[1.5]]] },
      '/definition/inputs/x/axes: the axis classes would have its own size: declare a different one',
    ],
    [
      { ...of({ x: { axes: 'a=b,b=a' } }, 'x'), x: [[1.5]] },
      '/definition/inputs/x/axes: the axis b would have its own size: declare a different one',
    ],
    [
      { ...of({ x: { axes: 'rows,a=rows' }, y: { axes: 'rows,a=3' } }, 'x'), x: [[1.5]], y: [[1]] },
      '/definition/inputs/y/axes: the axis a has the size of 3 here, and of rows in another input',
    ],
    [
      { ...of({ x: { axes: '...,...' } }, 'x'), x: [1.5] },
      '/definition/inputs/x/axes: has ... twice, so that it is open which axes belong to which',
    ],
  ])('%j: %s', (body, message) => expect(told(body)).toBe(message))
})
