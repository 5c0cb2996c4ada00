/** The values of the parameters that select a formula: each one alone, and combined. */
import type { TSchema } from '@sinclair/typebox'
import type { Loss, Params } from '../../src/losses/define.ts'

/**
 * Every combination of a loss's words and booleans. Numeric parameters keep their defaults.
 *
 * @example
 * choicesOf(hinge) // [{ labels: 'pm1' }, { labels: '01' }]
 */
export function choicesOf({ params }: Pick<Loss, 'params'>): Params[] {
  return Object.entries(params.properties).reduce<Params[]>(
    (choices, [name, schema]) => {
      const values = valuesOf(schema)
      return values.length === 0
        ? choices
        : choices.flatMap((choice) => values.map((value) => ({ ...choice, [name]: value })))
    },
    [{}],
  )
}

/** The words of a parameter, or true and false; none for a number. */
function valuesOf(schema: TSchema): (string | boolean)[] {
  if (schema.type === 'boolean') return [false, true]
  const parts: readonly TSchema[] = schema.anyOf ?? []
  return parts.map((part) => part.const).filter((word): word is string => typeof word === 'string')
}
