/**
 * Evaluation by compiled kernels: DuckDB streams the columns in chunks, they are put together to blocks, and each loss is
 * computed for a block at a time, in float64.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api'
import type { Job } from '../batching/job.ts'
import type { BatchResult, Engine } from '../engines/contract.ts'
import { Problem } from '../errors.ts'
import { placeOf } from '../evaluation/places.ts'
import { hashOfRow } from '../evaluation/random.ts'
import type { SeriesRows } from '../evaluation/series.ts'
import { State } from '../evaluation/state.ts'
import type { Kind } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import type { InputRule } from '../schemas/inputs.ts'
import { copyLists, copyNumbers } from './columns.ts'
import { type Column, type Database, type DataFile, placeOfColumn, unreadable } from './database.ts'
import { EvaluationFailed } from './failure.ts'
import { clusterHashes, SliceFinder } from './keys.ts'
import { decodedOf, type InputPlan, type LossPlan, ownParams, type Plan, plans } from './plan.ts'

/** Rows of a block: 128 KiB for a column of numbers, so that a few of them stay in the processor's cache. */
const BLOCK = 16_384

/** The part of a file that is evaluated at once. */
export interface Part {
  readonly file: DataFile
  /** The place of the file among all files. */
  readonly index: number
  /** Rows of a Parquet file; undefined for all of the file. */
  readonly range: readonly [number, number] | undefined
}

/**
 * The state of the rows of a part.
 *
 * @param onRows is told how many rows were read
 * @throws EvaluationFailed
 */
export async function evaluateWithKernels(
  plan: Plan,
  part: Part,
  database: Database,
  engine: Engine,
  onRows: (rows: number) => void = () => {},
): Promise<State> {
  const columns = await database.columns(part.file)
  const state = new State(plan.state)
  const block = new Block(plan, part, state, engine)
  let next: Promise<DuckDBDataChunk | null> | undefined
  try {
    const result = await database.stream(part.file, columns, queryOf(plan, part.file, columns), part.range)
    next = result.fetchChunk()
    for (let chunk = await next; chunk !== null && chunk.rowCount > 0; chunk = await next) {
      // DuckDB reads the next chunk meanwhile.
      next = result.fetchChunk()
      await block.add(chunk)
      onRows(chunk.rowCount)
    }
  } catch (error) {
    // The database must not be closed while it reads.
    await next?.catch(() => {})
    throw unreadable(part.file, error)
  }
  await block.flush()
  return state
}

/** The columns that are read, then the keys. */
function queryOf(plan: Plan, file: DataFile, columns: readonly Column[]): string {
  const own = (name: string) => `c${placeOfColumn(file, columns, name)}`
  const numbers = plan.columns.map(
    ({ name, width }) => `CAST(${own(name)} AS ${width === undefined ? 'DOUBLE' : 'DOUBLE[]'})`,
  )
  const keys = [...plan.by, ...(plan.cluster === undefined ? [] : [plan.cluster])].map((name) => {
    const column = columns[placeOfColumn(file, columns, name)]
    if (column.kind === 'number') return `CAST(${own(name)} AS DOUBLE)`
    return column.kind === 'boolean' ? own(name) : `CAST(${own(name)} AS VARCHAR)`
  })
  return ` SELECT ${[...numbers, ...keys].join(', ')} FROM file`
}

/** Rows that are computed together. */
class Block {
  readonly #plan: Plan
  readonly #part: Part
  readonly #state: State
  readonly #engine: Engine
  readonly #finder: SliceFinder
  /** One array for each column. */
  readonly #data: readonly Float64Array[]
  readonly #slices = new Int32Array(BLOCK)
  readonly #hashes: Uint32Array | undefined
  /** Why rows do not count. */
  readonly #bad = new Map<number, string>()
  readonly #structures: readonly object[]
  readonly #byPlaces: readonly number[]
  #rows = 0
  /** The row of the file that the block begins with. */
  #first: number

  constructor(plan: Plan, part: Part, state: State, engine: Engine) {
    this.#plan = plan
    this.#part = part
    this.#state = state
    this.#engine = engine
    this.#finder = new SliceFinder(state)
    this.#data = plan.columns.map(({ width = 1 }) => new Float64Array(BLOCK * width))
    this.#hashes = plan.state.hasBuckets ? new Uint32Array(BLOCK) : undefined
    this.#structures = plan.losses.map(() => ({}))
    this.#byPlaces = plan.by.map((_, i) => plan.columns.length + i)
    this.#first = part.range?.[0] ?? 0
  }

  async add(chunk: DuckDBDataChunk): Promise<void> {
    const rows = chunk.rowCount
    for (let from = 0; from < rows; ) {
      const count = Math.min(rows - from, BLOCK - this.#rows)
      this.#copy(chunk, [from, count])
      from += count
      if (this.#rows === BLOCK) await this.flush()
    }
  }

  async flush(): Promise<void> {
    const rows = this.#rows
    if (rows === 0) return
    const losses: RowLosses[] = []
    for (const [place, loss] of this.#plan.losses.entries())
      losses.push(await this.#compute(loss, rows, this.#structures[place]))
    this.#leaveOutBad(rows)
    const slices = rows === BLOCK ? this.#slices : this.#slices.subarray(0, rows)
    this.#state.add({
      slices,
      hashes: this.#hashes,
      series: this.#plan.series.map((source) =>
        'loss' in source
          ? this.#weighted(losses[source.loss], rows)
          : this.#weighted(difference(losses[source.minuend], losses[source.subtrahend]), rows),
      ),
      rowOf: (i) => this.#placeOf(i),
    })
    this.#first += rows
    this.#rows = 0
    this.#bad.clear()
  }

  #copy(chunk: DuckDBDataChunk, range: readonly [number, number]) {
    const { columns, by, cluster } = this.#plan
    const at = this.#rows
    columns.forEach(({ name, width }, place) => {
      const onGap = (row: number, why: 'null' | number) => {
        this.#data[place].fill(0, row * (width ?? 1), (row + 1) * (width ?? 1))
        this.#mark(row, why === 'null' ? `null in ${name}` : `a list of ${why} in ${name}, not of ${width}`)
      }
      if (width === undefined) copyNumbers(chunk, place, range, this.#data[place], at, onGap)
      else copyLists(chunk, place, range, this.#data[place], at, width, onGap)
    })
    this.#finder.find(chunk, this.#byPlaces, range, this.#slices, at)
    this.#rows += range[1]
    if (this.#hashes === undefined) return
    const { seed = 0 } = this.#plan.request
    if (cluster !== undefined) clusterHashes(chunk, columns.length + by.length, range, this.#hashes, at, seed)
    else for (let i = at; i < this.#rows; i++) this.#hashes[i] = hashOfRow(this.#placeOf(i), seed)
  }

  async #compute(loss: LossPlan, rows: number, structure: object): Promise<RowLosses> {
    const data = new Map(loss.inputs.map((input) => [input.name, this.#inputOf(input, rows)] as const))
    const job = this.#checked(loss, data, rows, rows === BLOCK ? structure : undefined)
    const result = await this.#engine.run({
      ...job,
      inputs: inChunks(job.inputs),
      cotangent: [job.cotangent],
    })
    const found = byRow(loss, result, data, rows)
    this.#markNaN(loss, found.losses, data, rows)
    result.release?.()
    return found
  }

  /** The request that these rows are. Rows that are invalid are marked, and made harmless. */
  #checked(
    loss: LossPlan,
    data: Map<string, Float64Array | Int32Array>,
    rows: number,
    structure: object | undefined,
  ): Job {
    for (let tries = 0; ; tries++) {
      const decoded = decodedOf(loss.inputs, data, rows, ownParams(loss.loss, loss.params), structure)
      try {
        return checkRequest(loss.resolved, decoded, { plans }).job
      } catch (error) {
        const found = tries > rows ? undefined : rowOfProblem(error)
        const input = loss.inputs.find(({ name }) => name === found?.name)
        if (found === undefined || input === undefined) throw error
        const rule = plans(loss.resolved, decoded).inputs.find(({ name }) => name === input.name)
        const reason = `${found.detail.replace(/, got .*$/s, '')} in ${this.#namesOf(input)}`
        this.#mark(found.row, reason, found.detail)
        silence(input, data.get(input.name)!, found.row)
        for (const row of othersLike(rule, input, data.get(input.name)!)) {
          this.#mark(row, reason)
          silence(input, data.get(input.name)!, row)
        }
      }
    }
  }

  #inputOf({ columns, width, isIndex }: InputPlan, rows: number): Float64Array | Int32Array {
    const own = this.#data[columns[0]]
    const data = columns.length > 1 ? this.#sideBySide(columns, rows) : own.subarray(0, rows * (width ?? 1))
    return isIndex ? indices(data) : data
  }

  #sideBySide(columns: readonly number[], rows: number): Float64Array {
    const width = columns.length
    const all = new Float64Array(rows * width)
    columns.forEach((column, place) => {
      const own = this.#data[column]
      for (let i = 0; i < rows; i++) all[i * width + place] = own[i]
    })
    return all
  }

  #weighted({ losses, shares }: RowLosses, rows: number): SeriesRows {
    const { weight } = this.#plan
    if (weight === undefined) return weightedBy(losses, shares)
    const weights = this.#data[weight]
    const values = new Float64Array(rows)
    const weighed = new Float64Array(rows)
    for (let i = 0; i < rows; i++) {
      const share = weights[i] * (shares?.[i] ?? 1)
      weighed[i] = share
      values[i] = share === 0 ? 0 : share * losses[i]
    }
    return { values, shares: weighed, losses }
  }

  /** A NaN in an input or in a weight, or a loss that has no value there. */
  #markNaN(loss: LossPlan, losses: Float64Array, data: ReadonlyMap<string, ArrayLike<number>>, rows: number) {
    for (let i = 0; i < rows; i++) {
      if (!Number.isNaN(losses[i]) || this.#bad.has(i)) continue
      const input = loss.inputs.find(({ name, width = 1 }) => hasNaN(data.get(name)!, i * width, width))
      this.#mark(
        i,
        input === undefined ? `the loss of ${loss.loss.name} is NaN` : `NaN in ${this.#namesOf(input)}`,
      )
    }
  }

  #leaveOutBad(rows: number) {
    this.#markWeights(rows)
    for (const [row, reason] of this.#bad) {
      this.#slices[row] = -1
      this.#state.addBad(reason, this.#placeOf(row))
    }
  }

  #markWeights(rows: number) {
    const { weight, columns } = this.#plan
    if (weight === undefined) return
    const data = this.#data[weight]
    for (let i = 0; i < rows; i++)
      if (!(data[i] >= 0 && data[i] < Number.POSITIVE_INFINITY))
        this.#mark(i, `a weight must be a number >= 0 in ${columns[weight].name}`)
  }

  /** @throws EvaluationFailed if the request does not want them to be left out */
  #mark(row: number, reason: string, detail = reason) {
    if (this.#plan.request.onBad !== 'skip') {
      const { file } = this.#part
      throw new EvaluationFailed(
        'bad-rows',
        `${file.name}, row ${this.#first + row}: ${detail}${detail === reason ? '' : ` (${reason})`}; on-bad skip leaves such rows out and counts them`,
      )
    }
    if (!this.#bad.has(row)) this.#bad.set(row, reason)
  }

  #namesOf({ columns }: InputPlan): string {
    return columns.map((place) => this.#plan.columns[place].name).join(', ')
  }

  #placeOf(i: number): number {
    return placeOf(this.#part.index, this.#first + i)
  }
}

/** The loss of each row, and what the row adds to the denominator if that is not 1. */
interface RowLosses {
  readonly losses: Float64Array
  readonly shares: Float64Array | undefined
}

/** The loss of a row is the mean of its values. */
function byRow(
  { loss }: LossPlan,
  { values, denominators }: BatchResult,
  data: ReadonlyMap<string, ArrayLike<number>>,
  rows: number,
): RowLosses {
  const width = values.length / rows
  const lengths = loss.meanPer === undefined ? undefined : data.get(loss.meanPer)
  const losses = width === 1 && values instanceof Float64Array ? values : means(values, rows, width)
  if (lengths !== undefined) for (let i = 0; i < rows; i++) losses[i] /= Math.max(1, lengths[i])
  if (denominators === undefined) return { losses, shares: undefined }
  const shares = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < width; j++) shares[i] += denominators[i * width + j]
    // The mean of the values times their number, over the sum of the denominators.
    losses[i] = shares[i] === 0 ? 0 : (losses[i] * width) / shares[i]
  }
  return { losses, shares }
}

function means(values: ArrayLike<number>, rows: number, width: number): Float64Array<ArrayBuffer> {
  const found = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < width; j++) found[i] += values[i * width + j]
    found[i] /= width
  }
  return found
}

function weightedBy(losses: Float64Array, shares: Float64Array | undefined): SeriesRows {
  if (shares === undefined) return { values: losses, shares, losses }
  return { values: losses.map((loss, i) => (shares[i] === 0 ? 0 : loss * shares[i])), shares, losses }
}

/** Row by row. What the rows add to the denominator is the same for both models: it depends on labels alone. */
function difference(b: RowLosses, a: RowLosses): RowLosses {
  const losses = new Float64Array(b.losses.length)
  for (let i = 0; i < losses.length; i++) losses[i] = b.losses[i] - a.losses[i]
  return { losses, shares: b.shares }
}

/** Whole numbers as int32. Anything else is left for the check of labels to refuse. */
function indices(data: Float64Array): Float64Array | Int32Array {
  const found = new Int32Array(data.length)
  for (let i = 0; i < data.length; i++) {
    found[i] = data[i]
    if (found[i] !== data[i]) return data.slice()
  }
  return found
}

function silence({ width = 1, isIndex }: InputPlan, data: Float64Array | Int32Array, row: number) {
  data.fill(isIndex ? 0 : Number.NaN, row * width, (row + 1) * width)
}

/** Numbers that a kind allows. */
const FITS: Readonly<Partial<Record<Kind, (x: number) => boolean>>> = {
  positive: (x) => x >= 0,
  nonnegative: (x) => x >= 0,
  probability: (x) => x >= 0 && x <= 1,
  simplex: (x) => x >= 0 && x <= 1,
  binary: (x) => x === 0 || x === 1,
  sign: (x) => x === -1 || x === 1,
}

/**
 * Rows that the check would refuse one by one for the same reason: often many, if there is one. Those that this does not
 * find, the check finds.
 */
function othersLike(
  rule: InputRule | undefined,
  { width = 1 }: InputPlan,
  data: Float64Array | Int32Array,
): number[] {
  if (rule === undefined) return []
  const { isIndex, places, ignored, kind } = rule
  const isLabel = (x: number) =>
    (Number.isInteger(x) && x >= 0 && x < (places ?? Number.POSITIVE_INFINITY)) || x === ignored
  const fits = isIndex ? isLabel : FITS[kind]
  if (fits === undefined) return []
  const rows: number[] = []
  for (let i = 0; i < data.length; i++)
    if (!fits(data[i]) && !Number.isNaN(data[i])) rows.push(Math.floor(i / width))
  return rows
}

interface RowProblem {
  readonly name: string
  readonly row: number
  readonly detail: string
}

/** The row that a problem of a request is about: that of its pointer, `/targets/5/2`. */
function rowOfProblem(error: unknown): RowProblem | undefined {
  if (!(error instanceof Problem)) return undefined
  const [place] = error.options.errors ?? []
  const found = /^\/(\w+)\/(\d+)/.exec(place?.pointer ?? '')
  return found === null ? undefined : { name: found[1], row: Number(found[2]), detail: place.detail }
}

function hasNaN(data: ArrayLike<number>, from: number, width: number): boolean {
  for (let i = from; i < from + width; i++) if (Number.isNaN(data[i])) return true
  return false
}

function inChunks(inputs: Job['inputs']): Readonly<Record<string, [Job['inputs'][string]]>> {
  return Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, [data] as [typeof data]]))
}
