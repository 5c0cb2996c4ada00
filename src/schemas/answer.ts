/** The engine's values and gradients -> the caller's answer: reduced, in the caller's dtypes, shapes and spelling. */
import type { JobResult } from '../batching/job.ts'
import { Problem, pointerTo, problemAt } from '../errors.ts'
import { reduceValues, settle, silentRows, type Weighed, type Weighing } from '../losses/reduce.ts'
import type { Answer, AnswerTensor } from '../wire/define.ts'
import type { Outline } from './outline.ts'
import type { NumericArray } from './tensor.ts'

/**
 * @throws Problem `non-finite-result` under `nonfinite: error`
 */
export function makeAnswer(
  request: Outline,
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
    shape: options.reduction === 'none' ? request.valueShape : [],
    data: reduceValues(result.values, weighed),
    spelling: lossSpelling(request),
  }
  const finite = allFinite(loss.data) && gradients.every(([, { data }]) => allFinite(data))
  if (!finite && options.nonfinite === 'error') throw nonFinite(loss, gradients)
  const members = { denominator: denominatorMember(request, weighed), count: weighed.counted, finite }
  return { loss, gradients: new Map(gradients), members, structure: request }
}

/** An unreduced loss is spelled as the predictions were; a single number needs no shape and dtype around it. */
function lossSpelling({ options, tensors }: Outline): AnswerTensor['spelling'] {
  const spelling = [...tensors.values()][0].spelling
  return spelling === 'binary' || options.reduction === 'none' ? spelling : 'nested'
}

/** What the sum was divided by. */
function denominatorMember({ options }: Outline, { denominator, rows }: Weighed): number {
  if (options.reduction === 'mean') return denominator
  return options.reduction === 'batchmean' ? rows : 1
}

/** In place: the gradient is this request's own. A mean over nothing has none, whatever was computed. */
function scale(gradient: NumericArray, by: number): NumericArray {
  if (by === 0) return gradient.fill(0)
  if (by !== 1) for (let i = 0; i < gradient.length; i++) gradient[i] *= by
  return gradient
}

/** A row that counts nothing has no gradient, whatever it holds: 0 x NaN would be NaN. */
function silenced(
  request: Outline,
  name: string,
  gradient: NumericArray,
  silent: number[],
  rows: number,
): NumericArray {
  const layout = request.layouts[name].axes
  if (silent.length === 0 || layout[0] !== request.first || request.loss.couples === 'batch') return gradient
  const width = gradient.length / rows
  for (const row of silent) gradient.fill(0, row * width, (row + 1) * width)
  return gradient
}

/** x * 0 is 0 for a finite number, and NaN for any other; four sums at once, because one would wait for itself. */
function allFinite(data: NumericArray): boolean {
  let [a, b, c, d] = [0, 0, 0, 0]
  const whole = data.length - (data.length % 4)
  for (let i = 0; i < whole; i += 4) {
    a += data[i] * 0
    b += data[i + 1] * 0
    c += data[i + 2] * 0
    d += data[i + 3] * 0
  }
  for (let i = whole; i < data.length; i++) a += data[i] * 0
  return a + b + c + d === 0
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
