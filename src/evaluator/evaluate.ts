/**
 * An evaluation: files -> parts -> states -> the answer. Which parts there are depends on the files alone, and states add
 * up exactly, so the answer does not depend on how many threads compute, or on which parts were computed before.
 */

import { statSync } from 'node:fs'
import type { Engine } from '../engines/contract.ts'
import { cut, Problem } from '../errors.ts'
import type { Evaluation } from '../evaluation/result.ts'
import { State, type StateRecord } from '../evaluation/state.ts'
import { summarize } from '../evaluation/summarize.ts'
import type { Catalog } from '../losses/catalog.ts'
import { type Column, Database, type DataFile, formatOf, placeOfColumn } from './database.ts'
import { openKernels } from './engine.ts'
import { EvaluationFailed } from './failure.ts'
import { FileBytes } from './formats/file-bytes.ts'
import { hasPlaces } from './formats/index.ts'
import { KernelRun, type Part } from './kernel-road.ts'
import { checkKeyKinds } from './key-kinds.ts'
import { type Layout, ownParams, type Plan, planOf, withoutSketches } from './plan.ts'
import { type EvaluationRequest, type LossAsk, type Road, replicatesOf } from './request.ts'
import { type ChosenRoad, type Costs, chooseRoad, sqlRoad } from './road.ts'
import { Threads, type Work } from './threads.ts'
import { readWorst } from './worst.ts'

/** Rows of a part: about a tenth of a second. */
const PART_ROWS = 2_000_000
/** Below this, starting threads takes longer than they save. */
const ALONE_ROWS = 2_000_000

export interface Progress {
  readonly rows: number
  /** Unknown for files that do not say how many rows they have. */
  readonly total: number | undefined
}

export interface Checkpoint {
  /** Places of the parts that are done. */
  readonly done: readonly number[]
  readonly state: StateRecord
  readonly road: 'sql' | 'kernels'
  /** If they have decided about the road. */
  readonly costs?: Costs | undefined
}

export interface EvaluateOptions {
  readonly catalog: Catalog
  /** Threads that compute. */
  readonly threads: number
  readonly onProgress?: (progress: Progress) => void
  /** Threads that were started already, one fewer than `threads`. */
  readonly ahead?: Threads | undefined
  /** With fewer rows, no other threads are started. */
  readonly aloneRows?: number
  /** With fewer rows, roads are not measured. */
  readonly fewRows?: number
  /** What is known already. */
  readonly resume?: Checkpoint | undefined
  /** Called after each part for which a checkpoint was due. */
  readonly onCheckpoint?: (checkpoint: () => Checkpoint) => void
  /** Default: a checkpoint is due after each part. */
  readonly isCheckpointDue?: () => boolean
  /** Told what each road costs, if that has decided. The checkpoint has no rows yet, but the road. */
  readonly onMeasured?: (costs: Costs, checkpoint: Checkpoint) => void
  readonly signal?: AbortSignal
  /** Called between pieces of work that do not let this thread hear of its signal. Throws to stop. */
  readonly goOn?: () => void
}

export interface EvaluatorOptions {
  readonly request: EvaluationRequest
  /** The file that the plan is made from. */
  readonly file: DataFile
  readonly catalog: Catalog
  readonly database: Database
  readonly road: Road
  /** Of all files, if they say how many they have. */
  readonly rows: number | undefined
  /** So many, roughly, if they do not. */
  readonly rowsAbout?: number
  readonly fewRows?: number | undefined
}

/** Evaluates one part after the other, in this thread or another. */
export class PartEvaluator {
  readonly plan: Plan
  readonly chosen: ChosenRoad
  readonly #database: Database
  readonly #engine: Engine
  readonly #run: KernelRun
  /** Of the parts that SQL was enough for. */
  #inSql: State | undefined

  private constructor(plan: Plan, chosen: ChosenRoad, database: Database, engine: Engine) {
    this.plan = chosen.sql === undefined ? plan : withoutSketches(plan)
    this.chosen = chosen
    this.#database = database
    this.#engine = engine
    this.#run = new KernelRun(this.plan, database, engine)
  }

  static async open({
    request,
    file,
    catalog,
    database,
    road,
    rows,
    ...more
  }: EvaluatorOptions): Promise<PartEvaluator> {
    const plan = await planOf(request, catalog, { ...(await layoutOf(file, database)), rows })
    const engine = await openKernels()
    const data = { file, database, engine, rows: rows ?? more.rowsAbout ?? 0, fewRows: more.fewRows }
    return new PartEvaluator(plan, await chooseRoad(plan, road, data), database, engine)
  }

  /** The same, with a database of its own: DuckDB computes beside this thread. */
  with(database: Database): PartEvaluator {
    return new PartEvaluator(this.plan, this.chosen, database, this.#engine)
  }

  /** @param onRows is told how many more rows were read */
  async add(part: Part, onRows: (rows: number) => void): Promise<void> {
    const { plan, chosen } = this
    const state =
      chosen.sql === undefined
        ? undefined
        : await (await sqlRoad()).evaluateInSql(plan, chosen.sql, part, this.#database)
    if (state === undefined) return this.#run.add(part, onRows)
    if (this.#inSql === undefined) this.#inSql = state
    else this.#inSql.merge(state)
    onRows(rowsIn(part))
  }

  /** The state of the parts that were added since it was taken. */
  take(): State {
    const state = this.#run.take()
    if (this.#inSql !== undefined) state.merge(this.#inSql)
    this.#inSql = undefined
    return state
  }
}

/**
 * @throws Problem for a request that cannot be answered, EvaluationFailed for data that cannot
 * @example
 * await evaluate({ losses: [{ loss: 'huber' }], columns: { predictions: ['y_hat'], targets: ['y'] } }, files, options)
 */
export async function evaluate(
  request: EvaluationRequest,
  files: readonly DataFile[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  const database = new Database()
  try {
    return await evaluateWith(database, request, files, options)
  } finally {
    await database.close()
  }
}

async function evaluateWith(
  database: Database,
  request: EvaluationRequest,
  files: readonly DataFile[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { catalog, resume, threads, onProgress, onCheckpoint, signal } = options
  const { parts, rows: total } = await partsOf(files, database)
  const asked = resume?.road ?? request.road ?? 'auto'
  const evaluator = await PartEvaluator.open({
    request,
    file: files[0],
    catalog,
    database,
    road: asked,
    rows: total,
    rowsAbout: total === undefined && asked === 'auto' ? rowsAbout(files) : 0,
    fewRows: options.fewRows,
  }).catch(async (error: unknown) => {
    // A CSV that is only a header has texts in all columns, but that is not what is wrong with it.
    throw (await isEmpty(files[0], database)) ? withoutRows(files) : error
  })
  const { plan, chosen } = evaluator
  await checkKeyKinds([...plan.by, ...(plan.cluster === undefined ? [] : [plan.cluster])], files, database)
  const costs = resume === undefined ? chosen.costs : resume.costs
  const state = resume === undefined ? new State(plan.state) : State.restore(resume.state, plan.state)
  const done = new Set(resume?.done ?? [])
  const road = chosen.sql === undefined ? 'kernels' : 'sql'
  const checkpoint = (): Checkpoint => ({ done: [...done], state: state.record(), road, costs })
  if (chosen.costs !== undefined) options.onMeasured?.(chosen.costs, checkpoint())
  const open = parts.map((_, place) => place).filter((place) => !done.has(place))
  let read = parts.reduce((sum, part, place) => sum + (done.has(place) ? rowsIn(part) : 0), 0)
  const onRows = (rows: number) => {
    signal?.throwIfAborted()
    read += rows
    onProgress?.({ rows: read, total })
  }
  const finish = (places: readonly number[], more: State) => {
    signal?.throwIfAborted()
    state.merge(more)
    for (const place of places) done.add(place)
    onCheckpoint?.(checkpoint)
  }
  const isDue = options.isCheckpointDue ?? (() => onCheckpoint !== undefined)
  const isFew = total !== undefined && total < (options.aloneRows ?? ALONE_ROWS)
  const count = isFew ? 1 : Math.min(threads, open.length)
  if (count > 1 && road === 'kernels') {
    const work: Work = {
      request: inCanonicalNames(plan),
      losses: namesOf(plan),
      file: files[0],
      road,
      parts,
      rows: total,
    }
    const listener = { onRows, finish, isDue, signal }
    await allOrNone(open, [
      (options.ahead ?? new Threads(count - 1)).evaluate(work, open, plan.state, listener),
      evaluateHere(evaluator, parts, open, 1, listener),
    ])
  } else await evaluateHere(evaluator, parts, open, count, { onRows, finish, isDue })
  if (state.rows.every((rows) => rows === 0) && state.bad().length === 0) throw withoutRows(files)
  return answerOf(evaluator, { isMeasured: costs !== undefined, goOn: options.goOn }, database, files, state)
}

function withoutRows(files: readonly DataFile[]): EvaluationFailed {
  return new EvaluationFailed(
    'unreadable-data',
    `${cut(files.map(({ name }) => name).join(', '))}: there are no rows`,
  )
}

async function isEmpty(file: DataFile, database: Database): Promise<boolean> {
  const columns = await database.columns(file)
  return (await database.rows(file, columns, ' SELECT 1 FROM file LIMIT 1')).length === 0
}

interface Listener {
  readonly onRows: (rows: number) => void
  /** Takes the state of the parts at these places. */
  readonly finish: (places: readonly number[], state: State) => void
  /** Whether it should be handed over now. */
  readonly isDue: () => boolean
}

/** Waits for all, which stop as soon as one fails. */
async function allOrNone(open: number[], all: readonly Promise<void>[]) {
  const stopping = all.map((one) =>
    one.catch((error: unknown) => {
      open.length = 0
      throw error
    }),
  )
  for (const end of await Promise.allSettled(stopping)) if (end.status === 'rejected') throw end.reason
}

/** In this thread, where DuckDB has as many of its own as there are databases. */
async function evaluateHere(
  evaluator: PartEvaluator,
  parts: readonly Part[],
  open: number[],
  count: number,
  { onRows, finish, isDue }: Listener,
) {
  const more = Array.from({ length: Math.max(0, count - 1) }, () => new Database())
  const work = async (own: PartEvaluator) => {
    const added: number[] = []
    for (let place = open.shift(); place !== undefined; place = open.shift()) {
      await own.add(parts[place], onRows)
      added.push(place)
      if (isDue()) finish(added.splice(0), own.take())
    }
    if (added.length > 0) finish(added, own.take())
  }
  const all = [evaluator, ...more.map((database) => evaluator.with(database))]
  try {
    await allOrNone(open, all.map(work))
  } finally {
    for (const database of more) await database.close()
  }
}

/** The losses of the catalog by their own names, so that a thread need not load the others. */
function inCanonicalNames({ request, losses }: Plan): EvaluationRequest {
  const models = request.compare?.length ?? 1
  const asks = request.losses.map((ask, i): LossAsk => {
    if (!('loss' in ask)) return ask
    const { loss, params } = losses[i * models]
    return { loss: loss.name, params: ownParams(loss, params) }
  })
  return { ...request, losses: asks }
}

function namesOf({ request, losses }: Plan): string[] {
  const models = request.compare?.length ?? 1
  return request.losses.flatMap((ask, i) => ('loss' in ask ? [losses[i * models].loss.name] : []))
}

async function answerOf(
  { plan, chosen }: PartEvaluator,
  { isMeasured, goOn }: { readonly isMeasured: boolean; readonly goOn: EvaluateOptions['goOn'] },
  database: Database,
  files: readonly DataFile[],
  state: State,
): Promise<Evaluation> {
  const { request, meanings, by, cluster, quantiles } = plan
  const answer = summarize(state, {
    series: meanings,
    files: files.map(({ name }) => name),
    by,
    weight: request.weight,
    cluster,
    replicates: replicatesOf(request),
    seed: request.seed ?? 0,
    quantiles,
    computedBy: await computedBy(chosen, isMeasured, database),
    goOn,
  })
  return readWorst(answer, files, database)
}

async function computedBy({ sql }: ChosenRoad, isMeasured: boolean, database: Database): Promise<string> {
  const [taken, other] =
    sql === undefined
      ? ['compiled kernels, float64', 'SQL']
      : [`DuckDB ${await database.version()}, in SQL`, 'compiled kernels']
  return isMeasured ? `${taken} (cheaper than ${other} for the first rows)` : taken
}

async function layoutOf(file: DataFile, database: Database): Promise<Layout> {
  const columns = await database.columns(file)
  return {
    file,
    columns,
    widthOf: (name) => widthOf(file, columns, name, database),
    textIn: (name) => textIn(file, columns, name, database),
  }
}

async function textIn(
  file: DataFile,
  columns: readonly Column[],
  name: string,
  database: Database,
): Promise<string | undefined> {
  const column = `c${placeOfColumn(file, columns, name)}`
  const query = ` SELECT ${column} FROM file WHERE ${column} IS NOT NULL AND TRY_CAST(${column} AS DOUBLE) IS NULL LIMIT 1`
  const [row] = await database.rows(file, columns, query)
  return row === undefined ? undefined : String(row[0])
}

/** The length of the first list. */
async function widthOf(
  file: DataFile,
  columns: readonly Column[],
  name: string,
  database: Database,
): Promise<number> {
  const column = `c${placeOfColumn(file, columns, name)}`
  const query = ` SELECT CAST(len(${column}) AS DOUBLE) FROM file WHERE ${column} IS NOT NULL LIMIT 1`
  const [[width] = [0]] = await database.rows(file, columns, query)
  if (Number(width) > 0) return Number(width)
  throw new Problem('invalid-value', `${file.name}: the lists in "${name}" are empty`)
}

/** Parts begin where reading may begin, as with a row group of Parquet. Texts are read as a whole. */
async function partsOf(
  files: readonly DataFile[],
  database: Database,
): Promise<{ parts: Part[]; rows: number | undefined }> {
  const parts: Part[] = []
  let rows: number | undefined = 0
  for (const [index, file] of files.entries()) {
    if (!hasPlaces(formatOf(file))) {
      parts.push({ file, index, range: undefined })
      rows = undefined
      continue
    }
    const groups = await database.rowGroups(file)
    parts.push(...rangesOf(groups).map((range) => ({ file, index, range })))
    if (rows !== undefined) rows += groups.reduce((sum, group) => sum + group, 0)
  }
  return { parts, rows }
}

/** How many lines of text there are, if they are as long as the first ones. */
function rowsAbout(files: readonly DataFile[]): number {
  const bytes = bytesOf(files)
  const begin = beginningOf(files[0])
  const lines = begin.reduce((sum, byte) => sum + Number(byte === NEW_LINE), 0)
  return lines === 0 ? 0 : (lines * bytes) / begin.length
}

/** Nothing, if it cannot be read: what is wrong is said where its rows are read. */
function beginningOf(file: DataFile): Uint8Array {
  let source: FileBytes | undefined
  try {
    source = FileBytes.open(file)
    return source.read(0, Math.min(BEGIN_BYTES, source.size))
  } catch {
    return new Uint8Array()
  } finally {
    source?.close()
  }
}

const BEGIN_BYTES = 2 ** 16
const NEW_LINE = 10

function bytesOf(files: readonly DataFile[]): number {
  return files.reduce((sum, { path }) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0)
}

function rangesOf(groups: readonly number[]): [number, number][] {
  const ranges: [number, number][] = []
  let [first, last] = [0, 0]
  for (const group of groups) {
    if (last > first && last - first + group > PART_ROWS) {
      ranges.push([first, last])
      first = last
    }
    last += group
  }
  return last > first ? [...ranges, [first, last]] : ranges
}

function rowsIn({ range }: Part): number {
  return range === undefined ? 0 : range[1] - range[0]
}
