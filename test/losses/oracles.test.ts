/** The definitions, interpreted in float64, against the frameworks' own float64 numbers, or those of their examples. */
import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, openInterpreter } from '../support/evaluate.ts'
import { type OracleCase, oracleNumbers, oracleTensors } from '../support/oracles.ts'

const { losses } = await loadCatalog()
const catalog: { name: string }[] = JSON.parse(readFileSync(new URL('catalog.json', import.meta.url), 'utf8'))
const published = catalog.map(({ name }) => name)
const engine = await openInterpreter()

/**
 * Both sides are float64. They differ in the order of operations, and some frameworks have float32 constants. PyTorch
 * uses log-probabilities unchanged, here rounded to float32, whereas ctc normalizes them.
 */
const toleranceOf = (name: string) => (name === 'ctc' ? 1e-6 : 1e-9)

describe.each(losses.map((loss) => [loss.name, loss] as const))('%s', (name, loss) => {
  const file = new URL(`../oracles/${name}.json`, import.meta.url)
  const cases: OracleCase[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []

  it("has reference values: a framework's own, or examples that give every gradient", () => {
    if (cases.length > 0) return
    expect(published, 'a published loss has an oracle').not.toContain(name)
    const wanted = Object.keys(loss.inputs).filter((input) => loss.inputs[input]!.differentiable)
    const given = loss.examples.flatMap(({ gradients = {} }) => Object.keys(gradients))
    expect(given).toEqual(expect.arrayContaining(wanted))
  })

  it.each(cases.map((one) => [one.id, one.source, one] as const))(
    '%s equals %s',
    async (_id, _source, one) => {
      const { gradients, gradients_of: of, ...losses } = one.expected
      for (const [reduction, value] of Object.entries(losses)) {
        const wants = reduction === of ? Object.keys(gradients) : false
        const answer = await evaluate(engine, loss, oracleTensors(one), {
          params: one.params,
          reduction,
          gradients: wants,
        })
        expectClose(answer.loss.data, oracleNumbers(value), { relative: toleranceOf(name), what: reduction })
        for (const input of wants || []) {
          expectClose(answer.gradients.get(input)!.data, oracleNumbers(gradients[input]), {
            relative: toleranceOf(name),
            what: input,
          })
        }
      }
    },
  )
})
