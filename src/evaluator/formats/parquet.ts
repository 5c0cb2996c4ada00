import type { FormatDefinition } from './define.ts'

export default {
  name: 'parquet',
  title: 'Parquet',
  extensions: ['.parquet', '.pq'],
  mediaTypes: ['application/vnd.apache.parquet', 'application/x-parquet'],
  magic: 'PAR1',
  reader: { sql: 'read_parquet($1, file_row_number = true)', hasPlaces: true },
} satisfies FormatDefinition
