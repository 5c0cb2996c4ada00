/** An export as text: one JSON object a line. */
import { type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ExportRecord, ImportRefused, type LossStore } from './contract.ts'

/** A line of an import cannot be used. The message begins with its number. */
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

/** Everything in the store, as lines without their ends. */
export async function* exportLines(store: LossStore): AsyncGenerator<string> {
  for await (const record of store.export()) yield JSON.stringify(record)
}

/**
 * Adds what the store lacks, all of it or nothing.
 *
 * @returns how many versions are new
 * @throws LineRefused when a line cannot be read, or contradicts what is stored
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

/** An empty line, or one with which npm begins what a script prints. */
function isForeign(line: string): boolean {
  return line.trim() === '' || line.startsWith('> ')
}

function parseLine(line: string, number: number): ExportRecord {
  const record = parse(line, number)
  const { kind } = (record ?? {}) as { kind?: unknown }
  if (kind !== 'loss' && kind !== 'version') throw new LineRefused(number, 'it is no line of an export')
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
    throw new LineRefused(number, 'it is not valid JSON')
  }
}
