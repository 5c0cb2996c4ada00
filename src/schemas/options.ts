/**
 * Validates everything that is not a tensor: options and parameters, with their TypeBox schemas. Nothing is
 * coerced.
 */
import type { TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { Problem, problemAt } from '../errors.ts'
import type { DependsOnParam, Kind, Loss, Params, PresetName, ResolvedLoss } from '../losses/define.ts'
import { dividesByDenominator, type Reduction } from '../losses/reduction.ts'
import type { Dtype } from '../tensor.ts'
import { expectationMessage, throwFirstFault } from './expectation.ts'
import { type NonfinitePolicy, type OptionName, OptionSchemas } from './request.ts'

/** The plain members of a request with their defaults. */
export interface RequestOptions {
  readonly preset: PresetName | undefined
  readonly params: Params
  readonly reduction: Reduction
  readonly gradients: boolean | readonly string[]
  readonly hessian: 'none' | 'diagonal'
  readonly hessianFloor: number | undefined
  readonly layout: 'row' | 'class_major'
  readonly denominator: number | undefined
  readonly nonfinite: NonfinitePolicy
  readonly explain: boolean
  readonly gradientDtype: Dtype | undefined
}

/**
 * @param resolved the loss; the names of its parameters have already been checked by unknown-names.ts
 * @throws Problem `invalid-value`, `param-invalid`
 */
export function checkOptions(resolved: ResolvedLoss, given: ReadonlyMap<string, unknown>): RequestOptions {
  const option = <T>(name: OptionName, fallback: T): T =>
    (checkOption(given, name) as T | undefined) ?? fallback
  const { loss } = resolved
  const preset = checkPreset(resolved, option<PresetName | undefined>('preset', undefined))
  const framework = preset === undefined ? undefined : loss.presets[preset]
  const implied = { ...framework?.params, ...resolved.params }
  const options: RequestOptions = {
    preset,
    params: checkParams(loss, implied, option<object>('params', {})),
    reduction: option<Reduction>('reduction', framework?.reduction ?? 'mean'),
    gradients: option<boolean | readonly string[]>('gradients', true),
    hessian: option<'none' | 'diagonal'>('hessian', 'none'),
    hessianFloor: option<number | undefined>('hessian_floor', undefined),
    layout: option<'row' | 'class_major'>('layout', 'row'),
    denominator: option<number | undefined>('denominator', undefined),
    nonfinite: option<NonfinitePolicy>('nonfinite', 'propagate'),
    explain: option<boolean>('explain', false),
    gradientDtype: option<Dtype | undefined>('gradient_dtype', undefined),
  }
  checkCombination(options)
  return options
}

/** The framework whose conventions apply: the one that the request or the loss's name specifies. */
function checkPreset(
  { loss, preset: named }: ResolvedLoss,
  given: PresetName | undefined,
): PresetName | undefined {
  if (given !== undefined && named !== undefined && given !== named) {
    throw problemAt('invalid-value', '/preset', `contradicts the name of the loss, which is that of ${named}`)
  }
  const preset = given ?? named
  if (preset === undefined || loss.presets[preset] !== undefined) return preset
  const known = Object.keys(loss.presets)
  const has = known.length === 0 ? 'has no presets' : `has the presets ${known.join(', ')}`
  throw problemAt('invalid-value', '/preset', `${loss.name} ${has}; ${preset} has no such loss`)
}

function checkOption(given: ReadonlyMap<string, unknown>, name: OptionName): unknown {
  if (!given.has(name)) return undefined
  const value = given.get(name)
  if (name === 'params') return checkIsObject(value)
  const schema = OptionSchemas[name]
  if (!Value.Check(schema, value)) throwFirstFault(schema, value, `/${name}`)
  return value
}

function checkIsObject(value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw problemAt('invalid-value', '/params', expectationMessage(OptionSchemas.params, value))
}

function checkCombination({
  denominator,
  reduction,
  gradientDtype,
  gradients,
  hessian,
  hessianFloor,
}: RequestOptions) {
  if (hessianFloor !== undefined && hessian === 'none') {
    throw problemAt('invalid-value', '/hessian_floor', 'requires hessian diagonal')
  }
  if (hessian === 'diagonal' && gradients === false) {
    throw problemAt('invalid-value', '/hessian', 'requires gradients, but gradients is false')
  }
  if (denominator !== undefined && !dividesByDenominator(reduction)) {
    throw problemAt('invalid-value', '/denominator', `requires reduction mean, got ${reduction}`)
  }
  if (gradientDtype !== undefined && gradients === false) {
    throw problemAt('invalid-value', '/gradient_dtype', 'requires gradients, but gradients is false')
  }
  if (gradientDtype !== undefined && !/float/.test(gradientDtype)) {
    throw problemAt(
      'invalid-value',
      '/gradient_dtype',
      `must be a floating-point dtype, got ${gradientDtype}`,
    )
  }
}

/** Fills in the defaults and rejects values that are out of range, reporting all faults at once. */
function checkParams(loss: Loss, implied: object, given: object): Params {
  const schemas = loss.params.properties
  const values: Readonly<Record<string, unknown>> = { ...implied, ...given }
  const resolved = Object.entries(schemas).map(([name, schema]) => {
    return [name, Object.hasOwn(values, name) ? spelledOut(schema, values[name]) : schema.default] as const
  })
  const errors = resolved
    .filter(
      ([name, value]) =>
        !(schemas[name].infinite === true && isInfinite(value)) && !Value.Check(schemas[name], value),
    )
    .map(([name, value]) => ({
      pointer: `/params/${name}`,
      detail: expectationMessage(schemas[name], value),
    }))
  if (errors.length > 0)
    throw new Problem('param-invalid', `${errors[0].pointer}: ${errors[0].detail}`, { errors })
  const params = Object.fromEntries(resolved) as Params
  for (const name of Object.keys(given)) checkHasEffect(schemas[name], name, params)
  return params
}

/** JSON cannot represent infinities. If a parameter may be infinite, they are written as strings, as in tensors. */
function spelledOut(schema: TSchema, value: unknown): unknown {
  return (schema.infinite === true ? INFINITIES.get(value) : undefined) ?? value
}

const INFINITIES: ReadonlyMap<unknown, number> = new Map([
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
])

/** Infinities are accepted only as these strings, and only where they are allowed. */
function isInfinite(value: unknown): boolean {
  return value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
}

/** A parameter that the request specifies must not be silently ignored, unless it has its default value anyway. */
function checkHasEffect(schema: TSchema, name: string, params: Params) {
  const only = schema.onlyWith as DependsOnParam | undefined
  if (only === undefined || params[name] === schema.default || !Object.hasOwn(params, only.param)) return
  checkGoesWith(name, only, params[only.param] as string | boolean)
}

/**
 * The same for parameters that have an effect only with an input of a certain kind, or with an option.
 *
 * @param given the parameters that the request specifies
 * @param read returns the kind that an input was interpreted as
 * @throws Problem `param-invalid`
 */
export function checkConditionalParams(
  { params: { properties }, inputs }: Loss,
  { params, layout }: RequestOptions,
  given: object,
  read: (input: string) => Kind,
) {
  for (const name of Object.keys(given)) {
    if (params[name] === properties[name].default) continue
    const only = properties[name].onlyWith as DependsOnParam | undefined
    if (only !== undefined && Object.hasOwn(inputs, only.param)) checkGoesWith(name, only, read(only.param))
    if (name === 'class_axis') checkGoesWith(name, { param: 'layout', values: ['row'] }, layout)
  }
}

function checkGoesWith(name: string, { param, values }: DependsOnParam, found: string | boolean) {
  if (values.includes(found)) return
  const detail = `has no effect with ${param} ${found}; it requires ${param} ${values.join(' or ')}`
  throw problemAt('param-invalid', `/params/${name}`, detail)
}
