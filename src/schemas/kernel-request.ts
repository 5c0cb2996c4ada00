/** What a request for a portable kernel wants: a query or a body -> the plan of a request of that structure -> the loss. */
import { cut, Problem, pointerToken, problemAt } from '../errors.ts'
import { axesText, expandLoss, type InputSpec, type Loss, type ResolvedLoss } from '../losses/define.ts'
import { declaredSizes, holdsIndices } from '../losses/program.ts'
import { programsBySize } from '../losses/sized-program.ts'
import { didYouMean } from '../nearest.ts'
import {
  FEATURES,
  type Features,
  type IndexCheck,
  type PortableInput,
  type PortableLoss,
  type Silencer,
} from '../portable/contract.ts'
import { DTYPES, type Dtype, type Precision } from '../tensor.ts'
import type { DecodedTensor } from '../wire/define.ts'
import { rangeOfKind } from './input-kinds.ts'
import type { InputRule } from './inputs.ts'
import { jsonObject } from './json-parameter.ts'
import type { RequestPlan, RequestPlanSource } from './request-plan.ts'
import { checkParams } from './unknown-names.ts'

/** The members of a request for a kernel, all of them optional. */
export const KERNEL_OPTIONS = ['inputs', 'params', 'gradients', 'hessian', 'layout', 'features'] as const

export type KernelAsk = Readonly<Record<string, unknown>>

/** What a kernel is written from. */
export interface KernelRequest {
  readonly loss: PortableLoss
  readonly features: Features
  /** Members of the manifest that the kernel itself does not need. */
  readonly about: Readonly<Record<string, unknown>>
  /** Equal keys mean equal kernels. */
  readonly key: string
}

/**
 * @param plans must not be asked for real requests with the same structure, which never equals a structure of this
 * @throws Problem
 * @example
 * kernelRequest(resolved, { inputs: 'predictions:float32[rows,classes];targets:int32[rows]' }, plans)
 */
export function kernelRequest(
  resolved: ResolvedLoss,
  ask: KernelAsk,
  plans: RequestPlanSource,
): KernelRequest {
  checkMembers(ask)
  const features = featuresOf(ask)
  const params = ask.params === undefined ? {} : jsonObject(ask.params, '/params')
  const { inputs } = expandLoss(resolved.loss, checkParams(resolved, params))
  const tensors = tensorsOf(ask.inputs, inputs)
  const decoded = { tensors, options: optionsOf(ask, params) }
  const plan = plans(resolved, decoded)
  const loss = portableLoss(plan)
  const { key: programKey, scalars } = formsOf(plan).at(-1)!.made
  const dtypes = loss.inputs.map(({ name, dtype }) => `${name}:${dtype}`)
  const isBare = String(loss.isBare)
  const key = [
    programKey,
    features,
    plan.precision,
    isBare,
    ...dtypes,
    ...Object.entries(scalars).flat(),
  ].join('|')
  return { loss, features, about: aboutOf(resolved, plan), key }
}

const formsOf = ({ programs, loss, signature }: RequestPlan) => programsBySize(programs, loss, signature)

function checkMembers(ask: KernelAsk) {
  const strange = Object.keys(ask).find((member) => !(KERNEL_OPTIONS as readonly string[]).includes(member))
  if (strange === undefined) return
  const detail = `is not an option of a kernel: ${KERNEL_OPTIONS.join(', ')}${didYouMean(strange, KERNEL_OPTIONS)}`
  throw problemAt('unknown-name', `/${pointerToken(strange)}`, detail)
}

function featuresOf({ features = 'simd' }: KernelAsk): Features {
  const found = FEATURES.find((name) => name === features)
  if (found !== undefined) return found
  const detail = `must be ${FEATURES.join(' or ')}, got ${cut(JSON.stringify(features))}`
  throw problemAt('invalid-value', '/features', detail)
}

function optionsOf({ gradients, hessian, layout }: KernelAsk, params: object): Map<string, unknown> {
  const options = new Map<string, unknown>([
    ['params', params],
    ['reduction', 'sum'],
  ])
  if (gradients !== undefined) options.set('gradients', gradientsOf(gradients))
  if (hessian !== undefined) options.set('hessian', hessian)
  if (layout !== undefined) options.set('layout', layout)
  return options
}

/** `a,b`, a list, or `false`. */
function gradientsOf(value: unknown): unknown {
  if (value === 'false' || value === '') return false
  if (value === 'true') return true
  return typeof value === 'string' ? value.split(',') : value
}

// The inputs

/** Sizes that stand for axes that are only named. No two are equal, so that mismatches are found. */
const PLACEHOLDERS = [64, 67, 71, 73, 79, 83, 89, 97] as const

const INPUT = /^\s*([^:[\]\s]+)\s*:\s*(\w+)\s*\[([^\]]*)\]\s*$/

function tensorsOf(given: unknown, inputs: Loss['inputs']): Map<string, DecodedTensor> {
  const sizes = new Map<string, number>()
  if (given === undefined) return new Map(requiredOf(inputs).map((text) => tensorOf(text, sizes)))
  if (typeof given !== 'string') throw problemAt('invalid-value', '/inputs', FORM)
  const texts = given.split(';').filter((text) => text.trim() !== '')
  return new Map(texts.map((text) => tensorOf(text, sizes)))
}

const FORM = 'must be inputs with their dtype and axes: predictions:float32[rows,classes];targets:int32[rows]'

/** Names of axes, or sizes: a kernel serves all sizes, so only their number and the equal ones among them matter. */
function tensorOf(text: string, sizes: Map<string, number>): [string, DecodedTensor] {
  const [, name, dtype, axes] = INPUT.exec(text) ?? []
  if (name === undefined) throw problemAt('invalid-value', '/inputs', `${FORM}, got ${cut(text)}`)
  if (!(DTYPES as readonly string[]).includes(dtype)) {
    const detail = `${name} has the dtype ${cut(dtype)}, but dtypes are ${DTYPES.join(', ')}`
    throw problemAt('invalid-value', '/inputs', detail)
  }
  const parts = axes.trim() === '' ? [] : axes.split(',').map((axis) => axis.trim())
  const shape = parts.map((axis) => sizeOf(axis, sizes))
  return [name, { dtype: dtype as Dtype, shape, data: new Float32Array(), encoding: 'binary', typed: true }]
}

function sizeOf(axis: string, sizes: Map<string, number>): number {
  if (/^\d{1,9}$/.test(axis)) return Number(axis)
  const known = sizes.get(axis) ?? PLACEHOLDERS[sizes.size]
  if (known === undefined) {
    throw problemAt('invalid-value', '/inputs', `names more than ${PLACEHOLDERS.length} axes`)
  }
  sizes.set(axis, known)
  return known
}

/** `...` is one axis where it stands alone, and none beside others. */
function requiredOf(inputs: Loss['inputs']): string[] {
  const isAlone = Object.values(inputs)[0].axes[0] === '...'
  const declared = declaredSizes({ inputs })
  const named = (spec: InputSpec) =>
    spec.axes.flatMap((axis) => (axis !== '...' ? [declared[axis] ?? axis] : isAlone ? ['n'] : []))
  return Object.entries(inputs)
    .filter(([, { optional }]) => !optional)
    .map(([name, spec]) => `${name}:${holdsIndices(spec, spec.axes) ? 'int32' : 'float32'}[${named(spec)}]`)
}

// The loss

function portableLoss(plan: RequestPlan): PortableLoss {
  const { precision, axes, first, couples, loss } = plan
  const forms = formsOf(plan)
  const { program, scalars } = forms.at(-1)!.made
  return {
    program,
    longer: forms.slice(0, -1).map(({ from, made }) => ({ from, program: made.program })),
    precision,
    scalars,
    inputs: plan.inputs.map((rule) => portableInput(plan, rule)),
    roots: declaredSizes(loss),
    isBare: axes.rest.length === 0,
    first,
    couples,
    lengths: loss.meanPer,
  }
}

function portableInput(plan: RequestPlan, rule: InputRule): PortableInput {
  const { name, isIndex, kind, excepted, paddedTo, spread, ordered } = rule
  const range = isIndex ? undefined : rangeOfKind(kind)
  return {
    name,
    axes: plan.layouts[name].axes,
    dtype: isIndex ? 'int32' : storedAs(plan.tensors.get(name)!.dtype, plan.precision),
    range: range && { low: range.low, high: range.high, only: range.only },
    indices: isIndex ? indicesOf(plan, rule) : undefined,
    ordered: ordered && !isIndex,
    excepted,
    paddedTo,
    silencers: spread === undefined ? silencersOf(plan, name) : [],
    isSpread: spread !== undefined,
  }
}

/** float32 stays as it is among float64, and is widened where it is read. */
function storedAs(dtype: Dtype, precision: Precision): Precision {
  return precision === 'float64' && !/^b?float(16|32)$/.test(dtype) ? 'float64' : 'float32'
}

/** As in inputs.ts: with neither classes nor another axis, labels are only compared with each other. */
function indicesOf({ loss, axes }: RequestPlan, { name, ignored }: InputRule): IndexCheck | undefined {
  const { places, atMost, kind } = loss.inputs[name]
  if (places !== undefined) return { ...places, ignored }
  if (atMost !== undefined) return { axis: atMost, offset: 1, ignored }
  if (kind === 'count') return { axis: undefined, offset: 0, ignored }
  return Object.hasOwn(axes.sizes, 'classes') ? { axis: 'classes', offset: 0, ignored } : undefined
}

function silencersOf({ loss, layouts, options }: RequestPlan, name: string): Silencer[] {
  const ignored = options.params.ignore_index
  return Object.keys(layouts).flatMap((input): Silencer[] => {
    const { type, axes } = layouts[input]
    const missing = axes.filter((axis) => !layouts[name].axes.includes(axis))
    if (input === name || missing.some((axis) => axis !== 'classes')) return []
    if (loss.inputs[input].masks) return [{ input, where: 'not 1' }]
    return type === 'index' && typeof ignored === 'number' ? [{ input, where: ignored }] : []
  })
}

// The manifest

/** What clients check before they call a kernel, and what they say about a number that it refuses. */
function aboutOf({ loss: { name, id } }: ResolvedLoss, plan: RequestPlan): Record<string, unknown> {
  const { loss, options, couples, wants, hessians, valueAxes, first } = plan
  return {
    loss: name,
    id,
    couples,
    fixed: options.params,
    schema: loss.params.properties,
    sampleWeight: valueAxes.includes(first),
    gradients: wants,
    hessians,
    checks: plan.inputs.map((rule) => checkOf(plan, rule)),
  }
}

function checkOf(plan: RequestPlan, rule: InputRule) {
  const { name, kind, isIndex, outside, excepted, takesTruths } = rule
  const spec = plan.loss.inputs[name]
  const range = isIndex ? undefined : rangeOfKind(kind)
  return {
    name,
    kind,
    axes: axesText(spec),
    integers: isIndex,
    truths: takesTruths,
    ...(range === undefined ? {} : { words: range.words }),
    ...(isIndex ? { indices: indicesOf(plan, rule) ?? null } : {}),
    ...(excepted === undefined ? {} : { excepted }),
    ...(outside === '' ? {} : { outside }),
  }
}

/** The problem of a loss that has no kernel. */
export function kernelUnavailable(loss: Pick<Loss, 'name'>, why: string): Problem {
  return new Problem(
    'kernel-unavailable',
    `${loss.name} has no portable kernel: ${why}; let the service compute it`,
  )
}
