/**
 * Shape inference: matches the shapes of a request with the axes that the loss declares. Every axis gets its size,
 * or the request is rejected.
 */
import { pluralize, problemAt } from '../errors.ts'
import type { Loss, Params } from '../losses/define.ts'
import { declaredSizes } from '../losses/program.ts'
import { sizeOf } from '../tensor.ts'
import type { TensorInfo } from '../wire/define.ts'
import type { RequestOptions } from './options.ts'

/** What the shapes of one request determine. */
export interface Axes {
  /** Axis -> size. `...` is the product of the axes that it stands for. */
  readonly sizes: Readonly<Record<string, number>>
  /** The sizes of the axes that `...` stands for. */
  readonly rest: readonly number[]
  /** Input -> its axes from slowest to fastest. */
  readonly layouts: ReadonlyMap<string, readonly string[]>
}

interface Draft {
  /** Axes with a declared size -> that size: another axis, or a number. */
  readonly declared: Readonly<Record<string, string>>
  readonly sizes: Record<string, { size: number; from: string }>
  rest: { shape: readonly number[]; from: string } | undefined
  readonly layouts: Map<string, readonly string[]>
}

/**
 * @param tensors the inputs in the request, in the loss's order
 * @throws Problem `shape-mismatch`, `param-invalid` (class_axis)
 */
export function matchAxes(
  loss: Loss,
  tensors: ReadonlyMap<string, TensorInfo>,
  { params, layout }: Pick<RequestOptions, 'params' | 'layout'>,
): Axes {
  const draft: Draft = { declared: declaredSizes(loss), sizes: {}, rest: undefined, layouts: new Map() }
  for (const [name, tensor] of tensors) {
    if (!loss.inputs[name].trailing) matchInput(loss, draft, name, tensor, params, layout)
  }
  const rest = draft.rest?.shape ?? []
  const sizes = Object.fromEntries(Object.entries(draft.sizes).map(([axis, { size }]) => [axis, size]))
  return {
    sizes: draft.rest === undefined ? sizes : { ...sizes, '...': sizeOf(rest) },
    rest,
    layouts: draft.layouts,
  }
}

function matchInput(
  loss: Loss,
  draft: Draft,
  name: string,
  { shape }: TensorInfo,
  params: Params,
  order: RequestOptions['layout'],
) {
  const declared = inOrder(declaredAxes(loss, draft, name, shape, params), order)
  const named = declared.filter((axis) => axis !== '...')
  const hasRest = named.length < declared.length
  if (hasRest ? shape.length < named.length : shape.length !== named.length)
    throw wrongRank(name, shape, declared)
  const restRank = shape.length - named.length
  let place = 0
  for (const axis of declared) {
    const width = axis === '...' ? restRank : 1
    const part = shape.slice(place, place + width)
    if (axis === '...') matchRest(draft, name, part, loss)
    else matchSize(draft, name, axis, part[0])
    place += width
  }
  draft.layouts.set(name, restRank === 0 && hasRest ? restFirst(declared) : declared)
}

/**
 * An empty `...` has one element, so its position does not matter. Next to the rows, it leaves the classes
 * contiguous in memory.
 */
function restFirst(axes: readonly string[]): readonly string[] {
  if (axes[0] === '...' || axes[0] === 'classes' || !axes.includes('...')) return axes
  const [first, ...others] = axes.filter((axis) => axis !== '...')
  return [first!, '...', ...others]
}

/** The declared axes in the order of this request: class_axis moves `classes`, and one number per class adds it. */
function declaredAxes(
  loss: Loss,
  draft: Draft,
  name: string,
  shape: readonly number[],
  params: Params,
): readonly string[] {
  const { axes, perClass } = loss.inputs[name]
  if (perClass) return axesByRank(draft, shape, axes)
  const movable = axes.includes('classes') && axes.includes('...') && typeof params.class_axis === 'number'
  return movable ? withClassAxis(axes, shape, params.class_axis as number) : axes
}

/** If it has the rank of the input before it, it has one number per class; with one rank less, one for all classes. */
function axesByRank(draft: Draft, shape: readonly number[], axes: readonly string[]): readonly string[] {
  const layout = [...draft.layouts.values()].find((matched) => matched.length > 0)
  if (layout === undefined) return axes
  const rank = layout.length - (layout.includes('...') ? 1 : 0) + (draft.rest?.shape.length ?? 0)
  return shape.length === rank ? layout : axes
}

/** Class-major: tensors with rows and classes have the classes first. */
function inOrder(axes: readonly string[], order: RequestOptions['layout']): readonly string[] {
  if (order === 'row' || !axes.includes('classes') || axes[0] === 'classes') return axes
  return ['classes', ...axes.filter((axis) => axis !== 'classes')]
}

function withClassAxis(axes: readonly string[], shape: readonly number[], given: number): readonly string[] {
  const place = given < 0 ? given + shape.length : given
  const isLast = place === shape.length - 1
  if (shape.length >= 2 && place !== 1 && !isLast) {
    throw problemAt('param-invalid', '/params/class_axis', `must be 1 or the last axis (-1), got ${given}`)
  }
  if (!isLast || shape.length <= 2) return axes
  return [...axes.filter((axis) => axis !== 'classes'), 'classes']
}

function matchSize({ declared, sizes }: Draft, name: string, axis: string, size: number) {
  const source = declared[axis] ?? axis
  const known = sizes[source]
  if (/^\d+$/.test(source) && size !== Number(source)) {
    const which = axis === source ? 'an axis that' : `its axis ${axis}, which`
    const detail = `has ${pluralize(size, 'elements')} along ${which} must have ${source}`
    throw problemAt('shape-mismatch', `/${name}`, detail)
  }
  if (known !== undefined && known.size !== size) {
    const [own, other] =
      axis === source ? [along(axis, size), ''] : [`${size} along its axis ${axis}`, ` ${source}`]
    throw problemAt('shape-mismatch', `/${name}`, `has ${own}, but ${known.from} has ${known.size}${other}`)
  }
  sizes[source] = known ?? { size, from: name }
  sizes[axis] = sizes[source]
}

/** `1 class`, `3 along its axis dim`. */
function along(axis: string, size: number): string {
  return axis.endsWith('s') ? pluralize(size, axis) : `${size} along its axis ${axis}`
}

function matchRest(draft: Draft, name: string, shape: readonly number[], { family }: Loss) {
  const known = draft.rest
  if (known !== undefined && !sameShape(known.shape, shape)) {
    const [got, want] = [formatShape(shape), formatShape(known.shape)]
    throw problemAt(
      'shape-mismatch',
      `/${name}`,
      `has shape ${got}, but ${known.from} has ${want}; inputs are not broadcast${family === 'custom' ? numberHint(draft, name, shape) : ''}`,
    )
  }
  draft.rest = known ?? { shape, from: name }
}

/** A single number among tensors may be intended for all rows, but that has to be declared. */
function numberHint({ rest }: Draft, name: string, shape: readonly number[]): string {
  const single = shape.length === 0 ? name : rest!.shape.length === 0 ? rest!.from : undefined
  return single === undefined ? '' : `. If ${single} is one number for all rows, declare its axes as ""`
}

function wrongRank(name: string, shape: readonly number[], declared: readonly string[]) {
  return problemAt(
    'shape-mismatch',
    `/${name}`,
    `expected ${declared.length === 0 ? 'one number' : `axes [${declared.join(', ')}]`}, got shape ${formatShape(shape)}`,
  )
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, place) => size === b[place])
}

export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}
