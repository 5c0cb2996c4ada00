import type { FormatDefinition } from './define.ts'

export default {
  name: 'json',
  title: 'JSON lines',
  extensions: ['.jsonl', '.ndjson'],
  mediaTypes: ['application/jsonl', 'application/x-ndjson', 'application/x-jsonlines'],
  reader: { sql: "read_json($1, format = 'newline_delimited')", hasPlaces: false },
} satisfies FormatDefinition
