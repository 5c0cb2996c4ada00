/**
 * Evaluation by compiled kernels: columns are read into blocks of rows, by a reader of our own where it knows how to, by
 * DuckDB otherwise. Each loss is computed for a block at a time, in float64, and added up in WebAssembly.
 */
import type { DuckDBDataChunk } from '@duckdb/node-api'
import type { Job } from '../batching/job.ts'
import type { BatchResult, Engine } from '../engines/contract.ts'
import { Problem } from '../errors.ts'
import { BlockSums } from '../evaluation/block-sums.ts'
import { placeOf } from '../evaluation/places.ts'
import type { SeriesRows } from '../evaluation/series.ts'
import { State, TooManySlices } from '../evaluation/state.ts'
import type { Kind } from '../losses/define.ts'
import { checkRequest } from '../schemas/check.ts'
import type { InputRule } from '../schemas/inputs.ts'
import { copyLists, copyNumbers } from './columns.ts'
import {
  type Column,
  type Database,
  type DataFile,
  placeOfColumn,
  type SomeRows,
  unreadable,
} from './database.ts'
import { EvaluationFailed } from './failure.ts'
import { keyExpression } from './key-values.ts'
import { clusterHashes, SliceFinder } from './keys.ts'
import { DamagedPage } from './parquet/pages.ts'
import { type ParquetSource, parquetSource } from './parquet/source.ts'
import { decodedOf, type InputPlan, type LossPlan, ownParams, type Plan, plans } from './plan.ts'
import type { RowStream, SomeChunk } from './row-stream.ts'
import type { BlockArrays, RowSource } from './rows.ts'

/** Rows of a block: 128 KiB for a column of numbers, so that a few of them stay in the processor's cache. */
const BLOCK = 16_384

/** The part of a file that is evaluated at once. */
export interface Part extends SomeRows {
  readonly file: DataFile
  /** The place of the file among all files. */
  readonly index: number
  /** Rows of a file with places; undefined for all of the file. */
  readonly range: readonly [number, number] | undefined
}

/** How often others get their turn while a file is read without waiting, in ms. */
const TURN_MS = 20

/** Adds up the rows of parts, one part after the other. */
export class KernelRun {
  readonly #plan: Plan
  readonly #database: Database
  /** Parts that are added up, and their rows. */
  #added: { readonly part: Part; readonly rows: number }[] = []
  #state: State
  #block: Block
  /** Of the part before. */
  #source: ParquetSource | undefined

  constructor(plan: Plan, database: Database, engine: Engine) {
    this.#plan = plan
    this.#database = database
    this.#state = new State(plan.state)
    this.#block = new Block(plan, this.#state, engine)
  }

  /**
   * @param onRows is told how many rows were read; fewer than none if they are read once more
   * @throws EvaluationFailed
   */
  async add(part: Part, onRows: (rows: number) => void): Promise<void> {
    let rows = 0
    const count = (more: number) => {
      rows += more
      onRows(more)
    }
    try {
      if (!(await this.#addParquet(part, count))) await this.#addFromDatabase(part, count)
    } catch (error) {
      if (!(error instanceof UnreadableRows)) throw unreadable(part.file, error)
      if (error.cause instanceof DamagedPage) throw unreadable(part.file, error.cause)
      count(-rows)
      // Some of its rows are in the sums already.
      await this.#begin(onRows)
      await this.#addFromDatabase(part, count)
    }
    this.#added.push({ part, rows })
  }

  /** The state of the parts that were added; others begin from nothing. */
  take(): State {
    this.#block.end()
    const state = this.#state
    this.#added = []
    this.#reset()
    return state
  }

  /** Adds the parts that are known to be readable once more, without the one that is not. */
  async #begin(onRows: (rows: number) => void) {
    const before = this.#added
    this.take()
    for (const { part, rows } of before) {
      onRows(-rows)
      await this.add(part, onRows)
    }
  }

  #reset() {
    this.#state = new State(this.#plan.state)
    this.#block.begin(this.#state)
  }

  /** @returns false if this is left to DuckDB, which reads more kinds of files, and says what is wrong with them */
  async #addParquet({ file, range, index }: Part, onRows: (rows: number) => void): Promise<boolean> {
    const footer = this.#database.footer(file)
    if (footer === undefined || range === undefined) return false
    const source = parquetSource(
      this.#plan,
      { path: file.path, root: file.root, footer, range },
      this.#state,
      BLOCK,
      this.#source,
    )
    if (source === undefined) return false
    this.#source = source
    try {
      await this.#addRows({ file, range, index }, source, onRows)
    } finally {
      source.close()
    }
    return true
  }

  async #addFromDatabase(part: Part, onRows: (rows: number) => void) {
    try {
      const columns = await this.#database.columns(part.file)
      const values = valuesOf(this.#plan, part.file, columns)
      const stream = await this.#database.stream(part.file, columns, values, part)
      const source = new DatabaseSource(this.#plan, this.#state, stream)
      try {
        await this.#addRows(part, source, onRows)
      } finally {
        await source.close()
      }
    } catch (error) {
      throw unreadable(part.file, error instanceof UnreadableRows ? error.cause : error)
    }
  }

  async #addRows(part: Part, source: RowSource, onRows: (rows: number) => void) {
    const block = this.#block
    block.enter(part)
    let turn = performance.now()
    for (;;) {
      const rows = await block.fill(source)
      if (rows === 0) return
      await block.flush()
      onRows(rows)
      if (performance.now() - turn < TURN_MS) continue
      await new Promise(setImmediate)
      turn = performance.now()
    }
  }
}

/** The source has failed, and not what was done with its rows. */
class UnreadableRows extends Error {}

/** The columns that are read, then the keys. */
function valuesOf(plan: Plan, file: DataFile, columns: readonly Column[]): string[] {
  const own = (name: string) => `c${placeOfColumn(file, columns, name)}`
  const numbers = plan.columns.map(
    ({ name, width }) => `CAST(${own(name)} AS ${width === undefined ? 'DOUBLE' : 'DOUBLE[]'})`,
  )
  const keys = [...plan.by, ...(plan.cluster === undefined ? [] : [plan.cluster])].map((name) => {
    return keyExpression(file, columns[placeOfColumn(file, columns, name)], own(name))
  })
  return [...numbers, ...keys]
}

/** The chunks of DuckDB. */
class DatabaseSource implements RowSource {
  readonly #plan: Plan
  readonly #stream: RowStream
  readonly #finder: SliceFinder
  readonly #byPlaces: readonly number[]
  #some: SomeChunk | undefined
  /** Rows of the chunk that were read. */
  #done = 0

  constructor(plan: Plan, state: State, stream: RowStream) {
    this.#plan = plan
    this.#stream = stream
    this.#finder = new SliceFinder(state)
    this.#byPlaces = plan.by.map((_, i) => plan.columns.length + i)
  }

  async read(into: BlockArrays, at: number, most: number): Promise<number> {
    if (this.#some === undefined || this.#done === this.#some.rows) {
      this.#some = await this.#stream.read()
      if (this.#some === undefined) return 0
      this.#done = 0
    }
    const { chunk, rows } = this.#some
    const count = Math.min(most, rows - this.#done)
    this.#copy(chunk, [this.#done, count], into, at)
    this.#done += count
    return count
  }

  async close() {
    await this.#stream.close()
  }

  #copy(
    chunk: DuckDBDataChunk,
    range: readonly [number, number],
    { data, slices, hashes, onGap }: BlockArrays,
    at: number,
  ) {
    const { columns, by, request } = this.#plan
    columns.forEach(({ width = 1 }, place) => {
      const own = data[place]
      const onGapHere = (row: number, why: 'null' | number) => {
        own.fill(0, row * width, (row + 1) * width)
        onGap(place, row, why)
      }
      if (columns[place].width === undefined) copyNumbers(chunk, place, range, own, at, onGapHere)
      else copyLists(chunk, place, range, own, at, width, onGapHere)
    })
    this.#finder.find(chunk, this.#byPlaces, range, slices, at)
    if (hashes !== undefined)
      clusterHashes(chunk, columns.length + by.length, range, hashes, at, request.seed ?? 0)
  }
}

/** Rows that are computed together. */
class Block {
  readonly #plan: Plan
  readonly #engine: Engine
  #part: Part | undefined
  #state: State
  #sums: BlockSums
  /** One array for each column. */
  readonly #data: readonly Float64Array[]
  /** Why rows do not count. */
  readonly #bad = new Map<number, string>()
  readonly #structures: readonly object[]
  /** The series of each loss. */
  readonly #places: readonly number[]
  #rows = 0
  /** The row of the file that the block begins with. */
  #first = 0

  constructor(plan: Plan, state: State, engine: Engine) {
    this.#plan = plan
    this.#engine = engine
    this.#state = state
    this.#sums = new BlockSums(state, BLOCK)
    this.#data = plan.columns.map(({ width = 1 }) => new Float64Array(BLOCK * width))
    this.#structures = plan.losses.map(() => ({}))
    this.#places = plan.losses.map((_, i) =>
      plan.series.findIndex((source) => 'loss' in source && source.loss === i),
    )
  }

  /** Rows are added to another state from now on. */
  begin(state: State) {
    this.#state = state
    this.#sums.begin(state)
    this.#rows = 0
    this.#bad.clear()
  }

  /** Rows are those of a part from now on. */
  enter(part: Part) {
    this.#part = part
    this.#first = part.range?.[0] ?? 0
  }

  /**
   * Reads rows until the block is full.
   *
   * @returns how many there are
   * @throws UnreadableRows
   */
  async fill(source: RowSource): Promise<number> {
    const { columns, cluster } = this.#plan
    const into: BlockArrays = {
      data: this.#data,
      slices: this.#sums.slices,
      hashes: cluster === undefined ? undefined : this.#sums.hashes,
      onGap: (column, row, why) => {
        const { name, width } = columns[column]
        this.#mark(row, why === 'null' ? `null in ${name}` : `a list of ${why} in ${name}, not of ${width}`)
      },
    }
    while (this.#rows < BLOCK) {
      const rows = await this.#readFrom(source, into)
      if (rows === 0) break
      this.#rows += rows
    }
    return this.#rows
  }

  async flush(): Promise<void> {
    const rows = this.#rows
    const losses: RowLosses[] = []
    for (const [place, loss] of this.#plan.losses.entries())
      losses.push(await this.#compute(loss, place, rows))
    this.#leaveOutBad(rows)
    for (const [place, source] of this.#plan.series.entries()) {
      const into = this.#sums.rowsOf(place)
      if ('loss' in source) this.#weigh(losses[source.loss], rows, into)
      else {
        const [b, a] = [losses[source.minuend], losses[source.subtrahend]]
        for (let i = 0; i < rows; i++) into.losses[i] = b.losses[i] - a.losses[i]
        // What the rows add to the denominator is the same for both models: it depends on labels alone.
        this.#weigh(b, rows, into)
      }
    }
    const { cluster, request } = this.#plan
    const hashes = cluster === undefined ? { first: this.#placeOf(0), seed: request.seed ?? 0 } : 'written'
    this.#sums.add(rows, hashes, (i) => this.#placeOf(i))
    this.#first += rows
    this.#rows = 0
    this.#bad.clear()
  }

  /** Everything is in the state then. */
  end() {
    this.#sums.drain()
  }

  async #readFrom(source: RowSource, into: BlockArrays): Promise<number> {
    try {
      const rows = source.read(into, this.#rows, BLOCK - this.#rows)
      return typeof rows === 'number' ? rows : await rows
    } catch (cause) {
      if (cause instanceof EvaluationFailed || cause instanceof TooManySlices) throw cause
      throw new UnreadableRows('rows could not be read', { cause })
    }
  }

  /** The losses are where the sums find them. */
  async #compute(loss: LossPlan, place: number, rows: number): Promise<RowLosses> {
    const data = new Map(loss.inputs.map((input) => [input.name, this.#inputOf(input, rows)] as const))
    const job = this.#checked(loss, data, rows, rows === BLOCK ? this.#structures[place] : undefined)
    const batch = { ...job, inputs: inChunks(job.inputs), cotangent: [job.cotangent] }
    const result = this.#engine.runNow?.(batch) ?? (await this.#engine.run(batch))
    const series = this.#places[place]
    const found = byRow(loss, result, data, this.#sums.rowsOf(series).losses.subarray(0, rows))
    if (this.#sums.hasNaN(series, rows)) this.#markNaN(loss, found.losses, data, rows)
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
        this.#mark(found.row, reason, `${found.detail} in ${this.#namesOf(input)}`)
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

  /** Writes losses times weights, and the weights. */
  #weigh({ shares }: RowLosses, rows: number, into: SeriesRows) {
    if (into.shares === undefined) return
    const { weight } = this.#plan
    const weights = weight === undefined ? undefined : this.#data[weight]
    for (let i = 0; i < rows; i++) {
      const share = (weights?.[i] ?? 1) * (shares?.[i] ?? 1)
      into.shares[i] = share
      into.values[i] = share === 0 ? 0 : share * into.losses[i]
    }
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
    const { slices } = this.#sums
    for (const [row, reason] of this.#bad) {
      slices[row] = -1
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
      const { file } = this.#part!
      throw new EvaluationFailed(
        'bad-rows',
        `${file.name}, row ${this.#first + row}: ${detail}; on-bad skip leaves such rows out and counts them`,
      )
    }
    if (!this.#bad.has(row)) this.#bad.set(row, reason)
  }

  #namesOf({ columns }: InputPlan): string {
    return columns.map((place) => this.#plan.columns[place].name).join(', ')
  }

  #placeOf(i: number): number {
    return placeOf(this.#part!.index, this.#first + i)
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
  losses: Float64Array,
): RowLosses {
  const rows = losses.length
  const width = values.length / rows
  const lengths = loss.meanPer === undefined ? undefined : data.get(loss.meanPer)
  if (width === 1) losses.set(values)
  else putMeans(values, width, losses)
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

function putMeans(values: ArrayLike<number>, width: number, means: Float64Array) {
  for (let i = 0; i < means.length; i++) {
    let sum = 0
    for (let j = 0; j < width; j++) sum += values[i * width + j]
    means[i] = sum / width
  }
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
