/** The engine's values and gradients -> the caller's answer: reduced, in the caller's dtypes, shapes and spelling. */
import type { JobResult } from '../batching/job.ts'
import { Problem, pointerTo, problemAt } from '../errors.ts'
import { reduceValues, settle, silentRows, type Weighed, type Weighing } from '../losses/reduce.ts'
import type { Answer, AnswerTensor } from '../wire/define.ts'
import type { NumericArray } from './tensor.ts'
import { firstAxis, type Understood } from './understood.ts'
import { valueShape } from './weigh.ts'

/**
 * @throws Problem `non-finite-result` under `nonfinite: error`
 */
export function makeAnswer(
  request: Understood,
  weighing: Weighing,
  result: Pick<JobResult, 'values' | 'denominators' | 'gradients'>,
): Answer {
  const { options, tensors, wants, precision } = request
  const weighed = settle(weighing, result.denominators)
  const silent = silentRows(weighing)
  const gradients = wants.map((name) => {
    const tensor = tensors.get(name)!
    const scaled = scale(result.gradients[name], weighed.gradientScale)
    const data = silenced(request, name, scaled, silent, weighing.rows)
    const dtype = options.gradientDtype ?? tensor.dtype
    return [name, { dtype, shape: tensor.shape, data, spelling: tensor.spelling }] as const
  })
  const loss: AnswerTensor = {
    dtype: precision,
    shape: options.reduction === 'none' ? valueShape(request) : [],
    data: reduceValues(result.values, weighed),
    spelling: lossSpelling(request),
  }
  const finite = allFinite(loss.data) && gradients.every(([, { data }]) => allFinite(data))
  if (!finite && options.nonfinite === 'error') throw nonFinite(loss, gradients)
  const members = { denominator: denominatorMember(request, weighed), count: weighed.counted, finite }
  return { loss, gradients: new Map(gradients), members }
}

/** An unreduced loss is spelled as the predictions were; a single number needs no shape and dtype around it. */
function lossSpelling({ options, tensors }: Understood): AnswerTensor['spelling'] {
  const spelling = [...tensors.values()][0].spelling
  return spelling === 'binary' || options.reduction === 'none' ? spelling : 'nested'
}

/** What the sum was divided by. */
function denominatorMember({ options }: Understood, { denominator, rows }: Weighed): number {
  if (options.reduction === 'mean') return denominator
  return options.reduction === 'batchmean' ? rows : 1
}

/** A mean over nothing has no gradient, whatever was computed. */
function scale(gradient: NumericArray, by: number): NumericArray {
  if (by === 1) return gradient
  return by === 0 ? gradient.slice().fill(0) : gradient.map((g) => g * by)
}

/** A row that counts nothing has no gradient, whatever it holds: 0 x NaN would be NaN. */
function silenced(
  request: Understood,
  name: string,
  gradient: NumericArray,
  silent: number[],
  rows: number,
): NumericArray {
  const layout = request.arrays.layouts[name].axes
  if (silent.length === 0 || layout[0] !== firstAxis(request.loss) || request.loss.couples === 'batch')
    return gradient
  const width = gradient.length / rows
  const cleared = gradient.slice()
  for (const row of silent) cleared.fill(0, row * width, (row + 1) * width)
  return cleared
}

function allFinite(data: NumericArray): boolean {
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return false
  return true
}

function nonFinite(loss: AnswerTensor, gradients: readonly (readonly [string, AnswerTensor])[]): Problem {
  const all = [
    ['loss', loss] as const,
    ...gradients.map(([name, tensor]) => [`gradients/${name}`, tensor] as const),
  ]
  for (const [name, { data, shape }] of all) {
    const wrong = data.findIndex((x) => !Number.isFinite(x))
    if (wrong >= 0) return problemAt('non-finite-result', pointerTo(name, shape, wrong), `is ${data[wrong]}`)
  }
  return new Problem('non-finite-result', 'the result is not finite')
}
