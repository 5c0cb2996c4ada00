/** The rows of a part of a Parquet file, read without DuckDB. */
import { closeSync } from 'node:fs'
import type { State } from '../../evaluation/state.ts'
import type { Source } from '../formats/define.ts'
import { openFile } from '../formats/file-bytes.ts'
import type { Plan } from '../plan.ts'
import type { BlockArrays, RowSource } from '../rows.ts'
import { ColumnReader } from './column-reader.ts'
import { NotReadHere, type ParquetColumn, type ParquetFooter, type RowGroup } from './footer.ts'
import { ClusterReader, SliceReader } from './keys.ts'
import { CODECS } from './pages.ts'

/** What can be a number, and what can be a key. */
const NUMBERS: ReadonlySet<string> = new Set([
  'DOUBLE',
  'FLOAT',
  'BOOLEAN',
  ...['', 'U'].flatMap((sign) => ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT'].map((type) => sign + type)),
])
const KEYS: ReadonlySet<string> = new Set([...NUMBERS, 'VARCHAR', 'DATE'])

export interface ParquetPart extends Source {
  readonly footer: ParquetFooter
  readonly range: readonly [number, number]
}

/** The columns that a plan reads, in the order of the plan: numbers, then slices, then the cluster. */
interface Columns {
  readonly numbers: readonly ParquetColumn[]
  readonly by: readonly ParquetColumn[]
  readonly cluster: ParquetColumn | undefined
}

/**
 * @param before the source of another part, which has ended, and whose memory is used again
 * @returns undefined if the plan needs a column that is not read here
 */
export function parquetSource(
  plan: Plan,
  part: ParquetPart,
  state: State,
  rows: number,
  before?: ParquetSource,
): ParquetSource | undefined {
  const columns = columnsFor(plan, part.footer)
  if (columns === undefined) return undefined
  const groups = groupsIn(part)
  const used = [...columns.numbers, ...columns.by, columns.cluster ?? []].flat()
  const isKnown = groups.every(({ chunks }) => used.every(({ leaf }) => CODECS.includes(chunks[leaf].codec)))
  return isKnown ? new ParquetSource(plan, part, groups, columns, state, rows, before) : undefined
}

/** Whether the columns of a plan can be read here, as far as the footer tells. */
export function isReadHere(plan: Plan, footer: ParquetFooter): boolean {
  return columnsFor(plan, footer) !== undefined
}

function columnsFor(plan: Plan, { columns }: ParquetFooter): Columns | undefined {
  const find = (name: string) => columns.find((column) => column.name === name)
  const numbers = plan.columns.map(({ name, width }) => {
    const column = find(name)
    const element = column?.type?.replace('[]', '')
    const isFit =
      column !== undefined && column.isList === (width !== undefined) && NUMBERS.has(element ?? '')
    return isFit && !(column.isList && element === 'BOOLEAN') ? column : undefined
  })
  const key = (name: string) => {
    const column = find(name)
    return KEYS.has(column?.type ?? '') ? column : undefined
  }
  const by = plan.by.map(key)
  const cluster = plan.cluster === undefined ? undefined : key(plan.cluster)
  if ([...numbers, ...by].includes(undefined) || (plan.cluster !== undefined && cluster === undefined))
    return undefined
  return { numbers: numbers as ParquetColumn[], by: by as ParquetColumn[], cluster }
}

/** The row groups of a part, which begins and ends with one. */
function groupsIn({ footer, range: [first, last] }: ParquetPart): RowGroup[] {
  let row = 0
  return footer.groups.filter(({ rows }) => {
    row += rows
    return row > first && row <= last
  })
}

export class ParquetSource implements RowSource {
  readonly #plan: Plan
  readonly #file: number
  readonly #groups: RowGroup[]
  readonly #columns: Columns
  readonly #slices: SliceReader
  readonly #cluster: ClusterReader | undefined
  /** Rows of the row group that were not yet read. */
  #left = 0
  #readers: ColumnReader[] = []

  constructor(
    plan: Plan,
    source: Source,
    groups: RowGroup[],
    columns: Columns,
    state: State,
    rows: number,
    before: ParquetSource | undefined,
  ) {
    this.#plan = plan
    this.#file = openFile(source)
    this.#groups = groups
    this.#columns = columns
    this.#slices = new SliceReader(state, columns.by, rows)
    if (before !== undefined) this.#readers = before.#readers
    const { cluster } = columns
    if (cluster !== undefined) this.#cluster = new ClusterReader(cluster, plan.request.seed ?? 0, rows)
  }

  read({ data, slices, hashes, onGap }: BlockArrays, at: number, most: number): number {
    while (this.#left === 0) if (!this.#nextGroup()) return 0
    const count = Math.min(most, this.#left)
    const numbers = this.#columns.numbers.length
    for (const [place, { width }] of this.#plan.columns.entries()) {
      const reader = this.#readers[place]
      if (width === undefined) reader.readNumbers(data[place], at, count, (row) => onGap(place, row, 'null'))
      else reader.readLists(data[place], at, count, width, (row, why) => onGap(place, row, why))
    }
    this.#slices.read(this.#readers.slice(numbers, numbers + this.#plan.by.length), slices, at, count)
    if (this.#cluster !== undefined && hashes !== undefined)
      this.#cluster.read(this.#readers.at(-1)!, hashes, at, count)
    this.#left -= count
    return count
  }

  close() {
    closeSync(this.#file)
  }

  #nextGroup(): boolean {
    const group = this.#groups.shift()
    if (group === undefined) return false
    const { numbers, by, cluster } = this.#columns
    this.#left = group.rows
    this.#readers = [...numbers, ...by, ...(cluster === undefined ? [] : [cluster])].map((column, i) => {
      const chunk = group.chunks[column.leaf]
      if (chunk === undefined) throw new NotReadHere()
      return new ColumnReader(this.#file, column, chunk, this.#readers[i])
    })
    return true
  }
}
