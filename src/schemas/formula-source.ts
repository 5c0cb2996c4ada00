/** A definition for a formula that stands alone, without tensors: every name that is no parameter is an input. */
import { cut, pointerToken, problemAt, problemAtAll } from '../errors.ts'
import { type Expression, type Formula, FormulaError, subexpressionsOf } from '../language/ast.ts'
import { parse } from '../language/parse.ts'
import { type Definition, type FormulaText, sourceOf } from '../losses/custom.ts'
import { parseAxes } from '../losses/define.ts'
import { namesIn, nameUsesIn } from '../losses/name-uses.ts'
import { definitionOf, type Shorthand } from '../losses/shorthand.ts'
import { formulaProblem, wrongFormula, wrongName } from './definition.ts'
import { jsonObject } from './json-parameter.ts'
import { MAX_REPORTED } from './unknown-names.ts'

type Names = Pick<Shorthand, 'params' | 'axes'>

/**
 * @throws Problem `formula-invalid`, `invalid-value`
 * @example
 * definitionOfFormula({ formula: 'abs(x - y) / s', params: { s: 2 } }).inputs // x and y
 */
export function definitionOfFormula(body: Readonly<Record<string, unknown>>): Definition {
  const wrong = wrongFormula(body.formula, '/formula')
  if (wrong !== undefined) throw problemAt('invalid-value', wrong.pointer, wrong.detail)
  const formula = body.formula as FormulaText
  const params = jsonObject(body.params ?? {}, '/params') as Names['params']
  const axes = axisTexts(body.axes ?? {})
  try {
    const names = inputsOf(parse(sourceOf(formula)), { params, axes })
    checkInputNames(names)
    const tensors = Object.fromEntries(names.map((name) => [name, { isInteger: false }]))
    return definitionOf({ formula, tensors, params, axes })
  } catch (error) {
    if (error instanceof FormulaError) throw formulaProblem(error, '', { formula })
    throw error
  }
}

/** @throws Problem `invalid-value` */
export function axisTexts(axes: unknown): Names['axes'] {
  if (typeof axes !== 'object' || axes === null || Array.isArray(axes)) {
    throw problemAt('invalid-value', '/axes', 'must be an object: {"predictions": "rows,classes"}')
  }
  for (const [name, text] of Object.entries(axes)) {
    if (typeof text !== 'string')
      throw problemAt('invalid-value', `/axes/${pointerToken(name)}`, 'must be a string: rows,classes')
  }
  return axes as Names['axes']
}

/** The formula is the only place where these names are. */
function checkInputNames(names: readonly string[]) {
  const errors = names.flatMap((name) => {
    const wrong = wrongName(name)
    return wrong === undefined ? [] : [{ pointer: '/formula', detail: `"${cut(name)}" ${wrong}` }]
  })
  if (errors.length > 0) throw problemAtAll('invalid-value', errors.slice(0, MAX_REPORTED))
}

/** Names that a formula reads, and that stand for nothing else. */
function inputsOf(formula: Formula, { params, axes }: Names): string[] {
  const { words } = nameUsesIn(formula)
  const others = new Set([
    ...Object.keys(params),
    ...Object.keys(params).flatMap((name) => [...(words.get(name) ?? [])]),
    ...Object.values(axes).flatMap(axisNames),
    ...formula.statements.flatMap(({ name, value }) => [name, ...renamedIn(value)]),
  ])
  return [...namesIn(formula)].filter((name) => !others.has(name))
}

function axisNames(text: string): string[] {
  const { axes, sizes = {} } = parseAxes(text)
  return [...axes, ...Object.values(sizes)]
}

/** Names that axes get within an expression. */
function renamedIn(expression: Expression): string[] {
  const inner = subexpressionsOf(expression).flatMap(renamedIn)
  return expression.kind === 'rename' ? [...inner, expression.to] : inner
}
