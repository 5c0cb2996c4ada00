/** What each value of a request counts: its reduction, weights and denominator, checked against the shapes. */
import { Problem, problemAt } from '../errors.ts'
import { elementsOf, valueAxes } from '../language/ir.ts'
import type { Weighing } from '../losses/reduce.ts'
import { sameShape, show } from './axes.ts'
import { checkFinite } from './inputs.ts'
import { realNumbers } from './kinds.ts'
import type { COMMON_TENSORS } from './request.ts'
import type { NumericArray } from './tensor.ts'
import { firstAxis, type Understood } from './understood.ts'

/**
 * Reduction, weights and denominator.
 *
 * @throws Problem `empty-batch`, `shape-mismatch`, `invalid-value`
 */
export function weigh(request: Understood): Weighing {
  const { axes, program, options, precision } = request
  const first = firstAxis(request.loss)
  const values = valueAxes(program.program)
  const count = elementsOf(values, axes.sizes)
  const rows = first === '...' ? (axes.rest[0] ?? 1) : axes.sizes[first]
  checkNotHollow(request, first)
  if (
    count === 0 &&
    options.reduction !== 'sum' &&
    options.reduction !== 'none' &&
    options.denominator === undefined
  ) {
    const detail = `the ${options.reduction} over an empty batch is undefined; use sum, none, or give a denominator`
    throw new Problem('empty-batch', detail)
  }
  return {
    reduction: options.reduction,
    count,
    rows,
    sampleWeight: commonTensor(request, 'sample_weight', [rows]),
    gradOutput: gradOutput(request),
    denominator: options.denominator ?? (program.program.denominators === undefined ? count : undefined),
    precision,
  }
}

/** Rows may be missing; classes, dimensions and the like may not. */
function checkNotHollow({ axes, tensors }: Understood, first: string) {
  const hollow = Object.keys(axes.sizes).find((axis) => axis !== first && axes.sizes[axis] === 0)
  if (hollow === undefined) return
  const owner = [...tensors.keys()].find((name) => axes.layouts.get(name)?.includes(hollow))
  throw problemAt('shape-mismatch', `/${owner}`, `the axis ${hollow} must not be empty`)
}

function gradOutput(request: Understood): NumericArray | undefined {
  if (!request.decoded.tensors.has('grad_output')) return undefined
  if (request.options.reduction !== 'none') {
    throw problemAt(
      'invalid-value',
      '/grad_output',
      `goes with reduction none, not with ${request.options.reduction}`,
    )
  }
  return commonTensor(request, 'grad_output', valueShape(request))
}

function commonTensor(
  { decoded, options, precision }: Understood,
  name: keyof typeof COMMON_TENSORS,
  shape: readonly number[],
): NumericArray | undefined {
  const tensor = decoded.tensors.get(name)
  if (tensor === undefined) return undefined
  if (!sameShape(tensor.shape, shape)) {
    throw problemAt('shape-mismatch', `/${name}`, `must have shape ${show(shape)}, got ${show(tensor.shape)}`)
  }
  if (options.nonfinite === 'error') checkFinite(name, tensor)
  return realNumbers(name, tensor, 'real', precision)
}

/** Shape of the unreduced loss. */
export function valueShape({ program, axes }: Understood): number[] {
  return valueAxes(program.program).flatMap((axis) => (axis === '...' ? axes.rest : [axes.sizes[axis]]))
}
