/** Lines that use the line before twice: as a tree such a formula has 2^n parts, and nothing may walk through all of them. */
import { describe, expect, it } from 'vitest'
import { compile } from '../../src/engines/compiled/kernel.ts'
import { legalize } from '../../src/engines/compiled/legalize.ts'
import { evaluateStaticPredicates } from '../../src/engines/compiled/static-predicates.ts'
import { schedule } from '../../src/engines/webgpu/schedule.ts'
import { TooManyNodes } from '../../src/language/builder.ts'
import type { Program } from '../../src/language/ir.ts'
import { lower, type Scope } from '../../src/language/lower.ts'
import { parse } from '../../src/language/parse.ts'

const LINES = 24
/** A walk through 2^24 parts takes longer, on any machine. */
const SOON_MS = 2000

const real = { type: 'real', axes: ['rows', 'classes'] } as const
const SCOPE: Scope = {
  inputs: { x: real, y: real, i: { type: 'index', axes: ['rows'] } },
  absent: [],
  params: { s: { kind: 'scalar' } },
  axes: ['rows', 'classes'],
}

function doubling(first: string, step: string, last: string, lines = LINES): string {
  const each = Array.from({ length: lines }, (_, k) => `a${k + 1} = ${step.replaceAll('@', `a${k}`)}`)
  return [`a0 = ${first}`, ...each, last.replaceAll('@', `a${lines}`)].join('\n')
}

const FORMULAS = {
  'of parameters': doubling('s * 0.5', '@ * @ + 0.1', 'x * @ + y'),
  'of conditions on parameters': doubling('s > 1', '@ and not @ or @', '@ ? x : y'),
  'that a later loop reads': doubling('x', '@ * @ + 0.1', '@ / sum(@, classes)'),
  'that are picked from': doubling('x', '@ * @ + 0.1', 'pick(@, i, classes)'),
  'that are read under another name': doubling('x', '@ * @', 'sum(abs(@ - @[rows -> others]), others)'),
  'that are indices': doubling('i', '@ + @', 'pick(x, @, classes)'),
  'that are rounded': doubling('index(rows)', 'floor(@ / 2 + @ / 2)', 'pick(x, @, classes)'),
  'that are choices': doubling('x', '@ > y ? @ : y - @', '@'),
  'that are maxima': doubling('x', 'max(@ - y, y - @)', '@'),
}

function programOf(formula: string): Program {
  return lower(parse(formula), SCOPE, ['x', 'y'])
}

describe('a formula of parts that are used twice', () => {
  it.each(Object.entries(FORMULAS))('%s is lowered and compiled soon', (_, formula) => {
    const started = performance.now()
    const program = programOf(formula)
    const staticPredicates = evaluateStaticPredicates(program, { s: 1 })
    const kernel = compile(program, { uniform: true, staticPredicates }, { relaxed: false })
    expect(WebAssembly.validate(kernel.bytes)).toBe(true)
    schedule(legalize(program, { uniform: true, staticPredicates }), { rows: 4, classes: 3 })
    expect(performance.now() - started).toBeLessThan(SOON_MS)
  })

  it('is refused where its second derivatives are too many', () => {
    const formula = doubling('x', 'log_softmax(@ + @ * y, classes)', 'sum(@ * y, classes)', 30)
    const started = performance.now()
    expect(() => lower(parse(formula), SCOPE, ['x'], undefined, ['x'])).toThrow(TooManyNodes)
    expect(performance.now() - started).toBeLessThan(SOON_MS)
  })
})
