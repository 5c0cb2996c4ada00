/** What the main thread and an engine elsewhere (on a thread, in a process) say to each other. Types only. */
import type { Batch, BatchResult, EngineDetails, EngineInfo, EngineStats } from '../contract.ts'

/** A batch whose program the other side already has under the same key comes without it. */
export type SentBatch = Omit<Batch, 'program'> & { readonly program: Batch['program'] | undefined }

/** A result whose arrays are the receiver's. */
export type SentResult = Omit<BatchResult, 'release'>

export type Request =
  | { readonly type: 'run'; readonly id: number; readonly batch: SentBatch }
  | { readonly type: 'stats'; readonly id: number }
  | { readonly type: 'describe'; readonly id: number }
  /** Drop all programs: the main thread has, too. */
  | { readonly type: 'forget' }
  | { readonly type: 'close' }

/** What a request is answered with. */
export type Answer =
  | { readonly type: 'result'; readonly id: number; readonly result: SentResult }
  | { readonly type: 'stats'; readonly id: number; readonly stats: EngineStats }
  | { readonly type: 'details'; readonly id: number; readonly details: EngineDetails }
  | {
      readonly type: 'failed'
      readonly id: number
      /** Of the error's class: those that contract.ts has are made again on this side. */
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
    }

/** The first thing that is said: the engine is open, or why it is not. */
export type Hello =
  | {
      readonly type: 'opened'
      readonly info: EngineInfo
      /** How many batches it computes at once. */
      readonly width: number
    }
  | { readonly type: 'refused'; readonly reason: string }

export type Reply =
  | Hello
  | Answer
  /** Whether the engine would take a batch: its device was lost, or is there again. */
  | { readonly type: 'state'; readonly isReady: boolean }

/** What the other side is told when it starts. */
export interface RemoteOptions {
  /** Its name. */
  readonly engine: string
  readonly reason: string
}
