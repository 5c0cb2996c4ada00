/** The columns of the rows with the largest losses, which are read once more. */
import type { Evaluation, LossReport, WorstReport } from '../evaluation/result.ts'
import { type Database, type DataFile, formatOf, unreadable } from './database.ts'
import { hasPlaces } from './formats/index.ts'

/** Columns that are shown of a row, and characters of each. */
const [MOST_COLUMNS, MOST_TEXT] = [12, 60]

/** The answer, with the columns of its worst rows. Rows of texts cannot be found again quickly. */
export async function readWorst(
  answer: Evaluation,
  files: readonly DataFile[],
  database: Database,
): Promise<Evaluation> {
  const losses: LossReport[] = []
  for (const report of answer.losses)
    losses.push(
      report.worst === undefined ? report : { ...report, worst: await filled(report.worst, files, database) },
    )
  return { ...answer, losses }
}

async function filled(
  worst: readonly WorstReport[],
  files: readonly DataFile[],
  database: Database,
): Promise<WorstReport[]> {
  const found = new Map<string, Record<string, unknown>>()
  for (const file of files) {
    const rows = worst.filter((one) => one.file === file.name).map(({ row }) => row)
    if (!hasPlaces(formatOf(file)) || rows.length === 0) continue
    for (const [row, values] of await rowsOf(file, rows, database)) found.set(`${file.name} ${row}`, values)
  }
  return worst.map((one) => {
    const values = found.get(`${one.file} ${one.row}`)
    return values === undefined ? one : { ...one, values }
  })
}

async function rowsOf(
  file: DataFile,
  rows: readonly number[],
  database: Database,
): Promise<[number, Record<string, unknown>][]> {
  const columns = await database.columns(file)
  const shown = columns.slice(0, MOST_COLUMNS)
  const names = shown.map((_, place) => `CAST(c${place} AS VARCHAR)`)
  const query = ` SELECT CAST(place AS DOUBLE), ${names.join(', ')} FROM file`
  const isParquet = 'sql' in formatOf(file).reader
  const found: [number, Record<string, unknown>][] = []
  try {
    // Parquet looks for all of them at once; in other files, each is where it is.
    for (const some of isParquet ? [rows] : rows.map((row) => [row])) {
      const where = isParquet ? ` WHERE place IN (${some.join(', ')})` : ''
      const range = isParquet ? undefined : ([some[0], some[0] + 1] as const)
      for (const [place, ...values] of await database.rows(file, columns, query + where, { range }))
        found.push([
          Number(place),
          Object.fromEntries(
            shown.map(({ name, kind }, i) => [name, shownValue(values[i] as string | null, kind)]),
          ),
        ])
    }
    return found
  } catch (error) {
    throw unreadable(file, error)
  }
}

function shownValue(text: string | null, kind: string): string | number | null {
  if (text === null) return null
  if (kind === 'number') return isExact(text) ? Number(text) : text
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}...` : text
}

/** Integers that no double holds, such as identifiers, stay as they are. */
function isExact(text: string): boolean {
  return !/^-?\d+$/.test(text) || Number.isSafeInteger(Number(text))
}
