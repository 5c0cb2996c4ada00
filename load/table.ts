/** Writes Markdown tables. */

/** `undefined` means not measured. */
export type Cell = string | number | undefined

export interface Table {
  readonly title: string
  /** What was measured, and how, in one paragraph. */
  readonly about: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

/** @example markdown({ title: 'Sizes', about: 'By hand.', head: ['name', 'n'], rows: [['a', 1]] }) */
export function markdown({ title, about, head, rows }: Table): string {
  const rule = head.map((_, place) => (rows.some((row) => typeof row[place] === 'string') ? '---' : '--:'))
  const lines = [head, rule, ...rows.map((row) => row.map(printed))].map(
    (cells) => `| ${cells.join(' | ')} |`,
  )
  return [`## ${title}`, '', about, '', ...lines].join('\n')
}

/** Three significant digits: more would be noise. */
function printed(cell: Cell): string {
  if (cell === undefined || Number.isNaN(cell)) return '-'
  if (typeof cell === 'string' || Number.isInteger(cell)) return String(cell)
  return Math.abs(cell) < 100 ? cell.toPrecision(3) : cell.toFixed(0)
}
