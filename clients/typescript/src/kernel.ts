/** Portable kernels in this process: a WebAssembly module, and the memory of one instance of it. */
import { AbiMismatch, KernelRejected, type ProblemError, problem, problemAt } from './errors.ts'
import { checkFloat32, checkParams, type Params, type Schemas } from './params.ts'
import { dtypeOf, type FloatArray, type NumericArray, type Tensor } from './tensor.ts'

/** The version of the binary interface that this package understands. */
export const ABI = 1

interface ArrayInfo {
  readonly name: string
  readonly axes: readonly string[]
  readonly dtype: 'float32' | 'float64' | 'int32'
}

interface Check {
  readonly name: string
  readonly kind: string
  readonly integers: boolean
  readonly words?: string
  readonly outside?: string
  readonly excepted?: number
  readonly indices?: { readonly axis?: string; readonly offset: number; readonly ignored?: number } | null
}

/** What a kernel says about itself (docs/kernel-abi.md). */
export interface Manifest {
  readonly abi: number
  readonly loss: string
  readonly precision: 'float32' | 'float64'
  readonly sizes: readonly string[]
  readonly inputs: readonly ArrayInfo[]
  readonly outputs: readonly ArrayInfo[]
  readonly params: readonly { readonly name: string; readonly value: number | string }[]
  readonly reductions: readonly string[]
  readonly statuses: readonly string[]
  readonly schema: Schemas
  readonly checks: readonly Check[]
  readonly gradients: readonly string[]
  readonly hessians: readonly string[]
  readonly sampleWeight: boolean
}

interface Exports {
  readonly memory: WebAssembly.Memory
  lossd_sizes(): number
  lossd_params(): number
  lossd_result(): number
  lossd_input(place: number): number
  lossd_output(place: number): number
  lossd_prepare(given: number): number
  lossd_run(reduction: number): number
}

export interface RunOptions {
  readonly reduction?: string | undefined
  readonly params?: Params | undefined
  /** Replaces the denominator of the mean. */
  readonly denominator?: number | undefined
}

export interface RunResult {
  readonly value: number
  readonly denominator: number
  readonly count: number
}

type Inputs = ReadonlyMap<string, Tensor>

interface Layout {
  readonly key: string
  readonly views: ReadonlyMap<string, NumericArray>
  readonly outputs: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: FloatArray }>
  readonly params: Float64Array
  readonly floats: Float64Array
  readonly words: Int32Array
}

/** @throws KernelRejected, AbiMismatch */
export function manifestOf(module: WebAssembly.Module): Manifest {
  const [section] = WebAssembly.Module.customSections(module, 'lossd')
  if (section === undefined) throw new KernelRejected('the module has no section lossd')
  const manifest = JSON.parse(new TextDecoder().decode(section)) as Manifest
  checkAbi(manifest)
  return manifest
}

/** @throws AbiMismatch, which says what to install */
export function checkAbi({ abi }: Pick<Manifest, 'abi'>) {
  if (abi === ABI) return
  const remedy =
    abi > ABI
      ? 'upgrade this package: npm install lossd-client@latest'
      : 'upgrade the service, or delete the cache'
  throw new AbiMismatch(`the kernel has ABI ${abi}, this package understands ${ABI}; ${remedy}`)
}

/** One instance of a kernel. It computes synchronously. */
export class Kernel {
  readonly manifest: Manifest
  readonly #exports: Exports
  readonly #checks: ReadonlyMap<string, Check>
  #layout: Layout | undefined
  #checked: Params | undefined

  /** @throws KernelRejected, AbiMismatch */
  constructor(module: WebAssembly.Module) {
    this.manifest = manifestOf(module)
    const env = { sin: Math.sin, cos: Math.cos }
    this.#exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports
    this.#checks = new Map(this.manifest.checks.map((check) => [check.name, check]))
  }

  /**
   * Computes the loss and the gradients, which `output` then returns.
   *
   * @throws InvalidRequest for the first number that is invalid, shapes that do not match and parameters out of range
   */
  run(inputs: Inputs, options: RunOptions = {}): RunResult {
    const { reduction = 'mean', denominator = Number.NaN } = options
    this.#check(inputs, options, reduction)
    const layout = this.#layoutFor(inputs)
    for (const [name, { data }] of inputs) fill(layout.views.get(name)!, data, name)
    this.#setParams(layout, options.params ?? {}, denominator)
    const value = this.#exports.lossd_run(this.manifest.reductions.indexOf(reduction))
    if (layout.words[0] !== 0) throw this.#fault(layout.words, inputs)
    return { value, denominator: layout.floats[1]!, count: layout.floats[2]! }
  }

  /** An array of the last run, in the memory of the kernel: valid until the next one. */
  output(name: string): { readonly shape: readonly number[]; readonly data: FloatArray } {
    return this.#layout!.outputs.get(name)!
  }

  #check(inputs: Inputs, { denominator }: RunOptions, reduction: string) {
    const { reductions, sampleWeight, loss } = this.manifest
    if (!reductions.includes(reduction)) {
      const words = reductions.map((name) => JSON.stringify(name))
      const detail = `must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, got ${JSON.stringify(reduction)}`
      throw problemAt('invalid-value', '/reduction', detail)
    }
    for (const [name, { data }] of inputs) {
      if (!this.#checks.get(name)?.integers || /^u?int/.test(dtypeOf(data))) continue
      const detail = `class indices require an integer dtype, got ${dtypeOf(data)}`
      throw problemAt('dtype-unsupported', `/${name}`, detail)
    }
    const divides = ['mean', 'weighted_mean', 'sum_by_nonzero_weights'].includes(reduction)
    if (denominator !== undefined && !divides)
      throw problemAt('invalid-value', '/denominator', `requires reduction mean, got ${reduction}`)
    if (denominator !== undefined && !(denominator > 0))
      throw problemAt('invalid-value', '/denominator', `must be a number > 0, got ${denominator}`)
    if (inputs.has('grad_output') && reduction !== 'none')
      throw problemAt('invalid-value', '/grad_output', `requires reduction none, got ${reduction}`)
    if (inputs.has('sample_weight') && !sampleWeight) {
      const detail = `cannot be applied: ${loss} has one value for all rows; weight the rows in its formula, with an input for the weights`
      throw problemAt('invalid-value', '/sample_weight', detail)
    }
  }

  #setParams({ params: view }: Layout, params: Params, denominator: number) {
    const { schema, precision, params: names } = this.manifest
    if (this.#checked !== params) checkParams(schema, params)
    this.#checked = params
    names.forEach(({ name, value }, place) => {
      const number = Number(params[name] ?? schema[name]?.default ?? value)
      if (precision === 'float32') checkFloat32(name, number)
      view[place] = number
    })
    view[names.length] = denominator
  }

  // Layouts

  #layoutFor(inputs: Inputs): Layout {
    let key = ''
    for (const [name, { shape }] of inputs) key += `${name}[${shape}]`
    if (this.#layout?.key !== key) this.#layout = this.#layOut(inputs, key)
    return this.#layout
  }

  #layOut(inputs: Inputs, key: string): Layout {
    const { manifest } = this
    const { sizes, rest } = this.#sizesOf(inputs)
    this.#view('int32', this.#exports.lossd_sizes(), manifest.sizes.length).set(
      manifest.sizes.map((name) => sizes.get(name) ?? 1),
    )
    const given = Number(inputs.has('sample_weight')) + 2 * Number(inputs.has('grad_output'))
    this.#layout = undefined
    const status = this.#exports.lossd_prepare(given)
    if (status !== 0) throw layoutProblem(manifest, status, sizes)
    const views = [...inputs].map(([name, { data }]) => {
      const place = manifest.inputs.findIndex((input) => input.name === name)
      const { dtype } = manifest.inputs[place]!
      return [name, this.#view(dtype, this.#exports.lossd_input(place) >>> 0, data.length)] as const
    })
    const outputs = manifest.outputs.map(({ name, axes, dtype }, place) => {
      const shape = shapeOf(axes, sizes, rest)
      const count = shape.reduce((product, size) => product * size, 1)
      const data = this.#view(dtype, this.#exports.lossd_output(place) >>> 0, count) as FloatArray
      return [name, { shape, data }] as const
    })
    const result = this.#exports.lossd_result()
    return {
      key,
      views: new Map(views),
      outputs: new Map(outputs),
      params: this.#view('float64', this.#exports.lossd_params(), manifest.params.length + 1) as Float64Array,
      floats: this.#view('float64', result, 3) as Float64Array,
      words: this.#view('int32', result + 24, 3) as Int32Array,
    }
  }

  #view(dtype: ArrayInfo['dtype'], at: number, length: number): Float32Array | Float64Array | Int32Array {
    const { buffer } = this.#exports.memory
    if (dtype === 'int32') return new Int32Array(buffer, at, length)
    return dtype === 'float64' ? new Float64Array(buffer, at, length) : new Float32Array(buffer, at, length)
  }

  #sizesOf(inputs: Inputs): { sizes: Map<string, number>; rest: readonly number[] } {
    const from = new Map<string, string>()
    const sizes = new Map<string, number>()
    let rest: { readonly shape: readonly number[]; readonly name: string } | undefined
    for (const { name, axes } of this.manifest.inputs.slice(0, -2)) {
      const shape = inputs.get(name)?.shape
      if (shape === undefined || axes[0] === '...[-1]') continue
      const width = shape.length - axes.length + 1
      let place = 0
      for (const axis of axes) {
        if (axis === '...') {
          const own = shape.slice(place, place + width)
          place += width
          rest ??= { shape: own, name }
          if (!isSame(own, rest.shape))
            throw mismatch(
              name,
              `has shape ${text(own)}, but ${rest.name} has ${text(rest.shape)}; inputs are not broadcast`,
            )
          continue
        }
        const size = shape[place++]!
        if (/^\d+$/.test(axis) && size !== Number(axis))
          throw mismatch(name, `has ${many(size, 'elements')} along an axis that must have ${axis}`)
        if (sizes.has(axis) && sizes.get(axis) !== size)
          throw mismatch(name, `has ${along(axis, size)}, but ${from.get(axis)} has ${sizes.get(axis)}`)
        if (!sizes.has(axis)) from.set(axis, name)
        sizes.set(axis, size)
      }
    }
    if (rest !== undefined) {
      sizes.set(
        '...',
        rest.shape.reduce((product, size) => product * size, 1),
      )
      sizes.set('...[0]', rest.shape[0] ?? 1)
      sizes.set('...[-1]', rest.shape.at(-1) ?? 1)
    }
    this.#checkOthers(inputs, sizes, rest?.shape ?? [])
    return { sizes, rest: rest?.shape ?? [] }
  }

  /** The inputs that give no axis its size. */
  #checkOthers(inputs: Inputs, sizes: ReadonlyMap<string, number>, rest: readonly number[]) {
    for (const { name, axes } of this.manifest.inputs) {
      const shape = inputs.get(name)?.shape
      const isCommon = name === 'sample_weight' || name === 'grad_output'
      if (shape === undefined || !(isCommon || axes[0] === '...[-1]')) continue
      const wanted = shapeOf(axes, sizes, rest)
      if (isSame(shape, wanted)) continue
      if (isCommon) throw mismatch(name, `must have shape ${text(wanted)}, got ${text(shape)}`)
      const count = shape.reduce((product, size) => product * size, 1)
      throw mismatch(
        name,
        `requires shape ${text(wanted)}, the last axis of the others; got ${many(count, 'numbers')}`,
      )
    }
  }

  // Faults, in the words of the service

  #fault(words: Int32Array, inputs: Inputs): ProblemError {
    const [status, place, element] = [words[0]!, words[1]!, words[2]!]
    const code = this.manifest.statuses[status]!
    if (code === 'empty-batch') {
      const detail = 'the mean over an empty batch is undefined; use sum or none, or send a denominator'
      return problem('empty-batch', detail)
    }
    const { name } = this.manifest.inputs[place]!
    const { data, shape } = inputs.get(name)!
    const check = this.#checks.get(name)!
    const value = spelled(data, element)
    const pointer = pointerTo(name, shape, element)
    const hint = check.outside === undefined ? '' : `; ${check.outside}`
    if (code === 'box-corners') {
      const [far, near] = element % 4 === 2 ? ['x2', 'x1'] : ['y2', 'y1']
      return problemAt(
        'invalid-value',
        pointer,
        `${far} must be >= ${near}, got ${value} after ${spelled(data, element - 2)}`,
      )
    }
    if (code === 'excepted-label')
      return problemAt('label-out-of-range', pointer, `must not be the blank, ${check.excepted}`)
    const rule = code === 'invalid-value' ? check.words : this.#labelRange(check, inputs)
    return problemAt(code, pointer, `${rule}, got ${value}${hint}`)
  }

  #labelRange({ indices }: Check, inputs: Inputs): string {
    const { ignored, axis, offset = 0 } = indices ?? {}
    const [low, high] = [
      indices ? 0 : -(2 ** 31),
      axis === undefined ? 2 ** 31 : this.#sizesOf(inputs).sizes.get(axis)! + offset,
    ]
    const exception = ignored === undefined ? '' : ` (or ${ignored}, which is ignored)`
    return `must be an integer from ${low} to ${high - 1}${exception}`
  }
}

/** Copies numbers into the memory of a kernel. */
function fill(view: NumericArray, data: NumericArray, name: string) {
  if (!(data instanceof BigInt64Array)) return (view as Float64Array).set(data as Float64Array)
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i])
    if (view instanceof Int32Array && (value | 0) !== value) {
      const detail = `element ${i} must be an integer from ${-(2 ** 31)} to ${2 ** 31 - 1}, got ${data[i]}`
      throw problemAt('invalid-value', `/${name}`, detail)
    }
    view[i] = value
  }
}

function layoutProblem({ inputs }: Manifest, status: number, sizes: ReadonlyMap<string, number>): Error {
  if (status === 4) return new RangeError('the memory of a kernel cannot grow')
  if (status !== 2)
    return problem('too-expensive', 'a kernel has at most 4 GiB of memory; let the service compute it')
  const [axis] = [...sizes].find(([, size]) => size === 0)!
  const owner = inputs.find(({ axes }) => axes.includes(axis))!
  return mismatch(owner.name, `the axis ${axis} must not be empty`)
}

function shapeOf(
  axes: readonly string[],
  sizes: ReadonlyMap<string, number>,
  rest: readonly number[],
): number[] {
  return axes.flatMap((axis) =>
    axis === '...' ? rest : [/^\d+$/.test(axis) ? Number(axis) : (sizes.get(axis) ?? 1)],
  )
}

function mismatch(name: string, detail: string): ProblemError {
  return problemAt('shape-mismatch', `/${name}`, detail)
}

const isSame = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((size, place) => size === b[place])
const text = (shape: readonly number[]) => `[${shape.join(', ')}]`

function along(axis: string, size: number): string {
  return axis.endsWith('s') ? many(size, axis) : `${size} along its axis ${axis}`
}

/** `1 class`, `2 elements`. */
function many(count: number, things: string): string {
  return `${count} ${count === 1 ? things.replace(/(?<=ss|x)es$|(?<!s)s$/, '') : things}`
}

function pointerTo(name: string, shape: readonly number[], element: number): string {
  const places: number[] = []
  let rest = element
  for (const size of [...shape].reverse()) {
    places.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return ['', name, ...places].join('/')
}

/** A float32 in its shortest form. */
function spelled(data: NumericArray, element: number): string {
  const value = Number(data[element])
  if (!(data instanceof Float32Array)) return String(value)
  for (let digits = 6; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === value) return String(candidate)
  }
  return String(Number(value.toPrecision(9)))
}
