import type { FormatDefinition } from './define.ts'

export default {
  name: 'csv',
  title: 'CSV',
  extensions: ['.csv', '.tsv'],
  mediaTypes: ['text/csv', 'text/tab-separated-values'],
  reader: { sql: 'read_csv($1)', hasPlaces: false },
} satisfies FormatDefinition
