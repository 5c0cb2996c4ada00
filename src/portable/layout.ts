/** `lossd_prepare`: lays the arrays out for the given sizes, and writes everything of a launch that depends on nothing else. */
import { type ElementTypes, elementBytesOf, VECTOR_BYTES } from '../engines/compiled/element-types.ts'
import type { Word } from '../engines/compiled/emit.ts'
import {
  type Code,
  F64,
  FunctionBuilder,
  f64,
  get,
  I32,
  i32,
  memoryGrow,
  memorySize,
  op,
  returned,
  set,
  truncU32,
} from '../engines/compiled/wasm-encoder.ts'
import type { Buffer } from '../loops/loop-plan.ts'
import type { Extent } from '../loops/whole-axis.ts'
import { AxisSizes, sizeNames } from './axes.ts'
import { add, bytesOf, loadWord, not, product, realProduct, storeWord, sub, when } from './code.ts'
import type { ManifestArray, PortableLoss } from './contract.ts'
import { type EmittedGroup, type EmittedKernel, isChosen } from './kernels.ts'
import { type MemoryMap, PADDING } from './memory-map.ts'

/** What `lossd_prepare` returns. */
export const PREPARED = { ready: 0, negativeSize: 1, emptyAxis: 2, tooLarge: 3, outOfMemory: 4 } as const

const PAGE = 65536
/** The largest address, less a page, so that no sum of addresses wraps around. */
const MAX_BYTES = 2 ** 32 - PAGE

export interface LayoutParts {
  readonly loss: PortableLoss
  readonly types: ElementTypes
  readonly map: MemoryMap
  readonly groups: readonly EmittedGroup[]
  readonly inputs: readonly ManifestArray[]
  readonly outputs: readonly ManifestArray[]
  readonly valueAxes: readonly string[]
}

export function layoutFunction(parts: LayoutParts): FunctionBuilder {
  return new LayoutWriter(parts).write()
}

/** `lossd_prepare(given)` */
class LayoutWriter {
  readonly #f = new FunctionBuilder([I32], [I32])
  readonly #parts: LayoutParts
  readonly #sizes: AxisSizes
  /** The end of what is laid out so far, as float64, which does not wrap around. */
  readonly #end = this.#f.local(F64)
  readonly #inputs = new Map<string, Code>()
  readonly #outputs = new Map<string, Code>()

  constructor(parts: LayoutParts) {
    this.#parts = parts
    const words = sizeNames(parts.loss).map((_, place) => {
      const word = this.#f.let(loadWord(parts.map.sizes + 4 * place), I32)
      this.#f.add(storeWord(parts.map.prepared + 4 * place, word))
      return word
    })
    this.#sizes = new AxisSizes(parts.loss, (place) => words[place])
  }

  write(): FunctionBuilder {
    const { map, valueAxes } = this.#parts
    this.#checkSizes()
    this.#f.add(storeWord(map.given, get(0)))
    this.#f.add(set(this.#end, f64(map.end)))
    this.#common()
    this.#f.add(storeWord(map.count, truncU32(realProduct(this.#sizes.reals(valueAxes)))))
    this.#f.add(storeWord(map.rows, this.#sizes.rows))
    const kept = this.#f.let(get(this.#end), F64)
    const largest = this.#f.local(F64)
    this.#parts.groups.forEach((group, place) => {
      this.#f.add(set(this.#end, kept))
      this.#group(group, place)
      this.#f.add(set(largest, op('f64.max', get(largest), get(this.#end))))
    })
    this.#f.add(set(this.#end, get(largest)))
    this.#grow()
    this.#f.add(i32(PREPARED.ready))
    return this.#f
  }

  #checkSizes() {
    const { loss } = this.#parts
    for (const name of sizeNames(loss)) {
      const size = this.#sizes.whole(name)
      this.#failIf(op('i32.lt_s', size, i32(0)), PREPARED.negativeSize)
      const mayBeEmpty = name === loss.first || (loss.first === '...' && name.startsWith('...'))
      if (!mayBeEmpty) this.#failIf(not(size), PREPARED.emptyAxis)
    }
  }

  #failIf(condition: Code, status: number) {
    when(this.#f, condition, () => this.#f.add(returned(i32(status))))
  }

  // Arrays that all kernels share

  #common() {
    const { loss, inputs, outputs, map, valueAxes } = this.#parts
    let spreads = 0
    inputs.forEach(({ name, axes, dtype }, place) => {
      const base = this.#arrayOf(axes, dtype)
      this.#f.add(storeWord(map.inputs + 4 * place, base))
      const own = loss.inputs.find((input) => input.name === name)
      const wide = own?.isSpread === true ? this.#arrayOf(own.axes, dtype) : undefined
      if (wide !== undefined) this.#f.add(storeWord(map.spreads + 4 * spreads++, wide))
      this.#inputs.set(name, wide ?? base)
    })
    outputs.forEach(({ name, axes, dtype }, place) => {
      const base = this.#arrayOf(axes, dtype)
      this.#f.add(storeWord(map.outputs + 4 * place, base))
      this.#outputs.set(name, base)
    })
    const [denominators, cotangent] = [0, 1].map(() => this.#arrayOf(valueAxes, loss.precision))
    this.#f.add(storeWord(map.denominators, denominators), storeWord(map.cotangent, cotangent))
    this.#outputs.set(DENOMINATORS, denominators)
    this.#inputs.set(COTANGENTS, cotangent)
  }

  #arrayOf(axes: readonly string[], dtype: ManifestArray['dtype']): Code {
    return this.#take(op('f64.mul', realProduct(this.#sizes.reals(axes)), f64(bytesOf(dtype))))
  }

  /** The address of the next bytes. */
  #take(bytes: Code): Code {
    const base = this.#f.let(truncU32(get(this.#end)), I32)
    const aligned = op(
      'f64.mul',
      op('f64.ceil', op('f64.mul', bytes, f64(1 / VECTOR_BYTES))),
      f64(VECTOR_BYTES),
    )
    this.#f.add(set(this.#end, op('f64.add', op('f64.add', get(this.#end), aligned), f64(PADDING))))
    return base
  }

  // Kernels

  /** Chooses the kernel of a group, and writes its words. */
  #group({ kernels }: EmittedGroup, group: number) {
    const { map } = this.#parts
    const isPlain = not(get(0))
    const choose = (place: number): void => {
      const kernel = kernels[place]
      const take = () => {
        this.#f.add(storeWord(map.chosen[group], i32(place)))
        this.#words(kernel, map.arguments[group])
      }
      if (place === kernels.length - 1) take()
      else when(this.#f, isChosen(kernel, this.#sizes, isPlain), take, () => choose(place + 1))
    }
    choose(0)
  }

  #words({ plan: { buffers, separable }, words }: EmittedKernel, at: number) {
    const bases = new Map(buffers.map((buffer) => [buffer.id, this.#baseOf(buffer)]))
    words.forEach((word, place) => {
      if (word.kind === 'scalar') return
      this.#f.add(storeWord(at + 4 * place, this.#word(word, bases, separable)))
    })
  }

  #baseOf(buffer: Buffer): Code {
    const { role, name, axes } = buffer
    if (role === 'input') return this.#inputs.get(name)!
    if (role === 'cotangent') return this.#inputs.get(COTANGENTS)!
    if (role === 'values') return this.#outputs.get(VALUES)!
    if (role === 'denominators') return this.#outputs.get(DENOMINATORS)!
    if (role === 'gradient') return this.#outputs.get(gradientName(name))!
    if (buffer.extent !== undefined) return this.#take(this.#workspace(buffer.extent))
    const last = axes.at(-1)
    if (last === undefined) return this.#take(f64(this.#elementBytes(buffer)))
    const outer = realProduct(this.#sizes.reals(axes.slice(0, -1)))
    return this.#take(op('f64.mul', outer, op('f64.convert_i32_s', this.#rowBytes(buffer))))
  }

  /** Bytes that a whole-axis op uses while it runs. */
  #workspace(extent: Extent): Code {
    const terms = extent.map(({ bytes, axes }) => realProduct([f64(bytes), ...this.#sizes.reals(axes)]))
    return terms.reduce((sum, term) => op('f64.add', sum, term))
  }

  /** @param separable the axis of the outermost loop, all of which is one slice */
  #word(
    word: Exclude<Word, { kind: 'scalar' }>,
    bases: ReadonlyMap<number, Code>,
    separable: string | undefined,
  ): Code {
    switch (word.kind) {
      case 'first':
        return i32(0)
      case 'last':
        return separable === undefined ? i32(0) : this.#sizes.whole(separable)
      case 'size':
        return this.#sizes.whole(word.axis)
      case 'base':
        return bases.get(word.buffer.id)!
      case 'stride':
        return this.#stride(word.buffer, word.dimension)
    }
  }

  /** Rows of scratch memory start at vector boundaries. Inputs and results are dense. */
  #stride(buffer: Buffer, dimension: number): Code {
    const { axes } = buffer
    const inner = axes.slice(dimension + 1, -1)
    if (dimension < 0) return this.#allBytes(buffer)
    return product([this.#rowBytes(buffer), ...this.#sizes.wholes(inner)])
  }

  /** Bytes along the last axis of a buffer. */
  #rowBytes(buffer: Buffer): Code {
    const bytes = product([i32(this.#elementBytes(buffer)), this.#sizes.whole(buffer.axes.at(-1)!)])
    return buffer.role === 'scratch' ? aligned(bytes) : bytes
  }

  #allBytes(buffer: Buffer): Code {
    const { axes } = buffer
    if (axes.length === 0) return aligned(i32(this.#elementBytes(buffer)))
    return aligned(product([this.#rowBytes(buffer), ...this.#sizes.wholes(axes.slice(0, -1))]))
  }

  #elementBytes(buffer: Buffer): number {
    return elementBytesOf(this.#parts.types, buffer)
  }

  #grow() {
    this.#failIf(op('f64.gt', get(this.#end), f64(MAX_BYTES)), PREPARED.tooLarge)
    const pages = truncU32(op('f64.ceil', op('f64.mul', get(this.#end), f64(1 / PAGE))))
    const missing = this.#f.let(sub(pages, memorySize), I32)
    const isRefused = op('i32.eq', memoryGrow(missing), i32(-1))
    when(this.#f, op('i32.gt_s', missing, i32(0)), () => this.#failIf(isRefused, PREPARED.outOfMemory))
  }
}

/** The names of arrays that are no inputs or gradients. */
export const VALUES = 'values'
const DENOMINATORS = 'denominators'
const COTANGENTS = 'cotangents'

/** The name of the derivative with this key. */
export function gradientName(key: string): string {
  return key.startsWith('hessian.') ? key : `gradients.${key}`
}

function aligned(bytes: Code): Code {
  return op('i32.and', add(bytes, i32(VECTOR_BYTES - 1)), i32(-VECTOR_BYTES))
}
