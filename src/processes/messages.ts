/** The messages between the parent and its workers. Types only. */

/** What the parent needs to know of a worker that can serve. */
export interface WorkerInfo {
  readonly engine: string
  readonly device: string
  /** Why this engine. */
  readonly why: string
  readonly isGpu: boolean
  readonly losses: number
  /** Whether everyone who reaches the port may do everything. */
  readonly isOpen: boolean
}

/** What one caller has used up in one process since its last report. */
export interface Spent {
  /** The caller and its quotas. */
  readonly key: string
  /** By the place of each quota that is counted over time. */
  readonly charges: readonly number[]
  /** Requests that are open in that process now. */
  readonly open: number
}

/** A worker has met a caller, and must learn what is left of its quotas. */
export interface Joined {
  readonly key: string
  /** As in `LOSSD_QUOTA`. */
  readonly quotas: readonly string[]
}

/** What is left of the quotas of a caller. */
export interface Left {
  readonly key: string
  readonly quotas: readonly string[]
  readonly left: readonly number[]
  /** Its open requests in the other processes. */
  readonly elsewhere: number
}

/** What other processes have charged. */
export interface Elsewhere {
  readonly key: string
  readonly charges: readonly number[]
  readonly elsewhere: number
}

export type ToParent =
  /** It can serve. */
  | { readonly kind: 'ready'; readonly info: WorkerInfo }
  /** It cannot start. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It has taken the connection that it was handed, and has so many. */
  | { readonly kind: 'took'; readonly open: number }
  /** It runs, and has so many connections. */
  | { readonly kind: 'pulse'; readonly open: number }
  /** It ends by itself, and takes no more connections. */
  | { readonly kind: 'leaving' }
  | { readonly kind: 'gather'; readonly id: number; readonly topic: string }
  | { readonly kind: 'part'; readonly id: number; readonly part: unknown }
  | { readonly kind: 'joined'; readonly joined: Joined }
  | { readonly kind: 'spent'; readonly spent: readonly Spent[] }

export type ToWorker =
  /** Comes with the socket. */
  | { readonly kind: 'connection' }
  | { readonly kind: 'pulse' }
  /** The service will close soon: readiness turns off. */
  | { readonly kind: 'unready' }
  | { readonly kind: 'close'; readonly why: string }
  | { readonly kind: 'give'; readonly id: number; readonly topic: string }
  | { readonly kind: 'gathered'; readonly id: number; readonly parts: readonly unknown[] }
  | { readonly kind: 'left'; readonly left: readonly Left[] }
  | { readonly kind: 'elsewhere'; readonly elsewhere: readonly Elsewhere[] }
