/**
 * Asked for by a framework's own name, a loss answers that framework's numbers: value, reduction and gradients, without
 * a word of ours. The scripts in test/oracles/scripts that are called presets asked the frameworks.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { PRESETS, type PresetName } from '../../src/losses/define.ts'
import { loadCatalog } from '../../src/losses/index.ts'
import type { Explanation } from '../../src/schemas/explain.ts'
import { expectClose } from '../support/close.ts'
import { evaluate, openInterpreter } from '../support/evaluate.ts'
import { type OracleCase, oracleNumbers, oracleTensors } from '../support/oracles.ts'
import { EXCEPTIONS, isOtherwise, UNCALLED } from '../support/presets.ts'

interface PresetCase {
  /** The framework's spelling. */
  readonly name: string
  /** Our loss / what is special about the inputs. */
  readonly id: string
  readonly source: string
  readonly inputs: OracleCase['inputs']
  readonly loss: unknown
  readonly gradients: Readonly<Record<string, unknown>>
}

const catalog = await loadCatalog()
const engine = await openInterpreter()

/**
 * torch: its constants are float32 (1e-12 in binary_cross_entropy). keras: its mean passes through float32 on torch, with
 * floatx float64 too. optax: float64, another order of operations. tfjs: float32.
 */
const TOLERANCES: Readonly<Record<PresetName, number>> = { torch: 1e-8, keras: 2e-6, optax: 1e-9, tfjs: 1e-5 }

const casesOf = (framework: PresetName): PresetCase[] =>
  JSON.parse(readFileSync(new URL(`../oracles/presets/${framework}.json`, import.meta.url), 'utf8'))

describe.each(PRESETS)('%s', (framework) => {
  const cases = casesOf(framework)
  const spellings = catalog.losses.flatMap((loss) => {
    const names = Object.keys(loss.presets[framework]?.names ?? {})
    return names.map((name) => [name, loss] as const)
  })

  it.each(spellings)('%s has a case, or a reason for having none', (name) => {
    expect(cases.some((one) => one.name === name)).toBe(!(name in UNCALLED))
  })

  it.each(spellings)('%s stands for the preset', async (name, loss) => {
    const asked = catalog.asked(name)!
    expect(asked).toMatchObject({ preset: framework, loss: { name: loss.name } })
    const one = cases.find((some) => some.name === name)
    if (one === undefined) return
    const { members } = await evaluate(engine, asked, oracleTensors(one), { explain: true })
    const explanation = members.explain as Explanation
    const { note, params, reduction = 'mean', names } = loss.presets[framework]!
    expect(explanation).toMatchObject({
      preset: framework,
      reduction,
      ...(note === undefined ? {} : { note }),
    })
    expect(explanation.params).toMatchObject({ ...params, ...names[name] })
  })

  it.each(cases.map((one) => [one.name, one.id, one] as const))('%s: %s', async (name, id, one) => {
    const exception = EXCEPTIONS[`${name} ${id}`]
    const answering = evaluate(engine, catalog.asked(name)!, oracleTensors(one))
    if (exception?.refused !== undefined) return expect(answering).rejects.toThrow(exception.refused)
    const answer = await answering
    const relative = TOLERANCES[framework]

    const hold = (what: string, got: ArrayLike<number>, want: number[]) => {
      const same = () => expectClose(got, want, { relative, what })
      const ours = exception?.ours?.[what]
      if (ours === undefined) return same()
      expect(same, `${what} still differs`).toThrow()
      if (!isOtherwise(ours)) expectClose(got, oracleNumbers(ours), { relative, what: `${what}, ours` })
      else if (ours.within !== undefined) expectClose(got, want, { relative: ours.within, what })
    }

    const { loss, finer } = together(answer.loss.data, oracleNumbers(one.loss))
    hold('loss', loss.ours, loss.theirs)
    for (const [input, slope] of Object.entries(one.gradients)) {
      hold(
        input,
        answer.gradients.get(input)!.data,
        oracleNumbers(slope).map((x) => x * finer),
      )
    }
  })
})

it.each(Object.keys(EXCEPTIONS))(
  'the exception "%s" stands for a case, and a note tells of it',
  (exception) => {
    const ids = PRESETS.flatMap(casesOf).map(({ name, id }) => `${name} ${id}`)
    expect(ids).toContain(exception)
    const { loss, preset } = catalog.asked(exception.split(' ')[0]!)!
    expect(loss.presets[preset!]!.note).toMatch(/\w/)
  },
)

/**
 * Keras' functions answer one number a row where we answer their mean, and optax's dice_loss one a row where we have one a
 * class, too. The finer side is averaged in groups; gradients, which are those of the sum, differ by the same factor.
 */
function together(ours: ArrayLike<number>, theirs: readonly number[]) {
  const count = Math.min(ours.length, theirs.length)
  const averaged = { ours: means(Array.from(ours), count), theirs: means(theirs, count) }
  return { loss: averaged, finer: ours.length / theirs.length }
}

function means(values: readonly number[], groups: number): number[] {
  const size = values.length / groups
  return Array.from({ length: groups }, (_, i) => {
    const part = values.slice(i * size, (i + 1) * size)
    return part.reduce((sum, value) => sum + value, 0) / size
  })
}
