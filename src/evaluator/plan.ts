/** A request and the columns of the files -> what is computed, checked as far as possible before a row is read. */
import { cut, Problem, pluralize, problemAt } from '../errors.ts'
import { MOST_KEPT_ROWS } from '../evaluation/kept-rows.ts'
import type { StateOptions } from '../evaluation/state.ts'
import type { SeriesMeaning } from '../evaluation/summarize.ts'
import type { Catalog } from '../losses/catalog.ts'
import { ANONYMOUS } from '../losses/custom.ts'
import { type Loss, type Params, type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import { createProgramSource, holdsIndices } from '../losses/program.ts'
import { didYouMean } from '../nearest.ts'
import { checkDefinition } from '../schemas/definition.ts'
import { NO_REPLICATES } from '../schemas/evaluation.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { definitionOfFormula } from '../schemas/formula-source.ts'
import { createRequestPlanSource, expanded, type RequestPlan } from '../schemas/request-plan.ts'
import { checkParams } from '../schemas/unknown-names.ts'
import type { Decoded, DecodedTensor } from '../wire/define.ts'
import { type Column, type DataFile, namesIn, placeOfColumn } from './database.ts'
import { DEFAULT_QUANTILES, type EvaluationRequest, type LossAsk, replicatesOf } from './request.ts'

/** An input of a loss, and where its numbers come from. */
export interface InputPlan {
  readonly name: string
  readonly isIndex: boolean
  /** Places in {@link Plan.columns}. */
  readonly columns: readonly number[]
  /** Numbers for each row; undefined for one. */
  readonly width: number | undefined
}

/** One loss of one model: what kernels compute for each row. */
export interface LossPlan {
  readonly resolved: ResolvedLoss
  readonly loss: Loss
  readonly params: Params
  readonly inputs: readonly InputPlan[]
  /** Whether a row adds something else than 1 to the denominator. */
  readonly hasDenominator: boolean
}

/** A series is a loss, or the difference of two. */
export type SeriesSource =
  | { readonly loss: number }
  | { readonly minuend: number; readonly subtrahend: number }

export interface Plan {
  readonly request: EvaluationRequest
  /** Columns that are read as numbers, or as lists of numbers. */
  readonly columns: readonly { readonly name: string; readonly width: number | undefined }[]
  readonly weight: number | undefined
  /** Columns that slices are made of. */
  readonly by: readonly string[]
  readonly cluster: string | undefined
  readonly losses: readonly LossPlan[]
  readonly series: readonly SeriesSource[]
  readonly meanings: readonly SeriesMeaning[]
  readonly state: StateOptions
  readonly quantiles: readonly number[]
}

/** What the plan needs to know of the data. */
export interface Layout {
  readonly file: DataFile
  readonly columns: readonly Column[]
  /** Of all files, if they say how many they have. */
  readonly rows?: number | undefined
  /** The length of the lists in a column. */
  widthOf(name: string): Promise<number>
  /** A value of a column of texts that is no number, if there is one. */
  textIn?(name: string): Promise<string | undefined>
}

/** With more rows, there are quantiles if somebody asks for them. */
export const SKETCHED_ROWS = 10_000_000

/** Characters of a text that is an example. */
const MOST_TEXT = 40

const LIMITS = { maxIntermediate: 2 ** 26, maxCost: 2 ** 36 }

/** Plans of requests, in this thread. */
export const plans = createRequestPlanSource(createProgramSource(), LIMITS)

/** @throws Problem */
export async function planOf(request: EvaluationRequest, catalog: Catalog, layout: Layout): Promise<Plan> {
  const { by = [], cluster, weight, worst = 0 } = request
  const replicates = replicatesOf(request)
  checkRequestNumbers(request)
  checkNamedOnce(by)
  const columns: { name: string; width: number | undefined }[] = []
  const placeOf = async (name: string) => {
    const known = columns.findIndex((column) => column.name === name)
    return known >= 0 ? known : columns.push({ name, width: await widthOf(layout, name) }) - 1
  }
  for (const name of [...by, ...(cluster === undefined ? [] : [cluster])]) checkKey(layout, name)
  const weightPlace = weight === undefined ? undefined : await placeOf(weight)
  if (weightPlace !== undefined && columns[weightPlace].width !== undefined)
    throw new Problem('invalid-value', `the weights in "${cut(weight!)}" must be numbers, not lists`)
  const models = request.compare ?? [undefined]
  const losses: LossPlan[] = []
  const series: SeriesSource[] = []
  const meanings: SeriesMeaning[] = []
  for (const ask of request.losses) {
    const resolved = lossOf(ask, catalog)
    const params = checkParams(resolved, ask.params)
    const own: number[] = []
    for (const model of models) {
      own.push(losses.length)
      const inputs = await inputsOf(resolved.loss, params, request, model, layout, placeOf, columns)
      losses.push(lossPlan(resolved, params, inputs, ask, columns))
      series.push({ loss: losses.length - 1 })
      const label = { loss: resolved.loss.name, params: ownParams(resolved.loss, params) }
      meanings.push({ kind: 'loss', ...label, ...(model === undefined ? {} : { model: model.join('+') }) })
    }
    for (const [i, b] of own.slice(1).entries()) {
      const names = models.map((model) => model!.join('+'))
      series.push({ minuend: b, subtrahend: own[0] })
      meanings.push({
        kind: 'difference',
        loss: resolved.loss.name,
        params: ownParams(resolved.loss, params),
        a: names[0],
        b: names[i + 1],
      })
    }
  }
  const quantiles = request.quantiles ?? defaultQuantiles(layout)
  return {
    request,
    columns,
    weight: weightPlace,
    by,
    cluster,
    losses,
    series,
    meanings,
    quantiles,
    state: {
      hasBuckets: replicates > 0,
      keepsRows: replicates > 0 && cluster === undefined && mayBeFew(layout),
      series: series.map((source) => ({
        hasShares: weight !== undefined || lossesOf(source).some((place) => losses[place].hasDenominator),
        hasSketch: quantiles.length > 0 && 'loss' in source,
        worst: 'loss' in source ? worst : 0,
      })),
    },
  }
}

/** The same plan for the road through SQL, which keeps neither quantiles nor the worst rows. */
export function withoutSketches(plan: Plan): Plan {
  const series = plan.state.series.map((one) => ({ ...one, hasSketch: false }))
  return { ...plan, quantiles: [], state: { ...plan.state, series } }
}

function defaultQuantiles({ rows = 0 }: Layout): readonly number[] {
  return rows <= SKETCHED_ROWS ? DEFAULT_QUANTILES : []
}

/** Whether so few rows count, in the end, that they are kept: more than half of them do, as a rule. */
function mayBeFew({ rows = 0 }: Layout): boolean {
  return rows <= 2 * MOST_KEPT_ROWS
}

function lossesOf(source: SeriesSource): number[] {
  return 'loss' in source ? [source.loss] : [source.minuend, source.subtrahend]
}

/** @throws Problem */
export function lossOf(ask: LossAsk, catalog: Catalog): ResolvedLoss {
  if ('loss' in ask) return resolveLoss(catalog, ask.loss)
  if ('definition' in ask) return withoutPreset(checkDefinition(ask.definition, '/definition', ANONYMOUS))
  const document = definitionOfFormula({ formula: ask.formula, params: ask.params ?? {} })
  return withoutPreset(checkDefinition(document, '', ANONYMOUS))
}

/** Parameters that are not the defaults. */
export function ownParams({ params }: Loss, values: Params): Record<string, unknown> {
  const own = Object.entries(values).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(params.properties[name].default),
  )
  return Object.fromEntries(own)
}

const LIMITS_OF = { bootstrap: 100_000, worst: 1_000 } as const

function checkRequestNumbers(request: EvaluationRequest) {
  if (request.losses.length === 0) throw problemAt('missing-input', '/losses', 'must name at least one loss')
  for (const [name, most] of Object.entries(LIMITS_OF)) {
    const value = request[name as keyof typeof LIMITS_OF] ?? 0
    if (!Number.isInteger(value) || value < 0 || value > most)
      throw problemAt('invalid-value', `/${name}`, `must be an integer from 0 to ${most}, got ${value}`)
  }
  if (request.cluster !== undefined && replicatesOf(request) === 0)
    throw problemAt('invalid-value', '/bootstrap', NO_REPLICATES)
  for (const share of request.quantiles ?? [])
    if (!(share > 0 && share < 1))
      throw problemAt('invalid-value', '/quantiles', `must be between 0 and 1, got ${share}`)
  if (request.compare !== undefined && request.compare.length < 2)
    throw problemAt('invalid-value', '/compare', 'must name the predictions of at least two models')
}

function checkNamedOnce(by: readonly string[]) {
  const twice = by.find((name, place) => by.indexOf(name) !== place)
  if (twice !== undefined) throw problemAt('invalid-value', '/by', `names "${cut(twice)}" twice`)
}

async function widthOf(layout: Layout, name: string): Promise<number | undefined> {
  const { kind, type } = columnOf(layout, name)
  if (kind === 'number' || kind === 'boolean') return undefined
  if (kind === 'list') return layout.widthOf(name)
  const text = type === 'VARCHAR' ? await layout.textIn?.(name) : undefined
  const example = text === undefined ? '' : `, with texts such as "${text.slice(0, MOST_TEXT)}"`
  throw new Problem(
    'invalid-value',
    `the column "${cut(name)}" of ${layout.file.name} has the type ${type}${example}; losses need numbers or lists of numbers`,
  )
}

function columnOf({ file, columns }: Layout, name: string): Column {
  return columns[placeOfColumn(file, columns, name)]
}

function checkKey(layout: Layout, name: string) {
  const { kind, type } = columnOf(layout, name)
  if (kind === 'number' || kind === 'boolean' || kind === 'text') return
  throw new Problem(
    'invalid-value',
    `the column "${cut(name)}" of ${layout.file.name} has the type ${type}; rows are put together by numbers, texts, dates or booleans`,
  )
}

type PlaceOf = (name: string) => Promise<number>

async function inputsOf(
  loss: Loss,
  params: Params,
  request: EvaluationRequest,
  model: readonly string[] | undefined,
  layout: Layout,
  placeOf: PlaceOf,
  columns: readonly { readonly width: number | undefined }[],
): Promise<InputPlan[]> {
  const { inputs } = expanded(loss, params)
  const given = columnsByInput(loss, inputs, request, model, layout)
  const found: InputPlan[] = []
  for (const [name, names] of given) {
    const places: number[] = []
    for (const column of names) places.push(await placeOf(column))
    const width = places.length > 1 ? places.length : columns[places[0]].width
    if (places.length > 1 && places.some((place) => columns[place].width !== undefined))
      throw new Problem(
        'invalid-value',
        `${name}: columns that are put side by side must be numbers, not lists`,
      )
    const layoutOfInput = width === undefined ? ['rows'] : ['rows', 'classes']
    const isIndex = holdsIndices(inputs[name], layoutOfInput)
    found.push({ name, isIndex, columns: places, width })
  }
  return found
}

/** Input -> columns: those that the request names, or the column that is called like the input. */
function columnsByInput(
  loss: Loss,
  inputs: Loss['inputs'],
  { columns, compare }: EvaluationRequest,
  model: readonly string[] | undefined,
  layout: Layout,
): Map<string, readonly string[]> {
  const asked = new Map<string, readonly string[]>()
  for (const [word, names] of Object.entries(columns)) asked.set(inputCalled(loss, inputs, word), names)
  if (model !== undefined) asked.set(inputCalled(loss, inputs, 'predictions'), model)
  const found = new Map<string, readonly string[]>()
  for (const [name, { optional }] of Object.entries(inputs)) {
    const own = asked.get(name)
    if (own !== undefined) found.set(name, own)
    else if (layout.columns.some((column) => column.name === name) && !optional) found.set(name, [name])
    else if (!optional) throw missing(loss, name, layout, compare !== undefined)
  }
  return found
}

function missing(loss: Loss, name: string, { file, columns }: Layout, isCompared: boolean): Problem {
  const how = isCompared && name === 'predictions' ? 'compare' : name
  return new Problem(
    'missing-input',
    `${loss.name} needs ${name}: say which column that is (${how}), since ${file.name} has no column of that name; it has ${namesIn(columns)}`,
  )
}

/** `predictions` and `targets` are what most losses call them; of others they are the first and the second input. */
function inputCalled(loss: Loss, inputs: Loss['inputs'], word: string): string {
  if (Object.hasOwn(inputs, word)) return word
  const required = Object.keys(inputs).filter((name) => !inputs[name].optional)
  const place = ['predictions', 'targets'].indexOf(word)
  if (place >= 0 && required[place] !== undefined) return required[place]
  const names = Object.keys(inputs)
  throw new Problem(
    'unknown-name',
    `${loss.name} has no input "${cut(word)}"; it has ${names.join(', ')}${didYouMean(word, names)}`,
  )
}

function lossPlan(
  resolved: ResolvedLoss,
  params: Params,
  inputs: readonly InputPlan[],
  ask: LossAsk,
  columns: Plan['columns'],
): LossPlan {
  const plan = planOfSample(resolved, params, inputs, ask, columns)
  checkRowsAreIndependent(plan)
  return {
    resolved,
    loss: resolved.loss,
    params,
    inputs,
    hasDenominator: plan.program.program.denominators !== undefined,
  }
}

/** @throws Problem */
function planOfSample(
  resolved: ResolvedLoss,
  params: Params,
  inputs: readonly InputPlan[],
  ask: LossAsk,
  columns: Plan['columns'],
): RequestPlan {
  try {
    return plans(resolved, decodedOf(inputs, sampleOf(inputs), SAMPLED, ask.params))
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'shape-mismatch') throw error
    const pointer = error.options.errors?.[0]?.pointer
    const input = inputs.find(({ name }) => pointer === `/${name}`)
    throw input === undefined ? error : wrongColumns(expanded(resolved.loss, params), inputs, input, columns)
  }
}

/** The message of the request would tell the shapes of the sample, which the caller never sent. */
function wrongColumns(
  loss: Loss,
  inputs: readonly InputPlan[],
  wrong: InputPlan,
  columns: Plan['columns'],
): Problem {
  const { name, columns: places } = wrong
  const names = places.map((place) => `"${cut(columns[place].name)}"`).join(', ')
  const others = inputs
    .filter((input) => input !== wrong)
    .map((other) => `; ${other.name} has ${numbersIn(other)}`)
  const axes = loss.inputs[name].axes.join(', ')
  const has = places.length > 1 ? 'have' : 'has'
  return new Problem(
    'shape-mismatch',
    `${loss.name}: ${name} has the axes [${axes}], but ${names} ${has} ${numbersIn(wrong)}${others.join('')}`,
  )
}

function numbersIn({ width }: InputPlan): string {
  return `${width === undefined ? 'one number' : pluralize(width, 'numbers')} for each row`
}

function checkRowsAreIndependent({ loss, couples, batchAxis }: RequestPlan) {
  if ((couples === 'element' || couples === 'row') && batchAxis !== undefined) return
  throw new Problem(
    'invalid-value',
    `${loss.name} cannot be evaluated row by row: the loss of a row depends on other rows`,
  )
}

/** Rows of the sample that a plan is made with. */
const SAMPLED = 2

/** Rows of zeros, of which the plan only reads the shapes. */
function sampleOf(inputs: readonly InputPlan[]): Map<string, Float64Array | Int32Array> {
  return new Map(
    inputs.map(({ name, isIndex, width = 1 }) => {
      return [name, isIndex ? new Int32Array(SAMPLED * width) : new Float64Array(SAMPLED * width)] as const
    }),
  )
}

const OPTIONS = { reduction: 'none', gradients: false } as const

/** Rows as the body of a request. */
export function decodedOf(
  inputs: readonly InputPlan[],
  data: ReadonlyMap<string, Float64Array | Int32Array>,
  rows: number,
  params: object | undefined,
  structure?: object,
): Decoded {
  const tensors = inputs.map(({ name, width, isIndex }): [string, DecodedTensor] => [
    name,
    {
      dtype: isIndex ? 'int32' : 'float64',
      shape: width === undefined ? [rows] : [rows, width],
      data: data.get(name)!,
      encoding: 'binary',
      typed: !isIndex,
    },
  ])
  const options = new Map<string, unknown>(Object.entries({ ...OPTIONS, params: params ?? {} }))
  return { tensors: new Map(tensors), options, ...(structure === undefined ? {} : { structure }) }
}
