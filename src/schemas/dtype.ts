/** The dtypes of tensor.ts as a schema. */
import { Type } from '@sinclair/typebox'
import { DTYPES } from '../tensor.ts'

export const DtypeSchema = Type.Union(
  DTYPES.map((dtype) => Type.Literal(dtype)),
  { description: 'Element type. The default for JSON arrays is float32.' },
)
