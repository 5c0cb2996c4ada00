/** The messages between the main thread and an engine in a thread or process. Types only. */
import type { Batch, BatchResult, EngineDetails, EngineInfo, EngineStats } from '../contract.ts'

/** A batch. If the other side already has the program with this key, it is sent without it. */
export type SentBatch = Omit<Batch, 'program'> & { readonly program: Batch['program'] | undefined }

/** A result whose arrays belong to the receiver. */
export type SentResult = Omit<BatchResult, 'release'>

export type Request =
  | { readonly type: 'run'; readonly id: number; readonly batch: SentBatch }
  | { readonly type: 'stats'; readonly id: number }
  | { readonly type: 'describe'; readonly id: number }
  /** Drop all programs, as the main thread has done. */
  | { readonly type: 'forget' }
  | { readonly type: 'close' }

/** The reply to a request. */
export type Answer =
  | { readonly type: 'result'; readonly id: number; readonly result: SentResult }
  | { readonly type: 'stats'; readonly id: number; readonly stats: EngineStats }
  | { readonly type: 'details'; readonly id: number; readonly details: EngineDetails }
  | {
      readonly type: 'failed'
      readonly id: number
      /** The name of the error's class. Classes from contract.ts are recreated on the main thread. */
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
    }

/** The first message: the engine is open, or the reason why it is not. */
export type Hello =
  | {
      readonly type: 'opened'
      readonly info: EngineInfo
      /** How many batches it computes concurrently. */
      readonly width: number
    }
  | { readonly type: 'refused'; readonly reason: string }

export type Reply =
  | Hello
  | Answer
  /** Whether the engine accepts batches: its device was lost, or is available again. */
  | { readonly type: 'state'; readonly isReady: boolean }

/** The options that the other side starts with. */
export interface RemoteOptions {
  /** Name of the engine. */
  readonly engine: string
  readonly reason: string
}
