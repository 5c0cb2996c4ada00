/**
 * GET /v1/engines: devices, drivers, limits, which losses each engine supports, compiled programs, and the cost
 * model.
 */
import { setImmediate as nextRound } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { type CostEstimate, type Engine, type EngineDetails, leafEngines } from '../engines/contract.ts'
import type { Catalog } from '../losses/catalog.ts'
import { lossNameOfKey } from '../losses/program.ts'
import { callerOf } from './authorize.ts'
import type { RouteContext, Routes } from './context.ts'
import { createEngineSupport, type EngineSupport } from './engine-support.ts'
import { type EngineReport, type EnginesReport, mergeReports } from './merged-engines.ts'
import { programsShownTo } from './visibility.ts'

const closed = { additionalProperties: false } as const
const whole = Type.Integer({ minimum: 0 })
const names = Type.Array(Type.String())

const EngineSchema = Type.Object(
  {
    name: Type.String(),
    reason: Type.String({ description: 'Why it is used.' }),
    device: Type.Optional(Type.String()),
    isGpu: Type.Optional(Type.Boolean()),
    isShared: Type.Optional(
      Type.Boolean({ description: 'Whether all processes of the service compute with the same one.' }),
    ),
    isReady: Type.Optional(Type.Boolean()),
    driver: Type.Optional(Type.String()),
    limits: Type.Optional(
      Type.Record(Type.String(), Type.Number(), { description: "In the device's own units." }),
    ),
    compiled: Type.Optional(
      Type.Object(
        { entries: whole, capacity: whole, hits: whole, misses: whole },
        { ...closed, description: 'Compiled programs in the cache.' },
      ),
    ),
    holds: Type.Optional(Type.Object({ tensors: whole, bytes: whole }, closed)),
    serves: Type.Object(
      { float32: names, float64: names },
      { ...closed, description: 'Losses, by precision.' },
    ),
  },
  closed,
)

const LearnedSchema = Type.Object(
  {
    engine: Type.String(),
    loss: Type.String(),
    program: Type.String(),
    launches: whole,
    launchMs: Type.Number(),
    elementNs: Type.Number(),
  },
  closed,
)

const Engines = Type.Object(
  {
    engines: Type.Array(EngineSchema),
    learned: Type.Array(LearnedSchema, { description: 'The cost model: what launches have cost.' }),
  },
  closed,
)

/** What processes give each other. */
const TOPIC = 'engines'

const routes: Routes = (app, context) => {
  const serving = createEngineSupport(context)
  context.peers?.provide(TOPIC, () => report(context.engine))
  const schema = {
    tags: ['service'],
    operationId: 'engines',
    summary: 'The engines: devices, limits, supported losses, costs',
    response: { 200: Engines },
  }
  app.get('/v1/engines', { schema }, (request) =>
    describeEngines(context, serving, programsShownTo(callerOf(request), context.catalog)),
  )
}

export default routes

type ServingOf = ReturnType<typeof createEngineSupport>

async function describeEngines(
  { engine, catalog, peers }: RouteContext,
  serving: ServingOf,
  shows: (programKey: string) => boolean,
) {
  const served = await servedBy(catalog, serving)
  const reports = peers === undefined ? [await report(engine)] : await peers.gather(TOPIC)
  const { engines: opened, learned } = mergeReports(reports as readonly EnginesReport[])
  const standing = [...served.keys()].filter((name) => !opened.some((one) => one.name === name))
  return {
    engines: [
      ...opened,
      ...standing.map((name) => ({ name, reason: 'computes what the engines before it cannot' })),
    ].map((one) => ({ ...one, serves: served.get(one.name) ?? NOTHING })),
    learned: learned.filter(({ programKey }) => shows(programKey)).map(spellLearned),
  }
}

async function report(engine: Engine): Promise<EnginesReport> {
  const engines = await Promise.all(leafEngines(engine).map((member) => describe(member)))
  return { engines, learned: engine.learned?.() ?? [] }
}

async function describe(engine: Engine): Promise<EngineReport> {
  const { name, device, reason, isGpu = false, isShared = false } = engine.info
  const [details, { tensors, bytes }] = await Promise.all([detailsOf(engine), engine.stats()])
  const holds = { tensors, bytes }
  return { name, device, reason, isGpu, isShared, isReady: engine.isReady, ...details, holds }
}

async function detailsOf(engine: Engine): Promise<EngineDetails> {
  return (await engine.describe?.()) ?? {}
}

interface Served {
  readonly float32: readonly string[]
  readonly float64: readonly string[]
}

const NOTHING: Served = { float32: [], float64: [] }

/**
 * Engine -> the losses that it supports. The first call compiles kernels to find out, one loss per event loop
 * iteration.
 */
async function servedBy({ losses }: Catalog, serving: ServingOf): Promise<Map<string, Served>> {
  const found = new Map<string, { float32: string[]; float64: string[] }>()
  for (const loss of losses) {
    addTo(found, loss.name, serving(loss))
    await nextRound()
  }
  return found
}

function addTo(
  found: Map<string, { float32: string[]; float64: string[] }>,
  loss: string,
  serving: EngineSupport,
) {
  for (const precision of ['float32', 'float64'] as const) {
    for (const name of serving[precision]) {
      const served = found.get(name) ?? { float32: [], float64: [] }
      served[precision].push(loss)
      found.set(name, served)
    }
  }
}

function spellLearned({ engine, programKey, observations, launch, element }: CostEstimate) {
  return {
    engine,
    loss: lossNameOfKey(programKey),
    program: programKey,
    launches: observations,
    launchMs: launch,
    elementNs: element * 1e6,
  }
}
