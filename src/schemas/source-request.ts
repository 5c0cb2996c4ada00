/** What a request wants to have written: the options of a source, from a query or a body, checked for one loss and target. */
import { cut, Problem, pointerToken, problemAt } from '../errors.ts'
import { ANONYMOUS } from '../losses/custom.ts'
import { expandLoss, type Loss, type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import { didYouMean } from '../nearest.ts'
import { CannotWrite, InvalidName, type SourceRequest, type Target } from '../sources/contract.ts'
import type { Precision } from '../tensor.ts'
import { checkDefinition, formulaProblem } from './definition.ts'
import { definitionOfFormula } from './formula-source.ts'
import { jsonObject, parsedJson } from './json-parameter.ts'
import { checkParams } from './unknown-names.ts'

/**
 * The members of a request for a source that are not columns. Columns are members of their own in a query, and those of
 * `columns` in a body.
 */
export const SOURCE_OPTIONS = [
  'dialect',
  'table',
  'params',
  'precision',
  'gradients',
  'optional',
  'per_class',
  'name',
] as const

export type SourceAsk = Readonly<Record<string, unknown>>

/** @throws Problem `unknown-target`, with the list */
export function findTarget(targets: readonly Target[], name: string): Target {
  const found = targets.find((target) => target.name === name)
  if (found !== undefined) return found
  const names = targets.map((target) => target.name)
  const detail = `there is no target "${cut(name)}"; targets are ${names.join(', ')}${didYouMean(name, names)}`
  throw new Problem('unknown-target', detail)
}

/** @throws Problem */
export function sourceRequest(resolved: ResolvedLoss, target: Target, ask: SourceAsk): SourceRequest {
  const { loss } = resolved
  const given = ask.params === undefined ? {} : jsonObject(ask.params, '/params')
  const params = checkParams(resolved, given)
  const { inputs } = expandLoss(loss, params)
  checkMembers(loss, target, inputs, ask)
  const columns = columnsOf(inputs, ask.columns === undefined ? ask : jsonObject(ask.columns, '/columns'))
  const gradients = names(ask, 'gradients', inputs, (name) => inputs[name].differentiable)
  return {
    loss,
    params,
    optional: names(ask, 'optional', inputs, (name) => inputs[name].optional) ?? [],
    perClass: names(ask, 'per_class', inputs, (name) => inputs[name].perClass) ?? [],
    ...(gradients === undefined ? {} : { gradients }),
    options: {
      precision: precisionOf(target, ask),
      dialect: dialectOf(target, ask),
      table: text(ask, 'table') ?? 't',
      columns,
      ...nameOf(ask),
    },
  }
}

/** @throws Problem `unknown-name` */
function checkMembers(loss: Loss, { family, name }: Target, inputs: Loss['inputs'], ask: SourceAsk) {
  const known = family === 'sql' ? [...SOURCE_OPTIONS, 'columns', ...Object.keys(inputs)] : SOURCE_OPTIONS
  const strange = Object.keys(ask).find((member) => !(known as readonly string[]).includes(member))
  if (strange === undefined) return
  const isInput = Object.hasOwn(loss.inputs, strange)
  const detail = isInput
    ? `names columns, which ${name} does not have`
    : `is not an option of a source: ${known.join(', ')}${didYouMean(strange, known)}`
  throw problemAt('unknown-name', `/${pointerToken(strange)}`, detail)
}

function text(ask: SourceAsk, member: string): string | undefined {
  const value = ask[member]
  if (value === undefined || typeof value === 'string') return value
  throw problemAt('invalid-value', `/${member}`, 'must be a string')
}

/** `a,b`, or a list. */
function list(value: unknown, pointer: string): string[] {
  const items = typeof value === 'string' && value.startsWith('[') ? parsedJson(value, pointer) : value
  if (typeof items === 'string') return items.split(',').filter((item) => item !== '')
  if (Array.isArray(items) && items.every((item) => typeof item === 'string')) return items
  throw problemAt(
    'invalid-value',
    pointer,
    'must be names with commas between them, or a JSON array of names',
  )
}

function names(
  ask: SourceAsk,
  member: string,
  inputs: Loss['inputs'],
  fits: (name: string) => boolean,
): string[] | undefined {
  if (ask[member] === undefined) return undefined
  const given = list(ask[member], `/${member}`)
  const possible = Object.keys(inputs).filter(fits)
  const wrong = given.find((name) => !possible.includes(name))
  if (wrong === undefined) return given
  const has = possible.length === 0 ? 'no input can be named here' : `possible are ${possible.join(', ')}`
  throw problemAt(
    'unknown-name',
    `/${member}`,
    `"${cut(wrong)}" cannot be named here; ${has}${didYouMean(wrong, possible)}`,
  )
}

function columnsOf(inputs: Loss['inputs'], ask: SourceAsk | object): Record<string, string[]> {
  const given = Object.keys(inputs).filter((name) => Object.hasOwn(ask, name))
  const columns = given.map((name) => {
    const pointer = `/${pointerToken(name)}`
    const own = list((ask as SourceAsk)[name], pointer)
    if (own.length === 0) throw problemAt('invalid-value', pointer, 'must name at least one column')
    return [name, own] as const
  })
  return Object.fromEntries(columns)
}

function precisionOf({ precisions, name }: Target, ask: SourceAsk): Precision {
  const wanted = text(ask, 'precision') ?? precisions[0]
  const found = precisions.find((precision) => precision === wanted)
  if (found !== undefined) return found
  throw problemAt(
    'invalid-value',
    '/precision',
    `${name} is written in ${precisions.join(' or ')}, not in ${cut(wanted)}`,
  )
}

function dialectOf({ dialects, name }: Target, ask: SourceAsk): string {
  const wanted = text(ask, 'dialect') ?? dialects[0] ?? ''
  if (dialects.includes(wanted) || (wanted === '' && dialects.length === 0)) return wanted
  const has = dialects.length === 0 ? `${name} has no dialects` : `dialects are ${dialects.join(', ')}`
  throw new Problem(
    'unknown-target',
    `there is no dialect "${cut(wanted)}" of ${name}; ${has}${didYouMean(wanted, dialects)}`,
  )
}

const IDENTIFIER = /^[A-Za-z][A-Za-z0-9_]{0,63}$/

function nameOf(ask: SourceAsk): { name?: string } {
  const name = text(ask, 'name')
  if (name === undefined) return {}
  if (IDENTIFIER.test(name)) return { name }
  throw problemAt(
    'invalid-value',
    '/name',
    'must be an identifier: letters, digits and _, beginning with a letter',
  )
}

/** A refusal of a writer as a problem of the request. Any other error is returned as it is. */
export function sourceProblem(error: unknown, loss: Loss, { name, family }: Target): unknown {
  if (error instanceof InvalidName) {
    const pointer = `/${pointerToken(error.of)}`
    return problemAt('invalid-value', pointer, error.message)
  }
  if (!(error instanceof CannotWrite)) return formulaProblem(error, '', { formula: loss.formula.source })
  const { op, why, at } = error
  const place = at === undefined ? '' : `, line ${at.line}, column ${at.column} of the formula`
  const detail = `${loss.name} cannot be written as ${family === 'sql' ? 'SQL' : name}: ${op}${place}: ${why}`
  const places = at === undefined ? {} : { line: at.line, column: at.column }
  return new Problem('cannot-write', detail, {
    errors: [{ pointer: '/formula', detail: `${op}: ${why}`, ...places }],
  })
}

/** The loss of a body with a definition or a formula, and its other members. */
export function inlineSource(body: unknown): { readonly resolved: ResolvedLoss; readonly rest: SourceAsk } {
  const { definition, formula, axes, ...rest } = jsonObject(body, '') as Record<string, unknown>
  if ((definition === undefined) === (formula === undefined)) {
    const detail = 'send either a formula or a definition'
    throw problemAt('missing-input', definition === undefined ? '/formula' : '/definition', detail)
  }
  if (definition !== undefined)
    return { resolved: withoutPreset(checkDefinition(definition, '/definition', ANONYMOUS)), rest }
  const document = definitionOfFormula({ formula, params: rest.params, axes })
  return { resolved: withoutPreset(checkDefinition(document, '', ANONYMOUS)), rest }
}
