/** What the main thread and the compute thread say to each other. Types only. */
import type { Batch, BatchResult, EngineInfo, EngineStats } from './define.ts'

/** A batch whose program the other side already has under the same key comes without it. */
export type SentBatch = Omit<Batch, 'program'> & { readonly program: Batch['program'] | undefined }

export type Request =
  | { readonly type: 'run'; readonly id: number; readonly batch: SentBatch }
  | { readonly type: 'stats'; readonly id: number }
  /** Drop all programs: the main thread has, too. */
  | { readonly type: 'forget' }
  | { readonly type: 'close' }

export type Reply =
  | { readonly type: 'opened'; readonly info: EngineInfo; readonly refused: readonly string[] }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'result'; readonly id: number; readonly result: BatchResult }
  | { readonly type: 'stats'; readonly id: number; readonly stats: EngineStats }
  | {
      readonly type: 'failed'
      readonly id: number
      readonly message: string
      readonly stack: string | undefined
    }

export interface WorkerOptions {
  readonly engine: string
}
