/** Exports as JSON Lines: one JSON object per line. Lines of an import are validated. */
import { type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ExportRecord, ImportRefused, type LossStore } from './contract.ts'

/** A line of an import is invalid. The message begins with the line number. */
export class LineRefused extends Error {
  override readonly name = 'LineRefused'

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`)
  }
}

const WORD = Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' })
const HASH = Type.String({ pattern: '^[0-9a-f]{64}$' })
const TIME = Type.String({ pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$` })
const NUMBER = Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })
const orNull = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()])
const closed = { additionalProperties: false }

const RECORDS = {
  loss: TypeCompiler.Compile(
    Type.Object(
      {
        kind: Type.Literal('loss'),
        namespace: WORD,
        name: WORD,
        latest: orNull(NUMBER),
        numbered: NUMBER,
        retired: orNull(TIME),
      },
      closed,
    ),
  ),
  version: TypeCompiler.Compile(
    Type.Object(
      {
        kind: Type.Literal('version'),
        namespace: WORD,
        name: WORD,
        version: NUMBER,
        id: HASH,
        digest: HASH,
        document: Type.String({ minLength: 1 }),
        created: TIME,
        createdBy: orNull(Type.String()),
      },
      closed,
    ),
  ),
}

/** Everything in the store, as lines without line terminators. */
export async function* exportLines(store: LossStore): AsyncGenerator<string> {
  for await (const record of store.export()) yield JSON.stringify(record)
}

/**
 * Adds what the store does not have yet, in one transaction.
 *
 * @returns how many versions are new
 * @throws LineRefused if a line is invalid or conflicts with what is stored
 */
export async function importLines(store: LossStore, lines: AsyncIterable<string>): Promise<number> {
  const records: ExportRecord[] = []
  const numbers: number[] = []
  let number = 0
  for await (const line of lines) {
    number++
    if (isForeign(line)) continue
    records.push(parseLine(line, number))
    numbers.push(number)
  }
  try {
    return await store.import(records)
  } catch (error) {
    throw error instanceof ImportRefused ? new LineRefused(numbers[error.index]!, error.message) : error
  }
}

/** An empty line, or one of the lines that npm prints before the output of a script. */
function isForeign(line: string): boolean {
  return line.trim() === '' || line.startsWith('> ')
}

function parseLine(line: string, number: number): ExportRecord {
  const record = parse(line, number)
  const { kind } = (record ?? {}) as { kind?: unknown }
  if (kind !== 'loss' && kind !== 'version') throw new LineRefused(number, 'not a record of an export')
  const fault = RECORDS[kind].Errors(record).First()
  if (fault !== undefined) throw new LineRefused(number, `${fault.path.slice(1)}: ${fault.message}`)
  const known = record as ExportRecord
  if (known.kind === 'version') parse(known.document, number)
  return known
}

function parse(text: string, number: number): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new LineRefused(number, 'not valid JSON')
  }
}
