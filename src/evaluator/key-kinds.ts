/**
 * The files of an evaluation agree on what a key is. Each file says on its own which type a column has, and CSV has it
 * guessed from the cells: 1 would be a number in one file and a text in another, and two slices with one name.
 */
import { cut, Problem } from '../errors.ts'
import {
  type Column,
  type ColumnKind,
  type Database,
  type DataFile,
  formatOf,
  placeOfColumn,
} from './database.ts'
import { hasPlaces } from './formats/index.ts'

/** A key in one of the files. */
interface Key {
  readonly file: DataFile
  readonly columns: readonly Column[]
  readonly place: number
}

const NAMES: Readonly<Record<ColumnKind, string>> = {
  number: 'numbers',
  boolean: 'booleans',
  text: 'texts',
  list: 'lists',
  other: 'values',
}

/** @throws Problem if the values of a key are of several kinds. Integers and other numbers are of one. */
export async function checkKeyKinds(
  names: readonly string[],
  files: readonly DataFile[],
  database: Database,
): Promise<void> {
  if (names.length === 0 || files.length === 1) return
  const keys = new Map<string, Key[]>(names.map((name) => [name, []]))
  for (const file of files) {
    const columns = await database.columns(file)
    for (const name of names)
      keys.get(name)!.push({ file, columns, place: placeOfColumn(file, columns, name) })
  }
  for (const [name, own] of keys) await checkKey(name, own, database)
}

async function checkKey(name: string, keys: readonly Key[], database: Database) {
  if (new Set(keys.map((key) => columnOf(key).kind)).size === 1) return
  let first: Key | undefined
  for (const key of keys) {
    if (first !== undefined && columnOf(key).kind === columnOf(first).kind) continue
    // Where all cells are empty, the type says nothing.
    if (!(await hasValues(key, database))) continue
    if (first !== undefined) throw mixed(name, first, key)
    first = key
  }
}

async function hasValues({ file, columns, place }: Key, database: Database): Promise<boolean> {
  const query = ` SELECT 1 FROM file WHERE c${place} IS NOT NULL LIMIT 1`
  return (await database.rows(file, columns, query)).length > 0
}

function mixed(name: string, first: Key, other: Key): Problem {
  const [one, two] = [first, other].map((key) => {
    const { kind, type } = columnOf(key)
    return `${NAMES[kind]} (${type}) in ${key.file.name}`
  })
  // Formats of texts are those without places of rows.
  const isGuessed = [first, other].some(({ file }) => !hasPlaces(formatOf(file)))
  const how = isGuessed
    ? 'make it text in all files, such as in Parquet: types of CSV and JSON are guessed from the values'
    : 'write it with one type in all files'
  return new Problem('invalid-value', `the column "${cut(name)}" has ${one} and ${two}; ${how}`)
}

function columnOf({ columns, place }: Key): Column {
  return columns[place]
}
