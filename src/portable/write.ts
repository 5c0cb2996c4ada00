/**
 * A loss as a WebAssembly module that is complete: kernels, memory layout, arithmetic on parameters, range checks,
 * weights, reduction and denominator. Any runtime computes with it what the service computes, bit for bit.
 * docs/kernel-abi.md has the interface.
 */
import { Helpers } from '../engines/compiled/emit/helpers.ts'
import { FLOAT64, firstLaneOf } from '../engines/compiled/lane-type.ts'
import { HOST_IMPORTS } from '../engines/compiled/math.ts'
import { SCALAR_TARGET } from '../engines/compiled/scalar-math.ts'
import { scaleFunction } from '../engines/compiled/scale-in-place.ts'
import {
  type Code,
  call,
  encodeStandaloneModule,
  F64,
  FunctionBuilder,
  f64,
  get,
  I32,
  i32,
  loadF64,
  loadI32,
  op,
  returned,
  select,
  set,
  storeF64,
} from '../engines/compiled/wasm-encoder.ts'
import { layoutOf, valueAxes as valueAxesOf } from '../language/ir.ts'
import { REDUCTIONS } from '../losses/reduction.ts'
import { AxisSizes, FIRST_OF_REST, LAST_OF_REST, rootOf, sizeNames } from './axes.ts'
import { checkFunction, needsCheck, STATUSES, statusOf } from './checks.ts'
import { and, loadWord, not, or, real, rounded, storeReal, storeWord, when } from './code.ts'
import {
  ABI,
  type Features,
  KernelUnavailable,
  type Manifest,
  type ManifestArray,
  type PortableLoss,
} from './contract.ts'
import { type EmittedGroup, type EmittedKernel, elementTypesOf, emitGroup, planKernels } from './kernels.ts'
import { gradientName, layoutFunction, VALUES } from './layout.ts'
import { withoutSimd } from './lowering/lower.ts'
import { type MemoryMap, memoryMap, RESULT } from './memory-map.ts'
import { divides, is, Reducer, sumFunction } from './reduction.ts'
import { isTrue, ScalarEmitter } from './scalars.ts'

/** A module with more code would take seconds to compile. Those of the catalog have less than a third of it. */
const MAX_BYTES = 512 * 1024

/** The functions of a module before the helpers, which are emitted on first use. */
const FUNCTIONS = [
  'lossd_abi',
  'lossd_sizes',
  'lossd_params',
  'lossd_result',
  'lossd_input',
  'lossd_output',
  'lossd_prepare',
  'lossd_run',
  'check',
  'sum',
  'scale',
  'fill',
  'weigh',
  'finish',
  'denominator',
] as const
type FunctionName = (typeof FUNCTIONS)[number]

export interface PortableKernel {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly manifest: Manifest
}

/**
 * Writes a module.
 *
 * @param about further members of the manifest: what the loss is called, and what its parameters may be
 * @throws KernelUnavailable
 */
export function writePortableKernel(
  loss: PortableLoss,
  features: Features,
  about: Readonly<Record<string, unknown>> = {},
): PortableKernel {
  const module = new ModuleWriter(loss, features)
  const bytes = module.write(about)
  if (bytes.length > MAX_BYTES) {
    throw new KernelUnavailable(`its kernel has ${bytes.length} bytes, the limit is ${MAX_BYTES}`)
  }
  return { bytes, manifest: module.manifest }
}

class ModuleWriter {
  readonly manifest: Manifest
  readonly #loss: PortableLoss
  readonly #arrays: Arrays
  readonly #map: MemoryMap
  readonly #imports: number
  readonly #groups: readonly EmittedGroup[]
  readonly #kernels: readonly EmittedKernel[]
  readonly #table: { readonly base: number; readonly functions: FunctionBuilder[] }
  readonly #scalars: Helpers
  /** Sizes as they were when the arrays were laid out. */
  readonly #sizes: AxisSizes

  constructor(loss: PortableLoss, features: Features) {
    this.#loss = loss
    const planned = planKernels(loss, features)
    const kernels = planned.flatMap((group) => group.kernels)
    const usesHost = [loss.program, ...kernels.map(({ plan }) => plan.program)].some(({ nodes }) =>
      nodes.some(({ op: name }) => name === 'sin' || name === 'cos'),
    )
    this.#imports = usesHost ? HOST_IMPORTS.length : 0
    // Each kernel has a function, and another one that launches it.
    const base = this.#imports + FUNCTIONS.length + 2 * kernels.length
    this.#table = { base, functions: [] }
    this.#scalars = new Helpers(FLOAT64, SCALAR_TARGET, this.#table)
    const whole = elementTypesOf(loss)
    const types = features === 'scalar' ? { ...whole, lane: firstLaneOf(whole.lane) } : whole
    const target = { relaxed: features === 'relaxed-simd', outlined: features === 'scalar' }
    const helpers = new Helpers(types.lane, target, this.#table)
    this.#groups = planned.map((group) => emitGroup(group, target, types, helpers))
    this.#kernels = this.#groups.flatMap((group) => group.kernels)
    this.#arrays = arraysOf(loss)
    this.manifest = manifestOf(loss, this.#arrays, features, usesHost)
    this.#map = memoryMap({
      sizes: this.manifest.sizes.length,
      params: loss.program.scalars.length + 1,
      inputs: this.manifest.inputs.length,
      spreads: loss.inputs.filter(({ isSpread }) => isSpread).length,
      outputs: this.manifest.outputs.length,
      groups: this.#groups.map(({ argumentBytes }) => argumentBytes),
    })
    this.#sizes = new AxisSizes(loss, (place) => loadWord(this.#map.prepared + 4 * place))
  }

  write(about: Readonly<Record<string, unknown>>): Uint8Array<ArrayBuffer> {
    const own = this.#functions()
    const launches = this.#kernels.map((kernel, place) => this.#launch(kernel, place))
    const vectorized = [...own, ...launches, ...this.#kernels.map(({ f }) => f), ...this.#table.functions]
    const imports = HOST_IMPORTS.slice(0, this.#imports)
    const isScalar = this.manifest.features === 'scalar'
    const lanes = this.manifest.precision === 'float64' ? 'f64' : 'f32'
    const kernels = new Set(this.#kernels.map(({ f }) => f))
    const functions = isScalar ? withoutSimd(imports, vectorized, kernels, lanes) : vectorized
    const exported = FUNCTIONS.filter((name) => name.startsWith('lossd_'))
    return encodeStandaloneModule({
      imports,
      functions,
      exports: Object.fromEntries(exported.map((name) => [name, this.#indexOf(name)])),
      memory: { pages: Math.ceil(this.#map.end / 65536), data: [this.#defaults()] },
      sections: {
        lossd: new TextEncoder().encode(JSON.stringify({ ...about, ...this.manifest }, spelledOut)),
      },
    })
  }

  #indexOf(name: FunctionName): number {
    return this.#imports + FUNCTIONS.indexOf(name)
  }

  #launchIndex(kernel: number): number {
    return this.#imports + FUNCTIONS.length + kernel
  }

  #kernelIndex(kernel: number): number {
    return this.#launchIndex(kernel) + this.#kernels.length
  }

  /** The given values of the parameters, and no denominator. */
  #defaults() {
    const { program, scalars } = this.#loss
    const values = [...program.scalars.map((name) => scalars[name]), Number.NaN]
    return { at: this.#map.params, bytes: new Uint8Array(Float64Array.from(values).buffer) }
  }

  /** In the order of FUNCTIONS. */
  #functions(): FunctionBuilder[] {
    const { loss, map, sizes } = { loss: this.#loss, map: this.#map, sizes: this.#sizes }
    const { inputs, outputs } = this.#arrays
    const valueAxes = valueAxesOf(loss.program)
    const reducer = new Reducer({ loss, map, inputs, outputs, sizes })
    const types = elementTypesOf(loss)
    const made: Record<FunctionName, () => FunctionBuilder> = {
      lossd_abi: () => constant(ABI),
      lossd_sizes: () => constant(map.sizes),
      lossd_params: () => constant(map.params),
      lossd_result: () => constant(map.result),
      lossd_input: () => addressFunction(map.inputs),
      lossd_output: () => addressFunction(map.outputs),
      lossd_prepare: () =>
        layoutFunction({ loss, types, map, groups: this.#groups, inputs, outputs, valueAxes }),
      lossd_run: () => this.#run(reducer),
      check: () => checkFunction({ loss, map, inputs, sizes }),
      sum: () => sumFunction(loss.precision),
      scale: () => scaleFunction(types.lane),
      fill: () => reducer.fillFunction(),
      weigh: () => reducer.weighFunction(),
      finish: () => reducer.finishFunction(this.#indexOf('scale')),
      denominator: () => reducer.denominatorFunction(this.#indexOf('sum')),
    }
    return FUNCTIONS.map((name) => made[name]())
  }

  /** `lossd_run(reduction)`: everything from the range checks to the finished gradients. */
  #run(reducer: Reducer): FunctionBuilder {
    const f = new FunctionBuilder([I32], [F64])
    const reduction = get(0)
    this.#checkAll(f, reducer)
    const given = f.let(this.#param(this.#loss.program.scalars.length), F64)
    const isGiven = f.let(op('f64.eq', given, given), I32)
    const isCounted = this.#loss.program.denominators !== undefined
    const known = f.local(F64)
    const plain = isCounted ? f64(1) : call(this.#indexOf('denominator'), reduction)
    f.add(set(known, given))
    when(f, not(isGiven), () => f.add(set(known, plain)))
    this.#compute(f, reducer, f.let(reducer.scaleOf(reduction, get(known)), F64))
    const denominator = f.local(F64)
    f.add(set(denominator, get(known)))
    const isUnknown = isCounted ? not(isGiven) : i32(0)
    when(f, isUnknown, () => f.add(set(denominator, call(this.#indexOf('denominator'), reduction))))
    const factor = select(
      and(isUnknown, divides(reduction)),
      reducer.scaleOf(reduction, get(denominator)),
      f64(1),
    )
    f.add(call(this.#indexOf('finish'), factor))
    this.#finish(f, reducer, get(denominator))
    return f
  }

  /** Leaves the function with NaN if a number is invalid. */
  #checkAll(f: FunctionBuilder, reducer: Reducer) {
    const status = f.local(I32)
    const at = this.#map.result + RESULT.status
    const givesUp = () => f.add(storeWord(at, get(status)), returned(f64(Number.NaN)))
    f.add(set(status, i32(0)))
    if (this.#loss.inputs.some(needsCheck)) f.add(set(status, call(this.#indexOf('check'))))
    when(f, get(status), givesUp)
    const denominator = f.let(this.#param(this.#loss.program.scalars.length), F64)
    const isMean = and(not(reducer.count), divides(get(0)), op('f64.ne', denominator, denominator))
    const isBatchMean = and(not(reducer.rows), is(get(0), 'batchmean'))
    const isEmpty = or(isMean, isBatchMean)
    when(f, isEmpty, () => {
      f.add(set(status, i32(statusOf('empty-batch'))))
      givesUp()
    })
    f.add(storeWord(at, i32(statusOf('ok'))))
  }

  #param(place: number): Code {
    return loadF64(i32(this.#map.params + 8 * place))
  }

  // Launches

  /** Runs the kernel that was chosen when the arrays were laid out, of the group whose conditions hold. */
  #compute(f: FunctionBuilder, reducer: Reducer, base: Code) {
    const [general, special] = this.#groups
    const launch = (group: EmittedGroup) => () => this.#choose(f, reducer, group, base)
    if (special === undefined) launch(general)()
    else when(f, this.#holds(f, special), launch(special), launch(general))
  }

  /** Whether the conditions of parameters have the values that a group is specialized for. */
  #holds(f: FunctionBuilder, { conditions }: EmittedGroup): Code {
    const leaves = { ...this.#leaves(), cotangent: f64(0), precision: this.#loss.precision }
    const held = [...conditions].flatMap(([{ nodes }, values]) => {
      const emitter = new ScalarEmitter(f, nodes, leaves, this.#scalars)
      return [...values].map(([id, isHeld]) => {
        const value = isTrue(emitter.value(id))
        return isHeld ? value : not(value)
      })
    })
    return f.let(and(...held), I32)
  }

  #choose(f: FunctionBuilder, reducer: Reducer, group: EmittedGroup, base: Code) {
    const chosen = f.let(loadWord(this.#map.chosen[this.#groups.indexOf(group)]), I32)
    const first = this.#kernels.indexOf(group.kernels[0])
    const take = (place: number): void => {
      const { uniform, plan } = group.kernels[place]
      const launch = () => {
        if (!uniform) f.add(call(this.#indexOf('fill'), base, get(0)))
        else if (plan.buffers.some(({ role }) => role === 'cotangent')) f.add(reducer.storeCotangent(base))
        f.add(call(this.#launchIndex(first + place), base))
      }
      if (place === group.kernels.length - 1) launch()
      else when(f, op('i32.eq', chosen, i32(place)), launch, () => take(place + 1))
    }
    take(0)
  }

  #leaves() {
    const { program } = this.#loss
    return {
      size: (axis: string) => this.#sizes.real(axis),
      param: (name: string) => this.#param(program.scalars.indexOf(name)),
    }
  }

  /** `launch(cotangent)`: computes the numbers of a kernel's argument, and calls it. */
  #launch({ plan, words, scalarNodes }: EmittedKernel, place: number): FunctionBuilder {
    const f = new FunctionBuilder([F64], [])
    const { precision } = this.#loss
    const { nodes } = plan.program
    const group = this.#groups.findIndex(({ kernels }) => kernels.includes(this.#kernels[place]))
    const at = this.#map.arguments[group]
    const cotangent = f.let(rounded(precision, get(0)), F64)
    const emitter = new ScalarEmitter(f, nodes, { ...this.#leaves(), cotangent, precision }, this.#scalars)
    for (const id of scalarNodes) emitter.value(id)
    words.forEach((word, index) => {
      if (word.kind !== 'scalar' || word.part === 1) return
      const value = emitter.value(word.node)
      const address = i32(at + 4 * index)
      if (nodes[word.node].type === 'bool') f.add(...truthWords(at + 4 * index, isTrue(value), precision))
      else f.add(storeReal(precision, address, value))
    })
    f.add(call(this.#kernelIndex(place), i32(at)))
    return f
  }

  // The result

  #finish(f: FunctionBuilder, reducer: Reducer, denominator: Code) {
    const reduction = get(0)
    const { result } = this.#map
    f.add(call(this.#indexOf('weigh'), reduction))
    const count = reducer.counted(f)
    const scale = f.let(reducer.scaleOf(reduction, denominator), F64)
    const value = f.let(reducer.total(f, this.#indexOf('sum'), scale), F64)
    const other = select(is(reduction, 'batchmean'), real(reducer.rows), f64(1))
    const divided = select(divides(reduction), denominator, other)
    f.add(
      storeF64(i32(result + RESULT.value), value),
      storeF64(i32(result + RESULT.denominator), divided),
      storeF64(i32(result + RESULT.count), count),
      value,
    )
  }
}

/** JSON cannot represent infinities, which are strings as in requests. */
function spelledOut(_: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
}

/** A truth value as the lanes have it: all bits set, or none. */
function truthWords(at: number, condition: Code, precision: 'float32' | 'float64'): Code[] {
  const bits = op('i32.sub', i32(0), condition)
  return precision === 'float32' ? [storeWord(at, bits)] : [storeWord(at, bits), storeWord(at + 4, bits)]
}

function constant(value: number): FunctionBuilder {
  const f = new FunctionBuilder([], [I32])
  f.add(i32(value))
  return f
}

/** The address of an array, by its place. */
function addressFunction(table: number): FunctionBuilder {
  const f = new FunctionBuilder([I32], [I32])
  f.add(loadI32(op('i32.shl', get(0), i32(2)), table))
  return f
}

/** The arrays of a kernel, with the loss's own names of axes. */
interface Arrays {
  readonly inputs: readonly ManifestArray[]
  readonly outputs: readonly ManifestArray[]
}

function arraysOf({ program, precision, inputs, first }: PortableLoss): Arrays {
  const valueAxes = valueAxesOf(program)
  const own = inputs.map(({ name, axes, dtype, isSpread }): ManifestArray => {
    return { name, axes: isSpread ? [LAST_OF_REST] : axes, dtype }
  })
  const weights = { name: 'sample_weight', axes: [first === '...' ? FIRST_OF_REST : first], dtype: precision }
  const upstream = { name: 'grad_output', axes: valueAxes, dtype: precision }
  const gradients = Object.keys(program.gradients).map((key): ManifestArray => {
    return { name: gradientName(key), axes: layoutOf(program, key), dtype: precision }
  })
  const values = { name: VALUES, axes: valueAxes, dtype: precision }
  return { inputs: [...own, weights, upstream], outputs: [values, ...gradients] }
}

function manifestOf(
  loss: PortableLoss,
  { inputs, outputs }: Arrays,
  features: Features,
  usesHost: boolean,
): Manifest {
  const { program, precision, scalars } = loss
  const named = (arrays: readonly ManifestArray[]) =>
    arrays.map((array) => ({ ...array, axes: array.axes.flatMap((axis) => sizeNamesOf(loss, axis)) }))
  return {
    abi: ABI,
    features,
    precision,
    sizes: sizeNames(loss),
    inputs: named(inputs),
    outputs: named(outputs),
    params: program.scalars.map((name) => ({ name, value: scalars[name] })),
    reductions: REDUCTIONS,
    imports: usesHost ? HOST_IMPORTS.map(({ name }) => name) : [],
    statuses: STATUSES,
  }
}

/** An axis by the name of its size, so that arrays name nothing else. */
function sizeNamesOf(loss: PortableLoss, axis: string): string[] {
  if (!axis.startsWith('...')) return [rootOf(loss, axis)]
  if (!loss.isBare) return [axis]
  return axis === '...' ? [] : ['1']
}
