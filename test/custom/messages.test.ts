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
      '/formula, line 1, column 1: sum takes at least 2 arguments (number, axes), found 1; the axes have no names here, all of them together are written "..."',
    ],
    [
      { formula: 'sum(x, classes)', x },
      '/formula, line 1, column 8: there is no axis "classes"; the axes have no names here, all of them together are written "..."',
    ],
    [
      { formula: 'x ? 1 : 0', x: [true, false] },
      '/formula, line 1, column 1: expected a truth value (a comparison), found a number; write "x == 1"',
    ],
    [{ formula: 'pick(x, y, classes)', x, y: [1] }, '/axes: no input has the axis classes'],
    [
      { formula: 'x * t', x, t: 0.5, axes: { t: '' } },
      '/axes/t: must be names of axes with commas between them: rows,classes; one number for all rows has the axis 1',
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
      '/definition/inputs/x/axes: has the axis 3 twice; give one of them another name',
    ],
  ])('%j: %s', (body, message) => expect(told(body)).toBe(message))
})
