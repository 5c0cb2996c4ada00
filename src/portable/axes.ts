/** The sizes that a kernel needs: what the host writes, and how those of all axes follow from them. */
import { type Code, f64, i32 } from '../engines/compiled/wasm-encoder.ts'
import { real } from './code.ts'
import type { PortableLoss } from './contract.ts'

/** The first and the last of the axes that `...` stands for. */
export const FIRST_OF_REST = '...[0]'
export const LAST_OF_REST = '...[-1]'

/** Names of the sizes that the host writes, in order. */
export function sizeNames(loss: PortableLoss): string[] {
  const { program, inputs, first, isBare } = loss
  const roots = [...program.axes, ...inputs.flatMap(({ axes }) => axes)].map((axis) => rootOf(loss, axis))
  const own = [...new Set(roots)].filter((root) => !isNumber(root) && !(isBare && root === '...'))
  const isSplit = first === '...' && !isBare
  const last = inputs.some(({ isSpread }) => isSpread) ? [LAST_OF_REST] : []
  return [...own, ...(isSplit ? [FIRST_OF_REST] : []), ...last]
}

/** The axis or the number that an axis has the size of. */
export function rootOf(loss: Pick<PortableLoss, 'roots' | 'program' | 'longer'>, axis: string): string {
  const { roots, program, longer } = loss
  const all = [program, ...longer.map((form) => form.program)]
  const renamed = all.find((own) => Object.hasOwn(own.renamed, axis))?.renamed[axis]
  const root = Object.hasOwn(roots, axis) ? roots[axis] : renamed
  return root === undefined || root === axis ? axis : rootOf(loss, root)
}

const isNumber = (root: string) => /^\d+$/.test(root)

/** Sizes as code, given that of a name. */
export class AxisSizes {
  readonly #loss: PortableLoss
  readonly #names: readonly string[]
  readonly #load: (place: number) => Code

  /** @param load the word at a place of `sizeNames` */
  constructor(loss: PortableLoss, load: (place: number) => Code) {
    this.#loss = loss
    this.#names = sizeNames(loss)
    this.#load = load
  }

  /** As int32. */
  whole(axis: string): Code {
    const root = rootOf(this.#loss, axis)
    if (isNumber(root)) return i32(Number(root))
    const place = this.#names.indexOf(root)
    return place < 0 ? i32(1) : this.#load(place)
  }

  /** As float64. */
  real(axis: string): Code {
    const root = rootOf(this.#loss, axis)
    return isNumber(root) ? f64(Number(root)) : real(this.whole(axis))
  }

  wholes(axes: readonly string[]): Code[] {
    return axes.map((axis) => this.whole(axis))
  }

  reals(axes: readonly string[]): Code[] {
    return axes.map((axis) => this.real(axis))
  }

  /** The rows that sample weights apply to. */
  get rows(): Code {
    return this.whole(this.#loss.first === '...' ? FIRST_OF_REST : this.#loss.first)
  }
}
