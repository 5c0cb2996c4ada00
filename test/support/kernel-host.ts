/** A host of portable kernels that follows docs/kernel-abi.md and nothing else: no code of the service. */

interface ManifestArray {
  readonly name: string
  readonly axes: readonly string[]
  readonly dtype: 'float32' | 'float64' | 'int32'
}

/** The parts of a manifest that a host reads. */
export interface HostManifest {
  readonly abi: number
  readonly loss: string
  readonly precision: 'float32' | 'float64'
  readonly sizes: readonly string[]
  readonly inputs: readonly ManifestArray[]
  readonly outputs: readonly ManifestArray[]
  readonly params: readonly { readonly name: string; readonly value: number | string }[]
  readonly reductions: readonly string[]
  readonly imports: readonly string[]
  readonly statuses: readonly string[]
}

export interface HostTensor {
  readonly shape: readonly number[]
  readonly data: ArrayLike<number>
}

export interface HostOptions {
  readonly reduction?: string
  readonly params?: Readonly<Record<string, number>>
  readonly denominator?: number
}

type Numbers = Float32Array | Float64Array | Int32Array

export interface HostResult {
  readonly status: string
  /** The input and the element that are wrong, if the status is not ok. */
  readonly fault: { readonly input: string; readonly element: number }
  readonly value: number
  readonly denominator: number
  readonly count: number
  readonly outputs: Readonly<Record<string, Numbers>>
}

interface Exports {
  readonly memory: WebAssembly.Memory
  lossd_abi(): number
  lossd_sizes(): number
  lossd_params(): number
  lossd_result(): number
  lossd_input(place: number): number
  lossd_output(place: number): number
  lossd_prepare(given: number): number
  lossd_run(reduction: number): number
}

export class KernelHost {
  readonly manifest: HostManifest
  readonly #exports: Exports

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    const module = new WebAssembly.Module(bytes)
    const [section] = WebAssembly.Module.customSections(module, 'lossd')
    this.manifest = JSON.parse(new TextDecoder().decode(section))
    const env = { sin: Math.sin, cos: Math.cos }
    this.#exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports
    if (this.#exports.lossd_abi() !== 1) throw new Error('another ABI')
  }

  /** @param tensors the inputs, and `sample_weight` and `grad_output` if they are given */
  run(tensors: ReadonlyMap<string, HostTensor>, options: HostOptions = {}): HostResult {
    const { reduction = 'mean', params = {}, denominator = Number.NaN } = options
    const { lossd_prepare, lossd_run } = this.#exports
    const sizes = sizesOf(this.manifest, tensors)
    this.#view('int32', this.#exports.lossd_sizes(), sizes.length).set(sizes.map((size) => size ?? 1))
    const given = Number(tensors.has('sample_weight')) + 2 * Number(tensors.has('grad_output'))
    const prepared = lossd_prepare(given)
    if (prepared !== 0) throw new Error(`prepare returned ${prepared}`)
    const numbers = [
      ...this.manifest.params.map(({ name, value }) => params[name] ?? Number(value)),
      denominator,
    ]
    this.#view('float64', this.#exports.lossd_params(), numbers.length).set(numbers)
    this.manifest.inputs.forEach(({ name, dtype }, place) => {
      const tensor = tensors.get(name)
      if (tensor === undefined) return
      this.#view(dtype, this.#exports.lossd_input(place), tensor.data.length).set(tensor.data)
    })
    const value = lossd_run(this.manifest.reductions.indexOf(reduction))
    return this.#result(value, sizes)
  }

  #result(value: number, sizes: readonly (number | undefined)[]): HostResult {
    const at = this.#exports.lossd_result()
    const [stored, denominator, count] = this.#view('float64', at, 3)
    const [status, input, element] = this.#view('int32', at + 24, 3)
    if (status === 0 && !Object.is(stored, value)) throw new Error('the value is returned and stored')
    const outputs = this.manifest.outputs.map(({ name, axes, dtype }, place) => {
      const length = axes.reduce((product, axis) => product * this.#sizeOf(axis, sizes), 1)
      return [name, this.#view(dtype, this.#exports.lossd_output(place), length).slice()] as const
    })
    return {
      status: this.manifest.statuses[status!]!,
      fault: { input: this.manifest.inputs[input!]!.name, element: element! },
      value,
      denominator: denominator!,
      count: count!,
      outputs: Object.fromEntries(outputs),
    }
  }

  #sizeOf(axis: string, sizes: readonly (number | undefined)[]): number {
    return /^\d+$/.test(axis) ? Number(axis) : (sizes[this.manifest.sizes.indexOf(axis)] ?? 1)
  }

  #view(dtype: ManifestArray['dtype'], at: number, length: number): Numbers {
    const { buffer } = this.#exports.memory
    if (dtype === 'int32') return new Int32Array(buffer, at, length)
    return dtype === 'float64' ? new Float64Array(buffer, at, length) : new Float32Array(buffer, at, length)
  }
}

/** The sizes of the axes, from the shapes of the inputs. */
function sizesOf(
  { sizes, inputs }: HostManifest,
  tensors: ReadonlyMap<string, HostTensor>,
): (number | undefined)[] {
  const found = new Map<string, number>()
  for (const { name, axes } of inputs) {
    const shape = tensors.get(name)?.shape
    if (shape === undefined || name === 'sample_weight' || name === 'grad_output') continue
    const rank = shape.length - axes.length + 1
    let place = 0
    for (const axis of axes) {
      const part = shape.slice(place, place + (axis === '...' ? rank : 1))
      place += part.length
      found.set(
        axis,
        part.reduce((product, size) => product * size, 1),
      )
      if (axis !== '...') continue
      found.set('...[0]', part[0] ?? 1)
      found.set('...[-1]', part.at(-1) ?? 1)
    }
  }
  return sizes.map((name) => found.get(name))
}
