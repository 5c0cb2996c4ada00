/** Warnings about custom losses, as responses contain them. */
import { Type } from '@sinclair/typebox'

export const WarningSchema = Type.Object(
  {
    pointer: Type.String({ description: 'JSON pointer into the definition.' }),
    line: Type.Integer(),
    column: Type.Integer(),
    detail: Type.String(),
  },
  { additionalProperties: false, description: 'A place in a formula that is valid, but cannot be meant.' },
)
