/** The place of a row among all files, as one number. */

/** More rows than a file has. */
const MOST_ROWS = 2 ** 34

/** @example fileAndRow(placeOf(2, 7)) // { file: 2, row: 7 } */
export function placeOf(file: number, row: number): number {
  return file * MOST_ROWS + row
}

export function fileAndRow(place: number): { readonly file: number; readonly row: number } {
  const file = Math.floor(place / MOST_ROWS)
  return { file, row: place - file * MOST_ROWS }
}
