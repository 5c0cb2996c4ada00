/** Evaluations of files as jobs: `POST` answers at once, and the answer comes later. */
import { PassThrough, type Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Connections } from '../connections.ts'
import { Problem, problemAt } from '../errors.ts'
import { reportPage } from '../evaluation/report.ts'
import type { Evaluation } from '../evaluation/result.ts'
import { namespaceOfPath } from '../evaluator/datasets.ts'
import type { JobFailure, JobRequest, Jobs } from '../evaluator/jobs.ts'
import { lossOf } from '../evaluator/plan.ts'
import type { LossAsk } from '../evaluator/request.ts'
import { isRegisteredName, registeredName } from '../registry/name.ts'
import { findServable } from '../registry/retirement.ts'
import { checkEvaluation, EvaluationBody, EvaluationSchema } from '../schemas/evaluation.ts'
import { checkParams } from '../schemas/unknown-names.ts'
import { StoreDown, type StoredJob } from '../store/contract.ts'
import { parseJson } from '../wire/json/parse-json.ts'
import { callerOf } from './authorize.ts'
import type { RouteContext, Routes } from './context.ts'

const tags = ['evaluations']
const problems = [404, 422, 501, 503]
const Address = Type.Object({ id: Type.String() })
interface ById {
  Params: { id: string }
}

/** How often a reader of events is told the progress. */
const EVENT_MS = 500
/** Longer keys are not told apart from attacks. */
const MOST_KEY = 256

const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const routes: Routes = (app, context) => {
  const post = {
    tags,
    operationId: 'startEvaluation',
    summary: 'Evaluate losses over the rows of files',
    description:
      'Answers with the job at once. The same `Idempotency-Key` with the same request answers with the same job, and 200; with another one, with 422. `GET` the `Location` until its state is `done`, or read its events.',
    headers: Type.Object({ 'idempotency-key': Type.Optional(Type.String({ maxLength: MOST_KEY })) }),
    body: { content: { 'application/json': { schema: EvaluationBody } } },
    response: { 200: EvaluationSchema, 202: EvaluationSchema },
    'x-problems': [400, 413, ...problems],
  }
  app.post('/v1/evaluations', { schema: post }, async (request, reply) => {
    const jobs = jobsOf(context)
    const body = checkEvaluation(parseJson(request.body as Uint8Array))
    if ('path' in body.source) checkMaySee(request, body.source.path)
    await jobs.filesOf(body.source, callerOf(request).id)
    const asked = await requestOf(body, request, context)
    const { job, isNew } = await stored(() =>
      jobs.add(asked, callerOf(request).id, idempotencyKeyOf(request), body),
    )
    return reply
      .code(isNew ? 202 : 200)
      .header('Location', `/v1/evaluations/${job.id}`)
      .send(shown(job))
  })

  const one = { tags, params: Address, 'x-problems': problems }
  app.get<ById>(
    '/v1/evaluations/:id',
    {
      schema: {
        ...one,
        operationId: 'findEvaluation',
        summary: 'The state of an evaluation, and its answer',
        response: { 200: EvaluationSchema },
      },
    },
    async (request) => shown(await jobOf(request, context)),
  )
  app.delete<ById>(
    '/v1/evaluations/:id',
    {
      schema: {
        ...one,
        operationId: 'cancelEvaluation',
        summary: 'Cancel an evaluation',
        response: { 200: EvaluationSchema },
      },
    },
    async (request) => {
      const { id } = await jobOf(request, context)
      await stored(() => jobsOf(context).cancel(id))
      return shown(await jobOf(request, context))
    },
  )
  app.get<ById>(
    '/v1/evaluations/:id/report',
    {
      schema: {
        ...one,
        operationId: 'evaluationReport',
        summary: 'The answer of an evaluation as a page',
        response: {
          200: { description: 'A page.', content: { 'text/html': { schema: { type: 'string' } } } },
        },
      },
    },
    async (request, reply) => {
      const { result, state } = await jobOf(request, context)
      if (result === null)
        throw problemAt('invalid-value', '/id', `the evaluation is ${state}; a report needs one that is done`)
      const page = reportPage(JSON.parse(result) as Evaluation)
      return reply.type('text/html; charset=utf-8').serializer(String).send(page)
    },
  )
  app.get<ById>(
    '/v1/evaluations/:id/events',
    {
      schema: {
        ...one,
        operationId: 'evaluationEvents',
        summary: 'The progress of an evaluation as server-sent events',
        description:
          '`progress` now and then, in the end `done`, `failed` or `cancelled`. If they stop without one of these, the service is being restarted: ask again.',
        response: {
          200: { description: 'Events.', content: { 'text/event-stream': { schema: { type: 'string' } } } },
        },
      },
    },
    async (request, reply) => {
      const job = await jobOf(request, context)
      const events = eventsOf(job, () => jobOf(request, context), reply, context.connections)
      return reply.type('text/event-stream; charset=utf-8').header('cache-control', 'no-store').send(events)
    },
  )
}

export default routes

/** @throws Problem `no-evaluations` */
function jobsOf({ evaluations, config }: RouteContext): Jobs {
  if (evaluations !== undefined) return evaluations
  const missing = config.datasets === '' ? 'LOSSD_DATASETS' : 'LOSSD_STORE'
  throw new Problem('no-evaluations', `this service evaluates no files: it has no ${missing}`)
}

/** Files of other namespaces do not exist for a caller. */
function checkMaySee(request: FastifyRequest, path: string) {
  const caller = callerOf(request)
  const namespace = namespaceOfPath(path)
  if (caller.seesAll || (namespace !== undefined && caller.sees(namespace))) return
  throw problemAt(
    'invalid-value',
    '/source/path',
    `there is no such file: ${JSON.stringify(path.slice(0, 200))}`,
  )
}

/** With registered losses as what they are now, and everything checked that needs no data. */
async function requestOf(
  { source, columns, compare, on_bad, ...rest }: Static<typeof EvaluationBody>,
  request: FastifyRequest,
  context: RouteContext,
): Promise<JobRequest> {
  const losses = await Promise.all(rest.losses.map((ask) => definedLoss(ask as LossAsk, request, context)))
  for (const ask of losses) checkParams(lossOf(ask, context.catalog), ask.params)
  const list = (names: string | string[]) => (typeof names === 'string' ? [names] : names)
  return {
    ...rest,
    losses,
    source,
    columns: Object.fromEntries(Object.entries(columns).map(([name, names]) => [name, list(names)])),
    ...(compare === undefined ? {} : { compare: compare.map(list) }),
    onBad: on_bad ?? 'fail',
  } as JobRequest
}

async function definedLoss(ask: LossAsk, request: FastifyRequest, context: RouteContext): Promise<LossAsk> {
  if (!('loss' in ask) || !isRegisteredName(ask.loss)) return ask
  const [namespace, ...name] = ask.loss.split('/')
  const address = { namespace, name: name.join('/') }
  registeredName(address.namespace, address.name)
  const { stored: kept } = await findServable(context.seenBy(request), address)
  const params = ask.params === undefined ? {} : { params: ask.params }
  return { definition: JSON.parse(kept.document) as object, ...params }
}

/** @throws Problem `unknown-evaluation`, also for those of other callers */
async function jobOf(request: FastifyRequest<ById>, context: RouteContext): Promise<StoredJob> {
  const { id } = request.params
  const jobs = jobsOf(context)
  // Text that can be no id is not for the store, some of which refuse parts of it.
  const job = JOB_ID.test(id) ? await stored(() => jobs.find(id)) : undefined
  const caller = callerOf(request)
  if (job !== undefined && (job.owner === caller.id || caller.may('admin', '*'))) return job
  throw new Problem('unknown-evaluation', `there is no evaluation "${id.slice(0, 80)}"`)
}

function idempotencyKeyOf({ headers }: FastifyRequest): string | null {
  const key = headers['idempotency-key']
  if (key === undefined) return null
  if (typeof key === 'string' && key.length > 0 && key.length <= MOST_KEY) return key
  throw problemAt('invalid-value', '', `Idempotency-Key must have 1 to ${MOST_KEY} characters`)
}

/** @throws Problem `store-down` */
async function stored<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof StoreDown) throw new Problem('store-down', error.told, { retryAfter: 1 })
    throw error
  }
}

function shown({ id, state, created, updated, rows, total, result, error }: StoredJob) {
  return {
    id,
    state,
    created,
    updated,
    rows,
    total,
    ...(result === null ? {} : { result: JSON.parse(result) as Evaluation }),
    ...(error === null ? {} : { error: JSON.parse(error) as JobFailure }),
  }
}

/**
 * Ends when the job ends, the reader goes, or the process does: that waits for its responses, and the job may take hours. Readers
 * ask again, and another process answers.
 */
function eventsOf(
  first: StoredJob,
  find: () => Promise<StoredJob>,
  { raw }: FastifyReply,
  connections: Connections,
): Readable {
  const events = new PassThrough()
  let isRead = true
  // Not of the socket: it would keep a listener for each of its requests.
  raw.once('close', () => {
    isRead = false
    events.destroy()
  })
  const send = (event: string, data: unknown) =>
    events.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
  const follow = async () => {
    for (let job = first; isRead; job = await find()) {
      const { rows, total, state } = job
      if (state !== 'queued' && state !== 'running') return void send(state, shown(job))
      send('progress', { state, rows, total })
      if (connections.isDraining) return
      await sleep(EVENT_MS)
    }
  }
  follow()
    .catch(() => {})
    .finally(() => events.end())
  return events
}
