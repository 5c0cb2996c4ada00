/** Formulas compiled into fused WebAssembly kernels, in this thread: the fastest engine there is without a GPU. */
import { openCompiled } from './compiled/engine.ts'
import { defineEngine } from './define.ts'

export default defineEngine({
  name: 'compiled',
  rank: 40,
  mergesExactly: true,
  home: 'thread',
  open: async (reason) => openCompiled({ reason, threads: 0, memoryBytes: 2 ** 31, log: () => {} }),
})
