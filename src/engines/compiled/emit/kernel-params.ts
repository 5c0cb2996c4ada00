/**
 * The kernel's parameters: a list of 32-bit words in memory, each of which is read once at the start of the kernel.
 * This file defines the words and their order; kernel.ts fills them in for each launch.
 */
import type { Buffer } from '../../../loops/loop-plan.ts'
import { type ElementTypes, elementBytesOf } from '../element-types.ts'
import { type Code, type FunctionBuilder, get, I32, i32, loadI32, op, set, V128 } from '../wasm-encoder.ts'

/** One 32-bit word of a launch. The kernel's whole argument is a list of them in memory. */
export type KernelParam =
  /** The range of the outermost axis that this launch computes. */
  | { readonly kind: 'first' | 'last' }
  | { readonly kind: 'size'; readonly axis: string }
  | { readonly kind: 'base'; readonly buffer: Buffer }
  /** Bytes between neighboring elements along an axis of a buffer. */
  | { readonly kind: 'stride'; readonly buffer: Buffer; readonly dimension: number }
  /** A number, or a boolean as all ones or zeros. A number of 64 bits takes two words, of which `part` 1 is the upper. */
  | { readonly kind: 'scalar'; readonly node: number; readonly part: 0 | 1 }

/** Number of elements before and after a row that can be read without a bounds check: there is always memory. */
export const OVERREAD_ELEMENTS = 16

/** The words that a kernel has used so far, each in a local. */
export class KernelParams {
  readonly list: KernelParam[] = []
  /** The code that reads them, at the start of the kernel. */
  readonly prologue: Code[] = []
  readonly #f: FunctionBuilder
  readonly #types: ElementTypes
  readonly #locals = new Map<string, Code>()

  constructor(f: FunctionBuilder, types: ElementTypes) {
    this.#f = f
    this.#types = types
  }

  first(): Code {
    return this.#word({ kind: 'first' }, 'first')
  }

  last(): Code {
    return this.#word({ kind: 'last' }, 'last')
  }

  size(axis: string): Code {
    return this.#word({ kind: 'size', axis }, `size ${axis}`)
  }

  base(buffer: Buffer): Code {
    return this.#word({ kind: 'base', buffer }, `base ${buffer.id}`)
  }

  /** Size of a scratch buffer in bytes: a multiple of 16. */
  bytes(buffer: Buffer): Code {
    return this.#word({ kind: 'stride', buffer, dimension: -1 }, `bytes ${buffer.id}`)
  }

  stride(buffer: Buffer, dimension: number): Code {
    if (dimension === buffer.axes.length - 1) return i32(elementBytesOf(this.#types, buffer))
    return this.#word({ kind: 'stride', buffer, dimension }, `stride ${buffer.id} ${dimension}`)
  }

  /** In all lanes. */
  scalar(node: number): Code {
    return this.#once(`scalar ${node}`, () => {
      const { native } = this.#types.lane
      const offset = this.list.length * 4
      this.list.push({ kind: 'scalar', node, part: 0 })
      if (native.bytes === 8) this.list.push({ kind: 'scalar', node, part: 1 })
      return [native.splat(op('i32.add', get(0), i32(offset)), 0), V128]
    })
  }

  #word(word: KernelParam, key: string): Code {
    return this.#once(key, () => [loadI32(get(0), this.list.push(word) * 4 - 4), I32])
  }

  #once(key: string, make: () => [Code, typeof I32 | typeof V128]): Code {
    const known = this.#locals.get(key)
    if (known !== undefined) return known
    const [code, type] = make()
    const local = this.#f.local(type)
    this.prologue.push(set(local, code))
    this.#locals.set(key, get(local))
    return get(local)
  }
}
