/** Which gradients a request asks for, and whether they exist. */
import { type Problem, problemAt } from '../errors.ts'
import type { InputLayout } from '../language/ir.ts'
import type { BatchDependence, InputSpec, Loss } from '../losses/define.ts'
import { didYouMean, suggesting } from '../nearest.ts'
import { isInteger } from '../tensor.ts'
import type { TensorInfo } from '../wire/define.ts'
import type { RequestOptions } from './options.ts'
import { MAX_REPORTED, suggestInput, throwUnknownNames } from './unknown-names.ts'

/**
 * The inputs to differentiate, in the loss's order.
 *
 * @throws Problem `unknown-name`, `invalid-value`, `missing-input`, `dtype-unsupported`
 */
export function wantedGradients(
  loss: Loss,
  tensors: ReadonlyMap<string, TensorInfo>,
  layouts: Readonly<Record<string, InputLayout>>,
  { gradients }: RequestOptions,
): string[] {
  if (gradients === false) return []
  if (gradients === true) return defaultGradients(loss, tensors)
  const offered = Object.keys(loss.inputs).filter((name) =>
    isDifferentiable(loss.inputs[name], layouts[name]),
  )
  checkAreInputs(loss, offered, gradients)
  gradients.forEach((name, place) => {
    checkWanted(loss, tensors, offered, name, `/gradients/${place}`)
  })
  return Object.keys(loss.inputs).filter((name) => gradients.includes(name))
}

/**
 * The inputs whose second derivative is also requested: the differentiated inputs that belong to single rows.
 *
 * @throws Problem `invalid-value` if rows depend on each other, or none of the inputs belongs to single rows
 */
export function wantedHessians(
  { name, inputs }: Loss,
  couples: BatchDependence,
  wants: readonly string[],
  first: string,
  { hessian }: RequestOptions,
): string[] {
  if (hessian === 'none') return []
  const own = wants.filter((input) => inputs[input].axes[0] === first)
  if (couples !== 'element' && couples !== 'row') {
    const detail = `diagonal requires a loss whose rows are independent; ${name} couples the rows of a ${couples}`
    throw problemAt('invalid-value', '/hessian', detail)
  }
  if (own.length > 0) return own
  const possible = Object.keys(inputs).filter(
    (input) => inputs[input].axes[0] === first && inputs[input].differentiable,
  )
  const has = possible.length === 0 ? 'which has none' : `which has those of ${possible.join(', ')}`
  const detail = `diagonal requires the gradient of an input with rows; the request asks for none of ${name}, ${has}`
  throw problemAt('invalid-value', '/hessian', detail)
}

function defaultGradients(loss: Loss, tensors: ReadonlyMap<string, TensorInfo>): string[] {
  if (!Object.values(loss.inputs).some(({ differentiable }) => differentiable)) {
    const detail = `no input of ${loss.name} is declared with "differentiable": true; declare one, or send "gradients": false`
    throw problemAt('invalid-value', '/gradients', detail)
  }
  const marked = [...tensors.keys()].filter((name) => loss.inputs[name].differentiable)
  const real = marked.filter((name) => !isInteger(tensors.get(name)!.dtype))
  if (real.length === 0) throw onlyIntegers(marked)
  return real
}

/** The problem of a request for gradients whose inputs were all sent as integers. */
export function onlyIntegers(names: readonly string[]): Problem {
  const detail = `there is no gradient: ${names.join(', ')} were sent as integers; send floats, or "gradients": false`
  return problemAt('dtype-unsupported', '/gradients', detail)
}

/** Class probabilities are differentiable if they were sent, although class indices are not. */
function isDifferentiable(spec: InputSpec, layout: InputLayout | undefined): boolean {
  return spec.differentiable || (spec.kind === 'class_or_probability' && layout?.type === 'real')
}

/** Reports all names that are not inputs at once. */
function checkAreInputs(loss: Loss, offered: readonly string[], gradients: readonly string[]) {
  const strange = gradients.flatMap((name, place) =>
    Object.hasOwn(loss.inputs, name) ? [] : [{ name, place }],
  )
  const errors = strange.slice(0, MAX_REPORTED).map(({ name, place }) => {
    const meant = suggestInput(loss, name, (input) => offered.includes(input))
    const hint = meant === undefined ? didYouMean(name, offered) : suggesting(meant)
    return { pointer: `/gradients/${place}`, detail: `${hasGradients(loss, offered)}${hint}` }
  })
  if (errors.length > 0) throwUnknownNames(errors)
}

function hasGradients({ name }: Loss, offered: readonly string[]): string {
  return `${name} has ${offered.length === 0 ? 'no gradients' : `gradients of ${offered.join(', ')}`} here`
}

function checkWanted(
  loss: Loss,
  tensors: ReadonlyMap<string, TensorInfo>,
  offered: readonly string[],
  name: string,
  pointer: string,
) {
  if (!offered.includes(name)) {
    throw problemAt('invalid-value', pointer, hasGradients(loss, offered))
  }
  const tensor = tensors.get(name)
  if (tensor === undefined) throw problemAt('missing-input', pointer, `${name} was not sent`)
  if (isInteger(tensor.dtype)) {
    throw problemAt(
      'dtype-unsupported',
      pointer,
      `${name} was sent as ${tensor.dtype}; a gradient requires floats`,
    )
  }
}
