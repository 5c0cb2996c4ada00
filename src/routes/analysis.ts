/**
 * What can be proved of a loss: its properties, whether its gradient is right, and its best constant prediction. The
 * work is done on the analyzer's thread.
 */
import { PassThrough, type Readable } from 'node:stream'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Analysis, Progress } from '../analysis/analyze.ts'
import { drawInputs } from '../analysis/draw.ts'
import { pageOf } from '../analysis/page.ts'
import { hasSurrogateGradient } from '../analysis/subject.ts'
import { analysisTable } from '../analysis/table.ts'
import { Abandoned, AnalyzerBusy, type Asking, Unanswerable } from '../analyzer/analyzer.ts'
import type { Asked, ConstantTask, Source, Task } from '../analyzer/tasks.ts'
import { Cancelled } from '../batching/batcher.ts'
import { Problem, pluralize, pointerToken, problemAt } from '../errors.ts'
import { toProblem } from '../http.ts'
import type { Catalog } from '../losses/catalog.ts'
import type { Definition } from '../losses/custom.ts'
import { type Loss, type Params, type ResolvedLoss, withoutPreset } from '../losses/define.ts'
import { batchAxisOf, holdsIndices } from '../losses/program.ts'
import { didYouMean } from '../nearest.ts'
import { isRegisteredName } from '../registry/name.ts'
import { findServable } from '../registry/retirement.ts'
import type { ScopedRegistry } from '../registry/scoped-registry.ts'
import {
  AnalysisSchema,
  AnalyzeBody,
  budgetOf,
  CheckSchema,
  ConstantSchema,
  checkBody,
  ExplanationSchema,
} from '../schemas/analysis.ts'
import { checkRequest } from '../schemas/check.ts'
import { resolveLoss } from '../schemas/find-loss.ts'
import { definitionOfFormula } from '../schemas/formula-source.ts'
import { createDefinitionSource } from '../schemas/inline.ts'
import { RegisteredAddress } from '../schemas/openapi.ts'
import { problemBody } from '../schemas/problem.ts'
import { checkParams } from '../schemas/unknown-names.ts'
import type { Decoded, DecodedTensor } from '../wire/define.ts'
import { decodeObject } from '../wire/index.ts'
import { parseJson } from '../wire/json/parse-json.ts'
import { chargeElements } from './authorize.ts'
import type { RouteContext, Routes } from './context.ts'
import { whenOver } from './response-coalescer.ts'

/** A loss, and how the thread finds it. */
interface Subject {
  readonly resolved: ResolvedLoss
  readonly source: Source
}

/** A request that asks, and what it asks with. */
interface Asker {
  readonly context: RouteContext
  readonly request: FastifyRequest
  readonly asking: Asking
}

type Address = { readonly namespace?: string; readonly name: string }
type Ask = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

const tags = ['proofs']
const jsonBody = (schema: unknown) => ({ content: { 'application/json': { schema } } })
const NameAddress = Type.Object({ name: Type.String({ examples: ['huber'] }) })
const problems = [404, 410, 422, 429, 501, 503]
const Tensors = Type.Object(
  { params: Type.Optional(Type.Record(Type.String(), Type.Unknown())), of: Type.Optional(Type.String()) },
  {
    additionalProperties: Type.Unsafe({ $ref: 'Numbers#' }),
    description: 'Tensors, parameters, and `of`: the input that is checked.',
  },
)

const routes: Routes = (app, context) => {
  const definitions = createDefinitionSource(context.programs)
  const asker = (request: FastifyRequest, reply: FastifyReply): Asker => ({
    context,
    request,
    asking: askingOf(request, reply),
  })
  const inline = (request: FastifyRequest, body: Record<string, unknown>) =>
    subjectOf(body, context.catalog, context.seenBy(request), definitions)

  const analyze = {
    tags,
    operationId: 'analyzeLoss',
    summary: 'What can be proved of a loss',
    description:
      'Each property has a verdict. `proved` comes from rules and interval arithmetic with outward rounding, never from samples; `refuted` has a counterexample.',
    body: jsonBody(AnalyzeBody),
    response: {
      200: {
        description:
          'JSON, a table as text, or events: a `verdict` for each property, in the end the `analysis`.',
        content: {
          'application/json': { schema: AnalysisSchema },
          'text/plain': { schema: { type: 'string' } },
          'text/event-stream': { schema: { type: 'string' } },
        },
      },
    },
    'x-problems': problems,
  }
  app.post('/v1/losses::analyze', { schema: analyze }, async (request, reply) => {
    const body = checkBody(AnalyzeBody, bodyOf(request))
    const { resolved, source } = await inline(request, body as Record<string, unknown>)
    const question = questionOf(resolved.loss, source, body as Record<string, unknown>)
    const task = { kind: 'analyze', ...question, properties: body.properties } as const
    const accept = String(request.headers.accept ?? '')
    if (accept.startsWith('text/event-stream')) {
      const events = eventsOf(request.id, (tell) => asked(asker(request, reply), task, { tell }))
      return reply.type('text/event-stream; charset=utf-8').header('cache-control', 'no-store').send(events)
    }
    const analysis = await asked(asker(request, reply), task)
    if (!accept.startsWith('text/plain')) return analysis
    return reply.type('text/plain; charset=utf-8').serializer(String).send(analysisTable(analysis))
  })

  const check = {
    tags,
    summary: 'Check the gradient of a loss',
    description:
      'Compares the served float32 gradient and the second derivative with reverse mode in float64, the complex step and central differences. Without tensors, it draws some.',
    body: jsonBody(Tensors),
    response: { 200: CheckSchema },
    'x-problems': problems,
  }
  const constant = {
    tags,
    summary: 'The best constant prediction for given targets',
    description:
      'The constant that minimises the (weighted) mean loss, as boosting libraries need to start from.',
    body: jsonBody(Tensors),
    response: { 200: ConstantSchema },
    'x-problems': problems,
  }
  const explanation = {
    tags,
    summary: 'What a loss does, in words and plots',
    querystring: Type.Object({
      format: Type.Optional(Type.Union([Type.Literal('html'), Type.Literal('json')])),
    }),
    response: {
      200: {
        description: 'JSON, or a page for browsers.',
        content: {
          'application/json': { schema: ExplanationSchema },
          'text/html': { schema: { type: 'string' } },
        },
      },
    },
    'x-problems': problems,
  }
  const named = [
    { path: '/v1/losses/:name', of: '', params: NameAddress },
    { path: '/v1/losses/:namespace/:name', of: 'Registered', params: RegisteredAddress },
  ]
  const find = (request: FastifyRequest) =>
    subjectOfName(request.params as Address, context.catalog, context.seenBy(request))
  const inlinePost = (verb: string, schema: object, ask: typeof checked | typeof best) =>
    app.post(
      `/v1/losses::${verb}`,
      { schema: { ...schema, operationId: `${verb}Inline` } },
      async (request, reply) => {
        const body = bodyOf(request)
        return ask(await inline(request, body), without(body, SOURCES), asker(request, reply))
      },
    )
  inlinePost('check', check, checked)
  inlinePost('constant', constant, best)
  for (const { path, of, params } of named) {
    const addressed = (verb: string, schema: object) => ({
      schema: { ...schema, params, operationId: `${verb}${of}Loss` },
    })
    const at = (verb: string) => path.replace(/:name$/, `:name(^[^:/]+)::${verb}`)
    const post = (verb: string, schema: object, ask: Ask) => app.post(at(verb), addressed(verb, schema), ask)
    post('check', check, async (request, reply) =>
      checked(await find(request), bodyOf(request), asker(request, reply)),
    )
    post('constant', constant, async (request, reply) =>
      best(await find(request), bodyOf(request), asker(request, reply)),
    )
    app.get(`${path}/explanation`, addressed('explain', explanation), async (request, reply) => {
      const { format } = request.query as { format?: string }
      if (format !== undefined && !FORMATS.includes(format))
        throw problemAt('invalid-value', '/format', `must be ${FORMATS.join(' or ')}`)
      const { resolved, source } = await find(request)
      const explained = await asked(asker(request, reply), {
        kind: 'explain',
        ...questionOf(resolved.loss, source, {}),
      })
      const isHtml =
        format === 'html' || (format === undefined && String(request.headers.accept).includes('text/html'))
      return isHtml
        ? reply.type('text/html; charset=utf-8').serializer(String).send(pageOf(explained))
        : explained
    })
  }
}

export default routes

const FORMATS: readonly string[] = ['html', 'json']
const SOURCES = ['loss', 'definition', 'formula', 'axes'] as const

/** @throws Problem `malformed-json`, `invalid-value` */
function bodyOf({ body }: FastifyRequest): Record<string, unknown> {
  const bytes = body as Uint8Array | undefined
  const parsed = bytes === undefined || bytes.length === 0 ? {} : parseJson(bytes)
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
    return parsed as Record<string, unknown>
  throw problemAt('invalid-value', '', 'the body must be a JSON object')
}

function without(body: Record<string, unknown>, names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([name]) => !names.includes(name)))
}

async function subjectOfName(
  { namespace, name }: Address,
  catalog: Catalog,
  registry: ScopedRegistry,
): Promise<Subject> {
  if (namespace === undefined) {
    const resolved = resolveLoss(catalog, name)
    return { resolved, source: { name: resolved.loss.name } }
  }
  const { resolved, stored } = await findServable(registry, { namespace, name })
  return { resolved, source: { definition: JSON.parse(stored.document) } }
}

/** @throws Problem `missing-input`, and what is wrong with the definition */
async function subjectOf(
  body: Record<string, unknown>,
  catalog: Catalog,
  registry: ScopedRegistry,
  definitions: ReturnType<typeof createDefinitionSource>,
): Promise<Subject> {
  const given = (['loss', 'definition', 'formula'] as const).filter((name) => body[name] !== undefined)
  if (given.length !== 1)
    throw problemAt('missing-input', '/loss', 'send one of loss, definition and formula')
  if (typeof body.loss === 'string') {
    if (!isRegisteredName(body.loss)) return subjectOfName({ name: body.loss }, catalog, registry)
    const [namespace, ...rest] = body.loss.split('/')
    return subjectOfName({ namespace, name: rest.join('/') }, catalog, registry)
  }
  if (given[0] === 'loss') throw problemAt('invalid-value', '/loss', 'must be a string')
  const definition = given[0] === 'formula' ? definitionOfFormula(body) : (body.definition as Definition)
  return {
    resolved: definitions(definition, given[0] === 'formula' ? '' : '/definition'),
    source: { definition },
  }
}

/** @throws Problem `unknown-name`, `invalid-value`, `param-invalid` */
function questionOf(loss: Loss, source: Source, body: Record<string, unknown>): Asked {
  const own = Object.keys(loss.inputs)
  if (body.of !== undefined && typeof body.of !== 'string')
    throw problemAt('invalid-value', '/of', 'must be the name of an input')
  const of = (body.of as string | undefined) ?? own.find((name) => loss.inputs[name].differentiable)
  if (of === undefined || !Object.hasOwn(loss.inputs, of) || !loss.inputs[of].differentiable) {
    throw problemAt(
      'unknown-name',
      '/of',
      `is not a differentiable input of ${loss.name}, which has ${own.join(', ')}${didYouMean(String(of), own)}`,
    )
  }
  const params = checkParams(withoutPreset(loss), body.params)
  return {
    source,
    params,
    of,
    domain: domainOf(loss, body.domain),
    sizes: (body.sizes ?? {}) as Asked['sizes'],
    budgetMs: budgetOf(body.budgetMs),
  }
}

/** @throws Problem `unknown-name`, `invalid-value` */
function domainOf({ name: loss, inputs }: Loss, given: unknown = {}): Asked['domain'] {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw problemAt('invalid-value', '/domain', 'must be an object: {"predictions": [-1, 1]}')
  for (const [name, range] of Object.entries(given)) {
    const pointer = `/domain/${pointerToken(name)}`
    if (!Object.hasOwn(inputs, name)) {
      const guess = didYouMean(name, Object.keys(inputs))
      throw problemAt('unknown-name', pointer, `is not an input of ${loss}${guess}`)
    }
    if (!isRange(range)) throw problemAt('invalid-value', pointer, 'must be two numbers in ascending order')
  }
  return given as Asked['domain']
}

function isRange(value: unknown): boolean {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [low, high] = value
  return typeof low === 'number' && typeof high === 'number' && low <= high
}

/** Server-sent events: a `verdict` for each property that is decided, in the end the `analysis`, or the `problem`. */
function eventsOf(id: string, analysis: (tell: (progress: Progress) => void) => Promise<Analysis>): Readable {
  const events = new PassThrough()
  const send = (event: string, data: unknown) =>
    events.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  analysis((progress) => send('verdict', progress))
    .then(
      (found) => send('analysis', found),
      (error) => send('problem', problemBody(toProblem(error), id)),
    )
    .finally(() => events.end())
  return events
}

/** Whoever is not asked who they are. */
const ANYBODY = {}

/** Callers take turns; what a client that has gone asked for is not begun. */
function askingOf({ caller, raw }: FastifyRequest, reply: FastifyReply): Asking {
  const gone = new AbortController()
  whenOver(raw, reply.raw, () => gone.abort())
  const isKnown = (caller?.id ?? null) !== null
  return { signal: gone.signal, sender: { caller: caller?.lane ?? ANYBODY, connection: raw.socket, isKnown } }
}

/**
 * @param pointer the member that a question which cannot be answered is about
 * @throws Problem `invalid-value` for a question that cannot be answered, `overloaded`
 */
async function asked<K extends Task['kind']>(
  { context, asking }: Asker,
  task: Task & { readonly kind: K },
  { tell, pointer }: { readonly tell?: (progress: Progress) => void; readonly pointer?: string } = {},
) {
  try {
    return await context.analyzer.ask<K>(task, { ...asking, tell })
  } catch (error) {
    if (error instanceof Unanswerable && pointer !== undefined)
      throw problemAt('invalid-value', pointer, error.message)
    if (error instanceof Unanswerable) throw new Problem('invalid-value', error.message)
    if (error instanceof Abandoned) throw new Cancelled('the client disconnected')
    if (error instanceof AnalyzerBusy)
      throw new Problem('overloaded', error.message, { retryAfter: error.retryAfter })
    throw error
  }
}

/** Requests as a client would send them: float32 as it is served, and float64 as it is defined. */
function requestsOf(resolved: ResolvedLoss, body: Record<string, unknown>, { context, request }: Asker) {
  const { loss } = resolved
  const hasTensors = Object.keys(loss.inputs).some((name) => body[name] !== undefined)
  const drawn = hasTensors ? {} : drawnBody(loss, checkParams(withoutPreset(loss), body.params))
  const tensors = { ...drawn, ...without(body, ['of', 'params']) }
  const options = { ...(body.params === undefined ? {} : { params: body.params }), reduction: 'sum' }
  const decode = (extra: object) => decodeObject({ ...tensors, ...options, ...extra }, context.config)
  const float32 = decode({})
  if (hasTensors) chargeElements(request, float32)
  return { float32, float64: (extra: object) => widened(decode(extra), loss) }
}

function drawnBody(loss: Loss, params: Params): Record<string, unknown> {
  let state = 7
  const random = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  const drawn = Object.entries(drawInputs(loss, params, random))
  return Object.fromEntries(
    drawn.map(([name, { shape, data, isIndex }]) => [
      name,
      { shape, data, dtype: isIndex ? 'int32' : 'float32' },
    ]),
  )
}

/** The same numbers in float64; indices stay what they are. */
function widened({ tensors, options }: Decoded, { inputs }: Loss): Decoded {
  const rank = tensors.get(Object.keys(inputs)[0])?.shape.length
  const wide = ([name, tensor]: readonly [string, DecodedTensor]) => {
    const isPerClass = inputs[name]?.perClass === true && tensor.shape.length === rank
    const isIndex = inputs[name] !== undefined && holdsIndices(inputs[name], inputs[name].axes) && !isPerClass
    if (isIndex || !/^float/.test(tensor.dtype)) return [name, tensor] as const
    const data = Float64Array.from(tensor.data as ArrayLike<number>)
    return [name, { ...tensor, dtype: 'float64' as const, typed: true, data }] as const
  }
  return { tensors: new Map([...tensors].map(wide)), options }
}

async function checked({ resolved }: Subject, body: Record<string, unknown>, asker: Asker) {
  const { plans, batcher } = asker.context
  const { loss } = resolved
  const { of } = questionOf(loss, { name: loss.name }, { of: body.of })
  const requests = requestsOf(resolved, body, asker)
  const small = checkRequest(resolved, requests.float32, { plans })
  if (!Object.hasOwn(small.job.program.gradients, of))
    throw problemAt('invalid-value', '/gradients', `must contain ${of}, whose gradient is checked`)
  const served = await batcher.submit(small.job, (result) =>
    Float64Array.from(small.answer(result).gradients.get(of)!.data as ArrayLike<number>),
  )
  const { job } = exactly(resolved, requests, of, plans)
  const inputs = Object.fromEntries(Object.entries(job.inputs).map(([name, data]) => [name, data.slice()]))
  const report = await asked(asker, {
    kind: 'check',
    program: job.program,
    sizes: job.sizes,
    inputs,
    scalars: job.scalars,
    of,
    served,
    rowAxis: loss.couples === 'element' || loss.couples === 'row' ? batchAxisOf(loss) : undefined,
  })
  const hasSurrogate = hasSurrogateGradient(loss, checkParams(withoutPreset(loss), body.params))
  return { loss: loss.name, of, hasSurrogate, ...report }
}

/** With the second derivative, unless the loss has none. */
function exactly(
  resolved: ResolvedLoss,
  requests: ReturnType<typeof requestsOf>,
  of: string,
  plans: RouteContext['plans'],
) {
  try {
    return checkRequest(resolved, requests.float64({ gradients: [of], hessian: 'diagonal' }), { plans })
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return checkRequest(resolved, requests.float64({ gradients: [of] }), { plans })
  }
}

async function best({ resolved, source }: Subject, body: Record<string, unknown>, asker: Asker) {
  const { context } = asker
  const { loss } = resolved
  const rest = without(body, ['of', 'domain', 'classes', 'budgetMs', 'sample_weight'])
  const question = questionOf(loss, source, {
    of: body.of ?? missingInput(loss, body),
    params: body.params,
    budgetMs: body.budgetMs,
    domain: body.domain,
  })
  const { of } = question
  const decode = (value: object) => decodeObject(value, context.config)
  const given = decode(rest)
  chargeElements(asker.request, given)
  const targets = targetsOf(given)
  const width = classesOf(loss, of, given, body.classes)
  const shape = shapeOf(loss, of, targets, width)
  const count = shape.reduce((product, size) => product * size, 1)
  checkCount(count, targets, context)
  const start = startOf(loss, of, question.params)
  const predictions = {
    shape,
    dtype: 'float32',
    data: new Array<number>(count).fill(width > 1 && start !== 0 ? 1 / width : start),
  }
  const request = widened(decode({ ...rest, [of]: predictions, reduction: 'none', gradients: [of] }), loss)
  const { job } = checkRequest(resolved, request, { plans: context.plans })
  const weights = weightsOf(body.sample_weight, job.values)
  const task: ConstantTask = {
    kind: 'constant',
    ...question,
    domain: {},
    program: job.program,
    axisSizes: job.sizes,
    inputs: Object.fromEntries(
      Object.entries(job.inputs).map(([name, data]) => [name, Float64Array.from(data as ArrayLike<number>)]),
    ),
    scalars: job.scalars,
    weights,
    width,
    stride: width === 1 ? 1 : shape.slice(2).reduce((product, size) => product * size, 1),
    range: rangeOf(loss, of, question.params),
    kinks:
      width === 1 && targets.name === 'targets'
        ? [...new Set(Array.from(targets.data as ArrayLike<number>))]
        : [],
  }
  const { constant, loss: value, ...found } = await asked(asker, task, { pointer: `/${targets.name}` })
  const { slopes, iterations, isStationary, convexity, gap, searched } = found
  const isBest =
    convexity.verdict === 'proved' && gap !== undefined && gap <= NO_GAP * Math.max(1, Math.abs(value))
  return {
    loss: loss.name,
    of,
    constant: width === 1 ? constant[0] : constant,
    value,
    optimality: isBest ? 'proved' : isStationary ? 'stationary' : 'best found',
    ...(isBest ? { gap, searched } : {}),
    slopes,
    iterations,
  }
}

/** What another constant may be better by, relative to the loss, if this one is to be the best. */
const NO_GAP = 1e-8

/** The differentiable input that is not sent: that is what the constant is for. */
function missingInput(loss: Loss, body: Record<string, unknown>): string | undefined {
  return Object.keys(loss.inputs).find(
    (name) => loss.inputs[name].differentiable && !loss.inputs[name].optional && body[name] === undefined,
  )
}

type Targets = DecodedTensor & { readonly name: string }

/** What the constant is compared with: a formula may call its targets as it likes. */
function targetsOf({ tensors }: Decoded): Targets {
  const [first] = tensors.keys()
  const name = tensors.has('targets') ? 'targets' : first
  if (name === undefined) throw problemAt('missing-input', '/targets', 'is required')
  return { name, ...tensors.get(name)! }
}

/** Newton's method needs a matrix of classes by classes. */
const MOST_CLASSES = 1000

/** How many numbers a constant has. */
function classesOf(loss: Loss, of: string, given: Decoded, classes: unknown): number {
  if (classes !== undefined && !(Number.isInteger(classes) && (classes as number) >= 2))
    throw problemAt('invalid-value', '/classes', 'must be an integer >= 2')
  if (!loss.inputs[of].axes.includes('classes')) return 1
  const width = (classes as number | undefined) ?? classesIn(given)
  if (width > MOST_CLASSES) {
    const pointer = classes === undefined ? '/targets' : '/classes'
    throw problemAt('too-expensive', pointer, `a constant has at most ${MOST_CLASSES} classes, got ${width}`)
  }
  return width
}

function classesIn({ tensors }: Decoded): number {
  const labels = tensors.get('targets')
  if (labels === undefined) throw problemAt('missing-input', '/targets', 'is required')
  const isIndex = !/^float/.test(labels.dtype) || labels.shape.length === 1
  if (!isIndex) return labels.shape[1]
  // Not Math.max(...labels): there may be more labels than a call may have arguments.
  return 1 + (labels.data as Float32Array).reduce((most, label) => Math.max(most, Math.floor(label)), 1)
}

/** @throws Problem `empty-batch`, `too-expensive` */
function checkCount(count: number, targets: Targets, { config }: RouteContext) {
  const pointer = `/${targets.name}`
  if (count === 0) throw problemAt('empty-batch', pointer, 'is empty: every constant is as good as another')
  if (count <= config.maxElements) return
  const detail = `a prediction for each of them would have ${pluralize(count, 'elements')}, the limit is ${config.maxElements}`
  throw problemAt('too-expensive', pointer, detail)
}

function shapeOf(loss: Loss, of: string, targets: Targets, width: number): number[] {
  if (width === 1 && loss.inputs[of].axes.join() === '...') return [...targets.shape]
  if (width > 1 && targets.shape.length === 0)
    throw problemAt('shape-mismatch', `/${targets.name}`, 'must have one or more rows, got a single number')
  if (width > 1) return [targets.shape[0], width]
  throw problemAt(
    'invalid-value',
    '/of',
    `a constant ${of} of ${loss.name} is more than one number; there is none to look for`,
  )
}

function startOf(loss: Loss, of: string, params: Params): number {
  const kind = loss.inputs[of].kindFor(params)
  return kind === 'probability' || kind === 'simplex'
    ? 0.5
    : kind === 'positive' || kind === 'nonnegative'
      ? 1
      : kind === 'logprob'
        ? -1
        : 0
}

function rangeOf(loss: Loss, of: string, params: Params): readonly [number, number] {
  const kind = loss.inputs[of].kindFor(params)
  if (kind === 'probability' || kind === 'simplex') return [0, 1]
  if (kind === 'positive' || kind === 'nonnegative') return [0, 1e30]
  return kind === 'logprob' ? [-1e30, 0] : [-1e30, 1e30]
}

/** @throws Problem `shape-mismatch`, `invalid-value` */
function weightsOf(given: unknown, count: number): Float64Array {
  if (given === undefined) return new Float64Array(count).fill(1)
  const isWeight = (weight: unknown) => typeof weight === 'number' && weight >= 0 && Number.isFinite(weight)
  if (!Array.isArray(given) || !given.every(isWeight))
    throw problemAt('invalid-value', '/sample_weight', 'must be an array of numbers that are not negative')
  if (given.length !== count)
    throw problemAt('shape-mismatch', '/sample_weight', `must have ${count} numbers, got ${given.length}`)
  if (given.every((weight) => weight === 0))
    throw problemAt('invalid-value', '/sample_weight', 'must not be 0 everywhere')
  return Float64Array.from(given)
}
