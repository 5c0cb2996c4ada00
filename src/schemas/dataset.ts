/** Datasets that callers have uploaded. */
import { Type } from '@sinclair/typebox'

const closed = { additionalProperties: false } as const

export const DatasetSchema = Type.Object(
  {
    id: Type.String(),
    format: Type.String({ examples: ['parquet'] }),
    bytes: Type.Number(),
    digest: Type.String({ description: 'The content: `sha256:` and 64 hexadecimal digits.' }),
    created: Type.String({ format: 'date-time' }),
    expires: Type.String({ format: 'date-time', description: 'When it will be deleted.' }),
  },
  closed,
)

export const DatasetList = Type.Object({ datasets: Type.Array(DatasetSchema) }, closed)
export const RemovedDataset = Type.Object({ removed: Type.Boolean() }, closed)
