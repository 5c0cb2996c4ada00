/** tfjs in plain JavaScript: runs everywhere, slowly. */
import { defineEngine } from './local.ts'

export default defineEngine({
  name: 'cpu',
  rank: 10,
  mergesExactly: true,
  home: 'thread',
  // tfjs is loaded where it computes, and nowhere else.
  open: async (reason) => {
    await import('@tensorflow/tfjs-backend-cpu')
    const { tfjsEngine } = await import('./tfjs/engine.ts')
    return tfjsEngine('cpu', 'cpu', () => 'tfjs cpu, 1 thread', reason)
  },
})
