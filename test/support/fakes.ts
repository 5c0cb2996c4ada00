/** Fake engines whose behavior the test controls. */
import type { Batch, BatchResult, Engine } from '../../src/engines/contract.ts'

export interface FakeOptions {
  readonly name: string
  readonly run: (batch: Batch) => Promise<BatchResult> | BatchResult
  readonly isReady?: () => boolean
  readonly isGpu?: boolean
}

/** An engine that counts the calls that it receives. */
export function fakeEngine({ name, run, isReady = () => true, isGpu = false }: FakeOptions): Engine & {
  readonly batches: readonly Batch[]
} {
  const batches: Batch[] = []
  return {
    info: { name, device: `fake ${name}`, reason: 'test', isGpu },
    get isReady() {
      return isReady()
    },
    batches,
    run: async (batch) => {
      batches.push(batch)
      return run(batch)
    },
    serving: (_, precision) => (precision === 'float32' ? [name] : []),
    stats: async () => ({ tensors: 0, bytes: 0 }),
    close: async () => {},
  }
}
