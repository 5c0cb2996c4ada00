/**
 * `npm run clients:data`: writes what the clients share. The catalog, so that they know inputs and parameters without a
 * request; the functions of the language, for losses that are written as functions; and the vectors of the conformance
 * suite, which every client must reproduce with a local kernel and from the service.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Problem } from '../src/errors.ts'
import { FUNCTIONS } from '../src/language/functions.ts'
import { axesText, type Loss, withoutPreset } from '../src/losses/define.ts'
import { loadCatalog } from '../src/losses/load-catalog.ts'
import { createProgramSource } from '../src/losses/program.ts'
import { writePortableKernel } from '../src/portable/write.ts'
import { kernelRequest } from '../src/schemas/kernel-request.ts'
import { createRequestPlanSource } from '../src/schemas/request-plan.ts'
import type { DecodedTensor } from '../src/wire/define.ts'
import { check } from '../test/support/evaluate.ts'
import { type HostResult, KernelHost } from '../test/support/kernel-host.ts'
import { choicesOf } from '../test/support/params.ts'
import { sampleTensors } from '../test/support/sample.ts'

const root = new URL('../', import.meta.url)
const { losses } = await loadCatalog()
const { version } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
const limits = { maxIntermediate: 2 ** 26, maxCost: 2e10 }
const plans = createRequestPlanSource(createProgramSource(), limits)

const catalog = {
  version,
  functions: Object.fromEntries([...FUNCTIONS].map(([name, { parameters }]) => [name, parameters])),
  losses: Object.fromEntries(losses.map((loss) => [loss.name, entryOf(loss)])),
}
for (const file of ['clients/python/src/lossd/_catalog.json', 'clients/typescript/src/catalog.json'])
  write(file, `${JSON.stringify(catalog)}\n`)

const cases = []
for (const loss of losses) cases.push(...casesOf(loss))
write('clients/conformance/losses.json', `[\n${cases.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`)
const faults = faultsOf()
write('clients/conformance/problems.json', `[\n${faults.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`)
console.log(`${cases.length} losses, ${faults.length} problems`)

function entryOf({ aliases, inputs, params }: Loss) {
  const entries = Object.entries(inputs).map(([name, { axes, sizes, kind, optional, differentiable }]) => {
    return { name, axes: axesText({ axes, sizes }), kind, optional, differentiable }
  })
  return { aliases, inputs: entries, params: params.properties }
}

function write(file: string, text: string) {
  const url = new URL(file, root)
  mkdirSync(new URL('./', url), { recursive: true })
  writeFileSync(url, text)
}

// Vectors

type Tensors = Map<string, DecodedTensor>
type Options = Readonly<Record<string, unknown>>

/** Both precisions; each reduction somewhere; with and without weights. */
function casesOf(loss: Loss) {
  const made = []
  const choices = choicesOf(loss)
  for (const [place, precision] of (['float32', 'float64'] as const).entries()) {
    for (const rows of [3, 6]) {
      const params = choices[(place + rows) % choices.length]!
      const tensors = sampleTensors(loss, { seed: rows, precision, rows, params })
      made.push(caseOf(loss, tensors, { params, reduction: place === 0 ? 'mean' : 'sum' }))
      if (rows === 3) made.push(caseOf(loss, tensors, { params, reduction: 'none' }))
      else if (takesWeights(loss, tensors, params))
        made.push(caseOf(loss, weighted(tensors, rows, precision), { params, reduction: 'weighted_mean' }))
    }
  }
  return made
}

function weighted(tensors: Tensors, rows: number, precision: 'float32' | 'float64'): Tensors {
  const numbers = Array.from({ length: rows }, (_, row) => [0.5, 0, 2][row % 3]!)
  const data = precision === 'float64' ? Float64Array.from(numbers) : Float32Array.from(numbers)
  const weights: DecodedTensor = { dtype: precision, shape: [rows], data, encoding: 'nested', typed: true }
  return new Map(tensors).set('sample_weight', weights)
}

function takesWeights(loss: Loss, tensors: Tensors, params: object): boolean {
  try {
    check(loss, weighted(tensors, [...tensors.values()][0]!.shape[0]!, 'float32'), { params })
    return true
  } catch (error) {
    if (error instanceof Problem) return false
    throw error
  }
}

function caseOf(loss: Loss, tensors: Tensors, options: Options & { reduction: string }) {
  const inputs = Object.fromEntries([...tensors].map(([name, tensor]) => [name, encoded(tensor)]))
  const want = byKernel(kernelFor(loss, tensors, options), tensors, options)
  return { loss: loss.name, ...options, tensors: inputs, want }
}

function kernelFor(loss: Loss, tensors: Tensors, { params }: Options): KernelHost {
  const inputs = [...tensors].filter(([name]) => name !== 'sample_weight')
  const texts = inputs.map(([name, { dtype, shape }]) => `${name}:${dtype}[${shape}]`)
  const request = kernelRequest(withoutPreset(loss), { inputs: texts.join(';'), params }, plans)
  return new KernelHost(writePortableKernel(request.loss, 'simd', request.about).bytes)
}

function byKernel(host: KernelHost, tensors: Tensors, options: Options & { reduction: string }) {
  const result: HostResult = host.run(tensors, { reduction: options.reduction })
  if (result.status !== 'ok') throw new Error(`${host.manifest.loss}: ${result.status}`)
  const values = options.reduction === 'none' ? result.outputs.values! : Float64Array.of(result.value)
  const gradients = Object.entries(result.outputs).filter(([name]) => name.startsWith('gradients.'))
  return {
    loss: base64(values),
    dtype: options.reduction === 'none' ? host.manifest.precision : 'float64',
    gradients: Object.fromEntries(
      gradients.map(([name, data]) => [name.slice('gradients.'.length), base64(data)]),
    ),
    denominator: result.denominator,
    count: result.count,
  }
}

function encoded({ dtype, shape, data }: DecodedTensor) {
  return { dtype, shape, data: base64(data) }
}

function base64(data: { readonly buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')
}

// Problems

interface Fault {
  readonly loss: string
  readonly tensors: Readonly<Record<string, DecodedTensor>>
  readonly options?: Options
}

/** Requests that are refused, and in which words. */
function faultsOf() {
  const reals = (shape: readonly number[], ...numbers: number[]) => tensorOf('float32', shape, numbers)
  const doubles = (shape: readonly number[], ...numbers: number[]) => tensorOf('float64', shape, numbers)
  const labels = (shape: readonly number[], ...numbers: number[]) => tensorOf('int32', shape, numbers)
  const [logits, pair] = [reals([2, 3], 1, 2, 3, 4, 5, 6), reals([2], 1, 2)]
  const all: readonly Fault[] = [
    { loss: 'cross_entropy', tensors: { predictions: logits, targets: labels([2], 1, 3) } },
    { loss: 'cross_entropy', tensors: { predictions: logits, targets: labels([2], -1, 0) } },
    { loss: 'cross_entropy', tensors: { predictions: logits, targets: labels([3], 1, 1, 1) } },
    { loss: 'cross_entropy', tensors: { predictions: logits, targets: reals([2], 1, 1) } },
    {
      loss: 'cross_entropy',
      tensors: { predictions: reals([2, 3], 1, 2, 3, 4, 5, 6), targets: reals([2, 3], 1, 0, 0, 1.5, 0, 0) },
    },
    { loss: 'nll', tensors: { predictions: logits, targets: labels([2], 7, 0) } },
    { loss: 'binary_cross_entropy', tensors: { predictions: reals([2], 0.5, 1.25), targets: pair } },
    {
      loss: 'binary_cross_entropy',
      tensors: { predictions: doubles([2], 0.5, -1e-9), targets: doubles([2], 0, 1) },
    },
    {
      loss: 'binary_cross_entropy',
      tensors: { predictions: reals([2], 0.5, 0.25), targets: reals([2], 0.1, 1.1) },
    },
    { loss: 'poisson_nll', tensors: { predictions: pair, targets: reals([2], 1, -0.1) } },
    { loss: 'hinge', tensors: { predictions: pair, targets: reals([2], 1, 0) } },
    { loss: 'giou', tensors: { predictions: reals([1, 4], 0, 0, 1, 1), targets: reals([1, 4], 0, 2, 1, 1) } },
    { loss: 'huber', tensors: { predictions: pair, targets: reals([3], 1, 2, 3) } },
    { loss: 'huber', tensors: { predictions: pair, targets: pair }, options: { params: { delta: -1 } } },
    { loss: 'huber', tensors: { predictions: pair, targets: pair }, options: { params: { delta: 1e-50 } } },
    { loss: 'huber', tensors: { predictions: pair, targets: pair }, options: { reduction: 'median' } },
    {
      loss: 'huber',
      tensors: { predictions: pair, targets: pair },
      options: { reduction: 'sum', denominator: 2 },
    },
    { loss: 'huber', tensors: { predictions: pair, targets: pair, sample_weight: reals([3], 1, 1, 1) } },
    { loss: 'huber', tensors: { predictions: pair, targets: pair, grad_output: reals([2], 1, 1) } },
    { loss: 'huber', tensors: { predictions: reals([0]), targets: reals([0]) } },
    { loss: 'dice', tensors: { predictions: reals([0, 2]), targets: reals([0, 2]) } },
    { loss: 'huber', tensors: { predictions: pair, targets: pair }, options: { params: { dleta: 2 } } },
    { loss: 'huber', tensors: { predictions: pair, target: pair } },
    { loss: 'huber', tensors: { predictions: pair } },
  ]
  return all.map(faultCase).filter((made) => made !== undefined)
}

function tensorOf(
  dtype: 'float32' | 'float64' | 'int32',
  shape: readonly number[],
  numbers: readonly number[],
) {
  const Column = { float32: Float32Array, float64: Float64Array, int32: Int32Array }[dtype]
  return { dtype, shape, data: Column.from(numbers), encoding: 'binary', typed: true } as const
}

function faultCase({ loss: name, tensors, options = {} }: Fault) {
  const loss = losses.find((one) => one.name === name)!
  const inputs = Object.fromEntries(Object.entries(tensors).map(([key, tensor]) => [key, encoded(tensor)]))
  try {
    check(loss, new Map(Object.entries(tensors)), options)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const pointer = error.options.errors?.[0]?.pointer ?? ''
    return {
      loss: name,
      ...options,
      tensors: inputs,
      problem: { code: error.code, pointer, detail: error.message },
    }
  }
  throw new Error(`${name} accepts ${JSON.stringify(inputs)}`)
}
