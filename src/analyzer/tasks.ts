/** What the thread is asked to do, and what it does. Everything here can be sent between threads. */
import { type Analysis, analyze } from '../analysis/analyze.ts'
import { type CheckReport, checkGradient, type GradientCheck } from '../analysis/check.ts'
import { clockOf } from '../analysis/clock.ts'
import { type Constant, minimize } from '../analysis/constant.ts'
import { type Explanation, explain } from '../analysis/explanation.ts'
import type { Verdict } from '../analysis/verdict.ts'
import { interpret } from '../language/interpret.ts'
import type { Program } from '../language/ir.ts'
import type { Catalog } from '../losses/catalog.ts'
import { customLoss, type Definition } from '../losses/custom.ts'
import type { Loss, Params } from '../losses/define.ts'
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

export type Task = AnalyzeTask | ExplainTask | CheckTask | ConstantTask

export interface ConstantResult extends Constant {
  readonly convexity: Verdict
}

/** Task -> its result. */
export interface Results {
  readonly analyze: Analysis
  readonly explain: Explanation
  readonly check: CheckReport
  readonly constant: ConstantResult
}

/** Does what is asked for. */
export function perform(task: Task, catalog: Catalog): Results[Task['kind']] {
  switch (task.kind) {
    case 'analyze':
      return analyze(questionOf(task, catalog), task.budgetMs, task.properties)
    case 'explain':
      return explain(questionOf(task, catalog), task.budgetMs)
    case 'check':
      return checkGradient(task)
    case 'constant':
      return bestConstant(task, catalog)
  }
}

function questionOf({ source, params, of, domain, sizes }: Asked, catalog: Catalog) {
  return { loss: lossOf(source, catalog), params, of, domain, sizes }
}

function lossOf(source: Source, catalog: Catalog): Loss {
  return 'name' in source ? catalog.find(source.name)! : customLoss(source.definition)
}

function bestConstant(task: ConstantTask, catalog: Catalog): ConstantResult {
  const total = task.weights.reduce((sum, weight) => sum + weight, 0)
  const own = new Float64Array(task.inputs[task.of].length)
  const at = (constant: readonly number[]) => {
    for (let i = 0; i < own.length; i++) own[i] = constant[Math.floor(i / task.stride) % task.width]
    const args = {
      sizes: task.axisSizes,
      inputs: { ...task.inputs, [task.of]: own },
      scalars: task.scalars,
      cotangent: task.weights,
    }
    const { values, gradients } = interpret(task.program, args)
    const gradient = new Array<number>(task.width).fill(0)
    gradients[task.of].forEach((slope, i) => {
      gradient[Math.floor(i / task.stride) % task.width] += slope / total
    })
    const value =
      values.reduce((sum, x, i) => sum + (task.weights[i] === 0 ? 0 : task.weights[i] * x), 0) / total
    return { value, gradient }
  }
  const { range, kinks, width: size } = task
  const found = minimize({ size, at, range, kinks }, clockOf(task.budgetMs))
  const analysis = analyze(questionOf(task, catalog), Math.max(200, task.budgetMs), ['convex'])
  return { ...found, convexity: analysis.properties.convex }
}
