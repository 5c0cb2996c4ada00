/** The gradient of a mean takes its denominator for a constant, so it must be one. */
import { describe, expect, it } from 'vitest'
import { readCookbook } from '../../docs/cookbook.ts'
import { variesWith } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'
import { defaultSignature } from '../../src/losses/custom.ts'
import { checkDenominator } from '../../src/losses/denominator.ts'
import { loadCatalog } from '../../src/losses/load-catalog.ts'
import { checkDefinition } from '../../src/schemas/definition.ts'
import { SCOPE } from '../support/formulas.ts'

const { losses } = await loadCatalog()
const recipes = readCookbook().flatMap((chapter) =>
  chapter.recipes.map(({ definition }) => checkDefinition(definition, '')),
)
const divided = [...losses, ...recipes].filter(({ denominator }) => denominator !== undefined)

it.each(divided.map((loss) => [loss.name, loss] as const))(
  'the denominator of %s changes with no input that has a gradient',
  (_, loss) => {
    expect(() => checkDenominator(loss, defaultSignature(loss))).not.toThrow()
  },
)

it('there are such losses in the catalog', () => expect(divided.length).toBeGreaterThan(5))

describe('a formula changes with', () => {
  it.each([
    ['x * y', ['x', 'y']],
    ['x > 0 ? y : 1', ['y']],
    ['x > y ? 1 : 2', []],
    ['stop_gradient(x) + y * 0', []],
    ['sum(x, columns) * sum(v, rows)', ['x', 'v']],
    ['max(x, y)', ['x', 'y']],
    ['floor(x) + sign(y) + count(v > 0, rows)', []],
    ['straight_through(x, y)', ['y']],
    ['pick(x, i, columns)', ['x']],
  ])('%s: %j', (text, names) => expect(variesWith(parse(text), SCOPE, ['x', 'y', 'v'])).toEqual(names))
})
