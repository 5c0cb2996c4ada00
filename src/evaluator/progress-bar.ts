/** One line that is written over: a bar, rows per second, and the time that is left. */
import { count } from '../evaluation/text-table.ts'
import type { Progress } from './evaluate.ts'

/** Where the bar is drawn, if a person looks. */
export interface Screen {
  readonly note: (text: string) => void
  readonly isInteractive: boolean
}

const CLEAR_LINE = '\r\x1b[K'
const REDRAW_MS = 100

export class ProgressBar {
  readonly #screen: Screen
  #started = performance.now()
  #drawn = 0

  constructor(screen: Screen) {
    this.#screen = screen
  }

  show({ rows, total }: Progress, unit = 'rows'): void {
    const now = performance.now()
    if (!this.#screen.isInteractive || now - this.#drawn < REDRAW_MS) return
    this.#drawn = now
    const seconds = (now - this.#started) / 1000
    const rate = rows / seconds
    this.#screen.note(
      `${CLEAR_LINE}${barOf(rows, total, unit)}${count(Math.round(rate))} ${unit}/s${timeLeft(rows, total, rate)}`,
    )
  }

  /** Also starts anew, for what comes next. */
  clear(): void {
    if (this.#drawn > 0) this.#screen.note(CLEAR_LINE)
    this.#started = performance.now()
  }
}

function barOf(rows: number, total: number | undefined, unit: string): string {
  if (total === undefined || total === 0) return `${count(rows)} ${unit}, `
  const width = 24
  const share = Math.min(1, rows / total)
  const bar = '#'.repeat(Math.round(width * share)).padEnd(width, '.')
  return `[${bar}] ${Math.floor(share * 100)} % of ${count(total)} ${unit}, `
}

function timeLeft(rows: number, total: number | undefined, rate: number): string {
  return total === undefined ? '' : `, ${Math.ceil(Math.max(0, total - rows) / rate)} s left`
}
