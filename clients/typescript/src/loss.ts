/** A loss as a function of tensors. */
import catalogJson from './catalog.json' with { type: 'json' }
import { type CallOptions, Client, type LossRef } from './client.ts'
import { KernelUnavailable, problemAt, ServiceUnreachable } from './errors.ts'
import { Kernel } from './kernel.ts'
import { isRuntime, type Params, type Schemas } from './params.ts'
import { asTensor, dtypeOf, type FloatArray, type Tensor, type Tensors } from './tensor.ts'

export type Reduction = 'none' | 'mean' | 'sum' | 'batchmean' | 'weighted_mean' | 'sum_by_nonzero_weights'

/** Where a loss is computed: in this process, in the service, or where it is faster. */
export type Mode = 'auto' | 'local' | 'remote'

export interface LossOptions {
  readonly params?: Params
  readonly reduction?: Reduction
  /** The inputs that are differentiated. Default: the first one. */
  readonly wrt?: string | readonly string[]
  /** Default: `auto`. */
  readonly mode?: Mode
  readonly client?: Client
  readonly layout?: 'row' | 'class_major'
}

export interface EvaluateOptions extends CallOptions {
  readonly params?: Params | undefined
  readonly reduction?: Reduction | undefined
  readonly wrt?: string | readonly string[] | undefined
  /** Whether to compute the diagonal of the second derivative, too. */
  readonly hessian?: boolean | undefined
  readonly denominator?: number | undefined
}

export interface Gradient {
  readonly shape: readonly number[]
  readonly data: FloatArray
}

export interface Result {
  /** One number; NaN with the reduction `none`, whose results are the `values`. */
  readonly loss: number
  readonly values: Gradient | undefined
  readonly gradients: Readonly<Record<string, Gradient>>
  readonly hessian: Readonly<Record<string, Gradient>>
  readonly denominator: number
  readonly count: number
  readonly where: 'local' | 'remote'
}

interface CatalogEntry {
  readonly aliases: readonly string[]
  readonly inputs: readonly { readonly name: string; readonly differentiable: boolean }[]
  readonly params: Schemas
}

const CATALOG = catalogJson.losses as unknown as Readonly<Record<string, CatalogEntry>>
const BY_NAME = new Map(
  Object.entries(CATALOG).flatMap(([name, entry]) =>
    [name, ...entry.aliases].map((one) => [one, entry] as const),
  ),
)

let fallback: Client | undefined

/** The client of losses that are not given one. */
export function defaultClient(): Client {
  fallback ??= new Client()
  return fallback
}

export function setDefaultClient(client: Client) {
  fallback = client
}

interface Call {
  readonly tensors: ReadonlyMap<string, Tensor>
  readonly params: Params
  readonly reduction: Reduction | undefined
  readonly wrt: readonly string[]
  readonly hessian: boolean
  readonly denominator: number | undefined
}

/**
 * A loss of the catalog, a registered one, or a formula.
 *
 * @example
 * const huber = new Loss('huber', { params: { delta: 2 } })
 * const { loss, gradients } = await huber.evaluate({ predictions, targets })
 */
export class Loss {
  readonly ref: LossRef
  readonly #options: LossOptions
  readonly #kernels = new Map<string, Promise<Kernel>>()
  readonly #costs = new Costs()
  readonly #unavailable = new Set<string>()

  constructor(loss: LossRef, options: LossOptions = {}) {
    this.ref = loss
    this.#options = options
  }

  get client(): Client {
    return this.#options.client ?? defaultClient()
  }

  /** The loss alone. */
  async value(tensors: Tensors, options: EvaluateOptions = {}): Promise<number> {
    return (await this.evaluate(tensors, options)).loss
  }

  /** The loss, and its gradient with respect to one input. */
  async valueAndGradient(
    tensors: Tensors,
    options: EvaluateOptions & { readonly wrt?: string } = {},
  ): Promise<[number, Gradient]> {
    const { loss, gradients } = await this.evaluate(tensors, options)
    return [loss, Object.values(gradients)[0]!]
  }

  /** Everything: the loss, gradients and second derivatives. */
  async evaluate(tensors: Tensors, options: EvaluateOptions = {}): Promise<Result> {
    const call = this.#call(tensors, options)
    const { mode = 'auto' } = this.#options
    if (mode === 'remote') return this.#remote(call, options)
    if (mode === 'local') return this.#local(call)
    return this.#auto(call, options)
  }

  /**
   * The function that computes in this process, without a promise, for inputs like these.
   *
   * @param tensors any of the dtypes and the number of axes that it will be called with
   * @throws KernelUnavailable
   * @example
   * const step = await huber.compile({ predictions, targets })
   * const { loss, gradients } = step({ predictions, targets })
   */
  async compile(
    tensors: Tensors,
    options: EvaluateOptions = {},
  ): Promise<(tensors: Tensors, options?: EvaluateOptions) => Result> {
    const kernel = await this.#kernelFor(this.#call(tensors, options))
    return (own, more = {}) => compute(kernel, this.#call(own, { ...options, ...more }))
  }

  #call(tensors: Tensors, options: EvaluateOptions): Call {
    const named = Object.entries(tensors).map(([name, value]) => [name, asTensor(name, value)] as const)
    const { wrt = this.#options.wrt ?? named.slice(0, 1).map(([name]) => name) } = options
    const entry = typeof this.ref === 'string' ? BY_NAME.get(this.ref) : undefined
    const first = entry?.inputs[0]?.name
    const isImplied = options.wrt === undefined && this.#options.wrt === undefined && first !== undefined
    return {
      tensors: new Map(named),
      params: options.params ?? this.#options.params ?? {},
      reduction: options.reduction ?? this.#options.reduction,
      wrt: isImplied ? [first] : typeof wrt === 'string' ? [wrt] : wrt,
      hessian: options.hessian ?? false,
      denominator: options.denominator,
    }
  }

  async #remote(call: Call, options: CallOptions): Promise<Result> {
    const { wrt, params, reduction, hessian, denominator } = call
    const request = {
      params: Object.keys(params).length === 0 ? undefined : spelledOut(params),
      reduction,
      gradients: wrt.length === 0 ? false : wrt,
      hessian: hessian ? 'diagonal' : undefined,
      denominator,
      layout: this.#options.layout,
    }
    const sent = Object.fromEntries(call.tensors)
    const { tensors, members } = await this.client.evaluate(this.ref, sent, request, options)
    const under = (prefix: string) =>
      Object.fromEntries(
        [...tensors].flatMap(([name, tensor]) =>
          name.startsWith(prefix) ? [[name.slice(prefix.length), tensor]] : [],
        ),
      )
    const loss = tensors.get('loss')!
    return {
      loss: reduction === 'none' ? Number.NaN : loss.data[0]!,
      values: reduction === 'none' ? loss : undefined,
      gradients: under('gradients.'),
      hessian: under('hessian.'),
      denominator: Number(members.denominator),
      count: Number(members.count),
      where: 'remote',
    }
  }

  async #local(call: Call): Promise<Result> {
    return compute(await this.#kernelFor(call), call)
  }

  #kernelFor(call: Call): Promise<Kernel> {
    const question = this.#question(call)
    const known = this.#kernels.get(question)
    if (known !== undefined) return known
    const made = this.client
      .kernelModule(this.ref, question, this.#request(call))
      .then((module) => new Kernel(module))
    made.catch(() => this.#kernels.delete(question))
    this.#kernels.set(question, made)
    return made
  }

  /** What determines a kernel: ranks in place of shapes, and no parameter that it takes at run time. */
  #question(call: Call): string {
    const schemas = typeof this.ref === 'string' ? BY_NAME.get(this.ref)?.params : undefined
    const fixed = Object.entries(call.params).filter(([name, value]) => !isRuntime(schemas?.[name], value))
    const structure = inputsOf(call).map(([name, { data, shape }]) => [name, dtypeOf(data), shape.length])
    const isOwn = typeof this.ref === 'string' && !this.ref.includes('/')
    const { layout } = this.#options
    return JSON.stringify([
      1,
      isOwn ? '' : this.client.url,
      this.ref,
      structure,
      fixed,
      call.wrt,
      call.hessian,
      layout,
    ])
  }

  #request({ params, wrt, hessian, ...call }: Call): Readonly<Record<string, unknown>> {
    const inputs = inputsOf(call).map(([name, { data, shape }]) => `${name}:${dtypeOf(data)}[${shape}]`)
    return {
      inputs: inputs.join(';'),
      params: Object.keys(params).length === 0 ? undefined : spelledOut(params),
      gradients: wrt.length === 0 ? 'false' : wrt.join(','),
      hessian: hessian ? 'diagonal' : undefined,
      layout: this.#options.layout,
    }
  }

  async #auto(call: Call, options: CallOptions): Promise<Result> {
    const question = this.#question(call)
    if (this.#unavailable.has(question)) return this.#remote(call, options)
    const size = [...call.tensors.values()].reduce((sum, { data }) => sum + data.length, 0)
    const where = this.#costs.choose(question, size)
    try {
      const kernel = where === 'local' ? await this.#kernelFor(call) : undefined
      const started = performance.now()
      const result = kernel === undefined ? await this.#remote(call, options) : compute(kernel, call)
      this.#costs.learn(question, size, where, performance.now() - started)
      return result
    } catch (error) {
      if (error instanceof KernelUnavailable) {
        this.#unavailable.add(question)
        return this.#remote(call, options)
      }
      if (!(error instanceof ServiceUnreachable) || where === 'local') throw error
      this.#costs.forbidRemote()
      return this.#local(call)
    }
  }
}

function inputsOf({ tensors }: Pick<Call, 'tensors'>): [string, Tensor][] {
  return [...tensors].filter(([name]) => name !== 'sample_weight' && name !== 'grad_output')
}

/** JSON cannot represent infinities. */
function spelledOut(params: Params): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
    ]),
  )
}

function compute(kernel: Kernel, call: Call): Result {
  const known = new Set(kernel.manifest.inputs.map(({ name }) => name))
  const strange = [...call.tensors.keys()].find((name) => !known.has(name))
  if (strange !== undefined)
    throw problemAt('unknown-name', `/${strange}`, `is not an input of ${kernel.manifest.loss}`)
  const { value, denominator, count } = kernel.run(call.tensors, call)
  const copied = (name: string): Gradient => {
    const { shape, data } = kernel.output(name)
    return { shape, data: data.slice() }
  }
  const named = (folder: string, names: readonly string[]) =>
    Object.fromEntries(names.map((name) => [name, copied(`${folder}.${name}`)]))
  const isEach = call.reduction === 'none'
  return {
    loss: isEach ? Number.NaN : value,
    values: isEach ? copied('values') : undefined,
    gradients: named('gradients', call.wrt),
    hessian: call.hessian ? named('hessian', kernel.manifest.hessians) : {},
    denominator,
    count,
    where: 'local',
  }
}

/** What calls took, by structure and size, to choose the faster place for the next. */
class Costs {
  /** A place is tried this often before it is compared; the first time does not count. */
  static readonly TRIALS = 3
  readonly #seen = new Map<string, { local: number[]; remote: number[] }>()
  #leastRemote = Number.POSITIVE_INFINITY
  #forbiddenUntil = 0

  choose(question: string, size: number): 'local' | 'remote' {
    const { local, remote } = this.#timesOf(question, size)
    if (local.length < Costs.TRIALS) return 'local'
    const best = Math.min(...local.slice(1))
    // Nothing is faster than the fastest answer of the service so far.
    const floor = Number.isFinite(this.#leastRemote) ? this.#leastRemote : 0.3
    if (best <= floor || performance.now() < this.#forbiddenUntil) return 'local'
    if (remote.length < Costs.TRIALS) return 'remote'
    return best <= Math.min(...remote.slice(1)) ? 'local' : 'remote'
  }

  learn(question: string, size: number, where: 'local' | 'remote', milliseconds: number) {
    if (where === 'remote') this.#leastRemote = Math.min(this.#leastRemote, milliseconds)
    const times = this.#timesOf(question, size)[where]
    times.push(milliseconds)
    if (times.length > 16) times.splice(1, 1)
  }

  /** While there is no service, everything is computed here. */
  forbidRemote() {
    this.#forbiddenUntil = performance.now() + 30_000
  }

  #timesOf(question: string, size: number) {
    const key = `${Math.ceil(Math.log2(size + 1))} ${question}`
    const times = this.#seen.get(key) ?? { local: [], remote: [] }
    this.#seen.set(key, times)
    return times
  }
}
