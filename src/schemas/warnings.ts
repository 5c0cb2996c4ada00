/** The schema of warnings about custom losses in responses. */
import { Type } from '@sinclair/typebox'

export const WarningSchema = Type.Object(
  {
    pointer: Type.String({ description: 'JSON pointer into the definition.' }),
    line: Type.Integer(),
    column: Type.Integer(),
    detail: Type.String(),
  },
  { additionalProperties: false, description: 'A valid expression in a formula that is never finite.' },
)
