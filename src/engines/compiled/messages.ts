/** The messages between the main thread and the threads of the pool. Types only. */

export type WorkerCommand =
  | { readonly type: 'module'; readonly kernel: number; readonly module: WebAssembly.Module }
  | { readonly type: 'memory'; readonly arena: number; readonly memory: WebAssembly.Memory }
  | { readonly type: 'forget memory'; readonly arena: number }
  | { readonly type: 'forget module'; readonly kernel: number }
  | {
      readonly type: 'run'
      readonly id: number
      readonly kernel: number
      readonly arena: number
      readonly at: number
    }
  | { readonly type: 'close' }

export interface WorkerReport {
  readonly id: number
  /** How long the kernel ran, in milliseconds. */
  readonly ms: number
  /** Why the kernel did not finish. */
  readonly failed?: string
}
