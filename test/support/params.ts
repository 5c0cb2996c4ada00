/** The values of the parameters that select a formula: each one alone, and combined. */
import type { TSchema } from '@sinclair/typebox'
import type { DependsOnParam, Loss, Params } from '../../src/losses/define.ts'

/**
 * Every combination of a loss's words and booleans. Numeric parameters keep their defaults. Combinations that the
 * service refuses, because a parameter has no effect with the others, are left out.
 *
 * @example
 * choicesOf(hinge) // [{ labels: 'pm1' }, { labels: '01' }]
 */
export function choicesOf({ params }: Pick<Loss, 'params'>): Params[] {
  const schemas = Object.entries(params.properties)
  const all = schemas.reduce<Params[]>(
    (choices, [name, schema]) => {
      const values = valuesOf(schema)
      return values.length === 0
        ? choices
        : choices.flatMap((choice) => values.map((value) => ({ ...choice, [name]: value })))
    },
    [{}],
  )
  return all.filter((choice) => schemas.every(([name, schema]) => hasEffect(schema, name, choice)))
}

function hasEffect(schema: TSchema, name: string, choice: Params): boolean {
  const only = schema.onlyWith as DependsOnParam | undefined
  const chosen = only && choice[only.param]
  if (chosen === undefined || choice[name] === undefined || choice[name] === schema.default) return true
  return only!.values.includes(chosen as string | boolean)
}

/** What a parameter needs of another one to have an effect. */
export function companyOf({ onlyWith }: TSchema): Params {
  return onlyWith === undefined ? {} : { [onlyWith.param]: onlyWith.values[0] }
}

/** The words of a parameter, or true and false; none for a number. */
function valuesOf(schema: TSchema): (string | boolean)[] {
  if (schema.type === 'boolean') return [false, true]
  const parts: readonly TSchema[] = schema.anyOf ?? []
  return parts.map((part) => part.const).filter((word): word is string => typeof word === 'string')
}
