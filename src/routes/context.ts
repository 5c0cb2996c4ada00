/**
 * The context that app.ts passes to every route: the objects that hold state, and the frozen definitions. Types
 * only.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Analyzer } from '../analyzer/analyzer.ts'
import type { Batcher } from '../batching/batcher.ts'
import type { Config } from '../config.ts'
import type { Connections } from '../connections.ts'
import type { Engine } from '../engines/contract.ts'
import type { Jobs } from '../evaluator/jobs.ts'
import type { Uploads } from '../evaluator/uploads.ts'
import type { Catalog } from '../losses/catalog.ts'
import type { ProgramSource } from '../losses/program.ts'
import type { Metrics } from '../metrics.ts'
import type { Peers } from '../peers.ts'
import type { StoreState } from '../registry/registry.ts'
import type { ScopedRegistry } from '../registry/scoped-registry.ts'
import type { RequestPlanSource } from '../schemas/request-plan.ts'
import type { BodyPool } from './request-body.ts'
import type { ResponseCoalescer } from './response-coalescer.ts'

declare module 'fastify' {
  interface FastifySchema {
    /** Error statuses that not every route has (schemas/openapi-document.ts). */
    readonly 'x-problems'?: readonly number[]
  }
}

export interface RouteContext {
  readonly config: Config
  readonly catalog: Catalog
  /** The cache of all programs, so that each is created once. */
  readonly programs: ProgramSource
  readonly plans: RequestPlanSource
  /** Registered custom losses, as the caller of a request sees them. */
  seenBy(request: FastifyRequest): ScopedRegistry
  /** The state of their store. */
  storeState(): Promise<StoreState>
  /** Evaluations of files; undefined if the service has no datasets, or no store. */
  readonly evaluations: Jobs | undefined
  /** Datasets that callers have uploaded; undefined if they cannot. */
  readonly uploads: Uploads | undefined
  /** Runs proofs on a thread of their own. */
  readonly analyzer: Analyzer
  readonly engine: Engine
  readonly batcher: Batcher
  readonly metrics: Metrics
  /** Memory for large bodies. */
  readonly bodies: BodyPool
  /** Holds responses until the end of the current event loop iteration. */
  readonly responses: ResponseCoalescer
  /** The open connections. They know whether the process is shutting down. */
  readonly connections: Connections
  /** The other processes that serve the same port; undefined if there are none. */
  readonly peers: Peers | undefined
}

/** Every file in this folder exports one of these by default and is registered automatically. */
export type Routes = (app: FastifyInstance, context: RouteContext) => void | Promise<void>
