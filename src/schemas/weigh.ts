/** What each value of a request counts, where it brings weights or a cotangent of its own. */
import { problemAt } from '../errors.ts'
import { denominatorOf, type Weighing } from '../losses/reduce.ts'
import type { NumericArray } from '../tensor.ts'
import type { Decoded } from '../wire/define.ts'
import { sameShape, show } from './axes.ts'
import { checkFinite, checkNoTruths } from './inputs.ts'
import { realNumbers } from './kinds.ts'
import type { Outline } from './outline.ts'
import type { COMMON_TENSORS } from './request.ts'

/**
 * @param data the inputs as they were read
 * @returns the outline's own weighing where the request has neither
 * @throws Problem `shape-mismatch`, `invalid-value`
 */
export function weigh(
  outline: Outline,
  decoded: Decoded,
  data: Readonly<Record<string, NumericArray>>,
): Weighing {
  const { meanPer } = outline.loss
  const isPlain = !decoded.tensors.has('sample_weight') && !decoded.tensors.has('grad_output')
  if (isPlain && meanPer === undefined) return outline.weighing
  const weighing = {
    ...outline.weighing,
    sampleWeight: commonTensor(outline, decoded, 'sample_weight', [outline.weighing.rows]),
    gradOutput: gradOutput(outline, decoded),
    per: meanPer === undefined ? undefined : data[meanPer],
  }
  const isKnown = outline.options.denominator !== undefined || weighing.denominator === undefined
  return isKnown ? weighing : { ...weighing, denominator: denominatorOf(weighing, undefined) }
}

function gradOutput(outline: Outline, decoded: Decoded): NumericArray | undefined {
  const { reduction, gradients } = outline.options
  if (!decoded.tensors.has('grad_output')) return undefined
  if (gradients === false) {
    throw problemAt('invalid-value', '/grad_output', 'goes with gradients, which were declined')
  }
  if (reduction !== 'none') {
    throw problemAt('invalid-value', '/grad_output', `goes with reduction none, not with ${reduction}`)
  }
  return commonTensor(outline, decoded, 'grad_output', outline.valueShape)
}

function commonTensor(
  { options, precision }: Outline,
  { tensors }: Decoded,
  name: keyof typeof COMMON_TENSORS,
  shape: readonly number[],
): NumericArray | undefined {
  const tensor = tensors.get(name)
  if (tensor === undefined) return undefined
  checkNoTruths(name, tensor)
  if (!sameShape(tensor.shape, shape)) {
    throw problemAt('shape-mismatch', `/${name}`, `must have shape ${show(shape)}, got ${show(tensor.shape)}`)
  }
  if (options.nonfinite === 'error') checkFinite(name, tensor)
  return realNumbers(name, tensor, 'real', precision)
}
