/** The examples of a definition are checked: values, gradients and shapes. The error shows what was computed. */
import { describe, expect, it } from 'vitest'
import type { Definition } from '../../src/losses/custom.ts'
import { createProgramSource } from '../../src/losses/program.ts'
import { checkExamples } from '../../src/registry/examples.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { evaluateExactly } from '../../src/schemas/evaluate-exactly.ts'
import { createRequestPlanSource } from '../../src/schemas/request-plan.ts'
import json from '../../src/wire/json/index.ts'

const plans = createRequestPlanSource(createProgramSource(), { maxIntermediate: 1e6, maxCost: 1e9 })

function hold(example: object) {
  const inputs = { x: { axes: 'rows,classes', differentiable: true } }
  const definition = { inputs, formula: 'x^2', examples: [example] } as Definition
  const resolved = { loss: checkDefinition(definition, ''), preset: undefined, params: {} }
  const decode = (body: object) =>
    json.decode(Buffer.from(JSON.stringify(body)), { maxElements: 100, maxTensors: 9 })
  checkExamples(definition, (body) => evaluateExactly(resolved, decode(body), plans))
}

const inputs = { x: [[1, 3]] }

describe('an example', () => {
  it.each([
    { inputs, loss: [[1, 9]], gradients: { x: [[2, 6]] } },
    { inputs, loss: [[1, 9 + 8e-9]] },
    { inputs, reduction: 'mean', loss: 5, gradients: { x: [[1, 3]] } },
  ])('that matches is accepted: %j', (example) => expect(() => hold(example)).not.toThrow())

  it.each([
    [
      { inputs, loss: [[1, 9 + 1e-7]] },
      '/examples/0/loss: is 9.0000001, but 9 was computed (element 1 of [1, 9])',
    ],
    [{ inputs, loss: [[1]] }, '/examples/0/loss: has 1 numbers, but 2 were computed: [1, 9]'],
    [{ inputs, loss: [1, 9] }, '/examples/0/loss: has the shape [2], but [1,2] was computed: [1, 9]'],
    [{ inputs, loss: 5 }, '/examples/0/loss: has 1 numbers, but 2 were computed: [1, 9]'],
    [
      { inputs, loss: [[1, 9]], gradients: { x: [[2], [6]] } },
      '/examples/0/gradients/x: has the shape [2,1], but [1,2] was computed: [2, 6]',
    ],
  ])('that does not match is rejected: %j', (example, message) => {
    expect(() => hold(example)).toThrow(message)
  })
})
