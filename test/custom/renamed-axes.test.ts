/** Values with a renamed axis, such as pairs of rows or frequencies of a signal. */
import { describe, expect, it } from 'vitest'
import { assemble, split } from '../../src/batching/assemble.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { bitsOf } from '../support/close.ts'
import { check, evaluate, nested, openInterpreter } from '../support/evaluate.ts'

const interpreter = await openInterpreter()

const own = (axes: string, formula: string) =>
  checkDefinition({ inputs: { x: { axes, differentiable: true } }, formula }, '')
const tensors = (x: unknown) => new Map([['x', nested(x)]])

describe('a value with a renamed axis', () => {
  const pairs = own('rows', '(x - x[rows -> others])^2')
  const steps = own('rows,time', '(x - x[time -> others])^2')

  it('has the shape of both axes', async () => {
    const { loss } = await evaluate(interpreter, pairs, tensors([1, 2, 4]), { reduction: 'none' })
    expect(loss.shape).toEqual([3, 3])
    expect(Array.from(loss.data)).toEqual([0, 1, 9, 1, 0, 4, 9, 4, 0])
  })

  it.each([
    [pairs, [1, 3], [-2, 2]],
    [steps, [[1, 3]], [-2, 2]],
  ])('has a mean over all of its elements', async (loss, x, slopes) => {
    const answer = await evaluate(interpreter, loss, tensors(x), { reduction: 'mean' })
    expect(answer.loss.data[0]).toBe(2)
    expect(answer.members).toMatchObject({ denominator: 4, count: 4 })
    expect(Array.from(answer.gradients.get('x')!.data)).toEqual(slopes)
  })

  it('gets the same bits in a batch as alone', async () => {
    const requests = [[[1, 2, 4]], [[0, 5, -1] as number[], [3, 3, 1]]].map((x) => check(steps, tensors(x)))
    const jobs = requests.map(({ job }) => job) as [(typeof requests)[0]['job'], (typeof requests)[0]['job']]
    expect(jobs[0].mergeKey).toBe(jobs[1].mergeKey)
    const slices = split(jobs, await interpreter.run(assemble(jobs)))
    for (const [place, { job, answer }] of requests.entries()) {
      const together = answer(slices[place]!)
      const alone = answer(await interpreter.run(assemble([job])))
      expect(bitsOf(together.loss.data)).toBe(bitsOf(alone.loss.data))
      expect(bitsOf(together.gradients.get('x')!.data)).toBe(bitsOf(alone.gradients.get('x')!.data))
    }
  })
})
