/** What the thread is asked to do, and what it does. Everything here can be sent between threads. */
import { type Analysis, analyze, type Progress } from '../analysis/analyze.ts'
import { certifiedGap, type WeightedSample } from '../analysis/certificate.ts'
import { type CheckReport, checkGradient, type GradientCheck } from '../analysis/check.ts'
import { clockOf } from '../analysis/clock.ts'
import { type Constant, minimize } from '../analysis/constant.ts'
import { type Explanation, explain } from '../analysis/explanation.ts'
import { boundsOfKind } from '../analysis/subject.ts'
import type { Verdict } from '../analysis/verdict.ts'
import { interpret } from '../language/interpret.ts'
import type { Program } from '../language/ir.ts'
import type { Catalog } from '../losses/catalog.ts'
import { customLoss, type Definition } from '../losses/custom.ts'
import type { Loss, Params } from '../losses/define.ts'
import { type Features, KernelUnavailable, type PortableLoss } from '../portable/contract.ts'
import { writePortableKernel } from '../portable/write.ts'
import type { NumericArray } from '../tensor.ts'

/** A loss of the catalog by its name, or any other by its definition. */
export type Source = { readonly name: string } | { readonly definition: Definition }

export interface Asked {
  readonly source: Source
  readonly params: Params
  readonly of: string
  readonly domain: Readonly<Record<string, readonly [number, number]>>
  readonly sizes: Readonly<Record<string, number>>
  readonly budgetMs: number
}

export interface AnalyzeTask extends Asked {
  readonly kind: 'analyze'
  readonly properties: readonly string[] | undefined
}

export interface ExplainTask extends Asked {
  readonly kind: 'explain'
}

export interface CheckTask extends GradientCheck {
  readonly kind: 'check'
}

/** Targets for which the best constant prediction is looked for. */
export interface ConstantTask extends Asked {
  readonly kind: 'constant'
  readonly program: Program
  readonly axisSizes: Readonly<Record<string, number>>
  /** All inputs; that of the predictions has the right length, whatever it contains. */
  readonly inputs: Readonly<Record<string, NumericArray>>
  readonly scalars: Readonly<Record<string, number>>
  /** One for each value. */
  readonly weights: Float64Array
  /** Numbers of one constant: 1, or the number of classes. */
  readonly width: number
  /** Neighbours that share a number: 1, or the elements between classes. */
  readonly stride: number
  readonly range: readonly [number, number]
  readonly kinks: readonly number[]
}

/** A portable kernel. */
export interface KernelTask {
  readonly kind: 'kernel'
  readonly loss: PortableLoss
  readonly features: Features
  readonly about: Readonly<Record<string, unknown>>
}

export type Task = AnalyzeTask | ExplainTask | CheckTask | ConstantTask | KernelTask

export interface ConstantResult extends Constant {
  readonly convexity: Verdict
  /** By how much another constant in the range can be better, if the loss is convex; undefined if nothing is certain. */
  readonly gap: number | undefined
  /** The constants for which both hold. */
  readonly searched: readonly [number, number]
}

/** Task -> its result. */
export interface Results {
  readonly analyze: Analysis
  readonly explain: Explanation
  readonly check: CheckReport
  readonly constant: ConstantResult
  readonly kernel: KernelResult
}

/** A module, or why there is none. */
export type KernelResult = { readonly bytes: Uint8Array<ArrayBuffer> } | { readonly unavailable: string }

/** Does what is asked for. */
export function perform(
  task: Task,
  catalog: Catalog,
  tell?: (progress: Progress) => void,
): Results[Task['kind']] {
  switch (task.kind) {
    case 'analyze':
      return analyze(questionOf(task, catalog), task.budgetMs, task.properties, tell)
    case 'explain':
      return explain(questionOf(task, catalog), task.budgetMs)
    case 'check':
      return checkGradient(task)
    case 'constant':
      return bestConstant(task, catalog)
    case 'kernel':
      return portableKernel(task)
  }
}

function portableKernel({ loss, features, about }: KernelTask): KernelResult {
  try {
    return { bytes: writePortableKernel(loss, features, about).bytes }
  } catch (error) {
    if (error instanceof KernelUnavailable) return { unavailable: error.message }
    throw error
  }
}

function questionOf({ source, params, of, domain, sizes }: Asked, catalog: Catalog) {
  return { loss: lossOf(source, catalog), params, of, domain, sizes, catalog: catalog.losses }
}

function lossOf(source: Source, catalog: Catalog): Loss {
  return 'name' in source ? catalog.find(source.name)! : customLoss(source.definition)
}

/** Whether the loss is convex is asked first: then few places need to be looked at. */
function bestConstant(task: ConstantTask, catalog: Catalog): ConstantResult {
  const { range, kinks, width: size } = task
  const before = convexityOf(task, searchedRange(task, [], questionOf(task, catalog).loss), catalog)
  const isConvex = before.verdict.verdict === 'proved'
  const found = minimize({ size, at: lossBy(task), range, kinks, isConvex }, clockOf(task.budgetMs))
  return { ...found, ...certificateOf(task, found, before, catalog) }
}

/** The weighted mean by its constant. */
function lossBy({ program, axisSizes, inputs, of, scalars, weights, width, stride }: ConstantTask) {
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const own = new Float64Array(inputs[of].length)
  const places = Uint32Array.from(own, (_, i) => Math.floor(i / stride) % width)
  const args = { sizes: axisSizes, inputs: { ...inputs, [of]: own }, scalars, cotangent: weights }
  return (constant: readonly number[]) => {
    for (let i = 0; i < own.length; i++) own[i] = constant[places[i]]
    const { values, gradients } = interpret(program, args)
    const gradient = new Array<number>(width).fill(0)
    const slopes = gradients[of]
    // What does not count may be NaN.
    const counts = (i: number) => slopes.length !== weights.length || weights[i] !== 0
    for (let i = 0; i < slopes.length; i++) if (counts(i)) gradient[places[i]] += slopes[i] / total
    let sum = 0
    for (let i = 0; i < values.length; i++) if (weights[i] !== 0) sum += weights[i] * values[i]
    return { value: sum / total, gradient }
  }
}

interface Convexity {
  readonly verdict: Verdict
  readonly searched: readonly [number, number]
}

/** Whether the loss is convex where the constant is between two numbers. */
function convexityOf(task: ConstantTask, searched: readonly [number, number], catalog: Catalog): Convexity {
  const question = questionOf(task, catalog)
  const { loss, of } = question
  const domain = { ...domainsOf(task, loss), [of]: searched }
  const sizes = Object.fromEntries(
    loss.inputs[of].axes.map((axis) => [axis, axis === 'classes' ? task.width : 1]),
  )
  const analysis = analyze({ ...question, domain, sizes }, task.budgetMs, ['convex'])
  return { verdict: analysis.properties.convex, searched }
}

/** Whether the loss is convex around the constant, and how far from the best it can then be. */
function certificateOf(task: ConstantTask, { constant }: Constant, before: Convexity, catalog: Catalog) {
  const { params, of } = task
  const { loss } = questionOf(task, catalog)
  const searched = searchedRange(task, constant, loss)
  const isSame = searched.every((end, i) => end === before.searched[i])
  const { verdict } = isSame ? before : convexityOf(task, searched, catalog)
  const rows = verdict.verdict === 'proved' ? rowsOf(task, loss) : undefined
  const gap =
    rows === undefined ? undefined : certifiedGap({ loss, params, of, rows, constant, range: searched })
  return { convexity: verdict, gap, searched }
}

/** From below the least target to above the largest; for other kinds, what the analysis takes for granted. */
function searchedRange(
  { of, params, kinks, range }: ConstantTask,
  constant: readonly number[],
  loss: Loss,
): readonly [number, number] {
  const usual = boundsOfKind(loss.inputs[of].kindFor(params), false) ?? [-10, 10]
  const known = [...kinks, ...constant].filter(Number.isFinite)
  if (known.length === 0) return [Math.max(range[0], usual[0]), Math.min(range[1], usual[1])]
  // Not Math.min(...known): there may be more targets than a call may have arguments.
  const least = known.reduce((a, b) => Math.min(a, b))
  const most = known.reduce((a, b) => Math.max(a, b))
  const margin = Math.max(1, most - least)
  const isReal = range[0] < 0 && range[1] > 0
  return [
    Math.max(range[0], Math.min(usual[0], isReal ? least - margin : least)),
    Math.min(range[1], Math.max(usual[1], most + (range[1] > 1 ? margin : 0))),
  ]
}

/** The numbers that the other inputs have. */
function domainsOf({ inputs, of, params }: ConstantTask, loss: Loss) {
  const isNumeric = (name: string) =>
    ['real', 'positive', 'nonnegative', 'probability', 'logprob'].includes(
      loss.inputs[name]?.kindFor(params) ?? '',
    )
  const known = Object.entries(inputs).filter(
    ([name, { length }]) => name !== of && length > 0 && isNumeric(name),
  )
  return Object.fromEntries(
    known.map(([name, data]) => {
      const numbers = Array.from(data as ArrayLike<number>)
      const [low, high] = numbers.reduce(
        ([a, b], x) => [Math.min(a, x), Math.max(b, x)],
        [numbers[0], numbers[0]],
      )
      return [name, [low, high] as const]
    }),
  )
}

/** Rows that are certified, at most. */
const MOST_ROWS = 2000

/** Equal rows once, with their weights added up; undefined where an input does not belong to single rows. */
function rowsOf(task: ConstantTask, loss: Loss): WeightedSample[] | undefined {
  const { inputs, of, width, stride, weights } = task
  const count = inputs[of].length / width
  if (stride !== 1 || weights.length !== count) return undefined
  const others = Object.keys(loss.inputs).filter((name) => name !== of && inputs[name] !== undefined)
  const rows = new Map<string, WeightedSample>()
  for (let row = 0; row < count; row++) {
    if (weights[row] === 0) continue
    const own: Record<string, readonly number[]> = {}
    for (const name of others) {
      const data = inputs[name]
      const isShared = loss.inputs[name].axes.length === 0
      const each = isShared ? data.length : data.length / count
      if (!Number.isInteger(each)) return undefined
      const start = isShared ? 0 : row * each
      own[name] = Array.from({ length: each }, (_, i) => Number(data[start + i]))
    }
    const key = JSON.stringify(own)
    rows.set(key, { inputs: own, weight: weights[row] + (rows.get(key)?.weight ?? 0) })
    if (rows.size > MOST_ROWS) return undefined
  }
  return [...rows.values()]
}
