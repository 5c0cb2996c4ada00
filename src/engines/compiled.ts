/**
 * The compiled engine in a single thread: formulas compiled just in time (JIT) into fused WebAssembly SIMD kernels.
 * The fastest engine without a GPU.
 */
import { openCompiled } from './compiled/engine.ts'
import { defineEngine } from './define.ts'

export default defineEngine({
  name: 'compiled',
  rank: 40,
  mergesExactly: true,
  runsWholeAxisOps: true,
  home: 'thread',
  open: async (reason) => openCompiled({ reason, threads: 0, memoryBytes: 2 ** 31, log: () => {} }),
})
